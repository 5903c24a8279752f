"""No transaction holds what others need for long: statements, waits for locks and pauses have limits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest

from shared.adapters.postgres import connection as settings
from shared.adapters.postgres.connection import PostgresRecords
from shared.adapters.postgres.transaction import PostgresTransaction
from shared.domain.errors import DependencyDown
from tests.integration.inside import World


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    short = {"statement_timeout": "200ms", "lock_timeout": "100ms", "idle_in_transaction_session_timeout": "200ms"}
    monkeypatch.setattr(settings, "_SESSION", {**settings._SESSION, **short})


def _run(records: PostgresRecords, statement: str) -> None:
    with records.transaction() as tx:
        assert isinstance(tx, PostgresTransaction)
        tx.cursor.execute(statement)


@pytest.mark.parametrize("name", ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"])
def test_every_session_of_the_functions_has_limits_whoever_opens_it(world: World, name: str) -> None:
    with psycopg.connect(world.url) as connection:
        row = connection.execute("SELECT setting::int FROM pg_settings WHERE name = %s", (name,)).fetchone()
    assert row is not None
    assert 0 < row[0] < 29_000


def test_a_statement_without_end_is_ended_and_the_next_one_works(world: World) -> None:
    records = PostgresRecords(world.url)
    with pytest.raises(DependencyDown):
        _run(records, "SELECT pg_sleep(30)")
    records.ping()
    records.close()


def test_a_row_that_somebody_holds_is_not_waited_for_without_end(world: World) -> None:
    _, job_id, _ = world.generate()
    waiting = PostgresRecords(world.url)
    with world.records.transaction() as tx:
        assert tx.lock_job(job_id) is not None
        with pytest.raises(DependencyDown), waiting.transaction() as second:
            second.lock_job(job_id)
    waiting.close()
    assert world.status(job_id) == "pending"


def test_who_stands_still_in_a_transaction_loses_its_locks(world: World) -> None:
    _, job_id, _ = world.generate()
    idle = PostgresRecords(world.url)

    def stand_still(job_id: UUID) -> None:
        with idle.transaction() as tx:
            assert tx.lock_job(job_id) is not None
            world.clock.sleep(1)
            tx.lock_job(job_id)

    with ThreadPoolExecutor(1) as pool, pytest.raises(DependencyDown):
        pool.submit(stand_still, job_id).result()
    with world.records.transaction() as tx:
        assert tx.lock_job(job_id, wait=False) is not None
