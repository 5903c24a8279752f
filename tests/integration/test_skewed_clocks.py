"""A function whose clock is ten minutes off, zones with daylight saving time: rows go by PostgreSQL's clock, in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import botocore.auth
import httpx
import psycopg
import pytest

from shared import bootstrap
from shared.adapters.clock import SystemClock
from shared.adapters.postgres.connection import PostgresRecords
from shared.adapters.s3 import S3MediaStore
from shared.domain.jobs import iso, snapshot
from shared.domain.messages import CallRejected, CallUnresolved
from shared.domain.storage_keys import generated_folder
from shared.usecases.reconcile import Sweep
from tests.integration.door import Door
from tests.integration.inside import TURNS, World, stored
from tests.lambda_context import LambdaContext
from tests.s3_servers import own_server

SKEW = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)


@dataclass
class WrongClock(SystemClock):
    """A machine's clock that is so far ahead."""

    ahead: timedelta

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture(params=[-SKEW, SKEW], ids=["behind", "ahead"])
def wrong(request: pytest.FixtureRequest) -> WrongClock:
    return WrongClock(request.param)


@pytest.fixture
def skewed(world: World, wrong: WrongClock) -> Iterator[World]:
    """A function of the same account on the machine with the wrong clock."""
    records = PostgresRecords(world.url, own_clock=wrong)
    yield replace(world, records=records, clock=records.clock)
    records.close()


def sweep(world: World) -> None:
    Sweep(world.records, world.clock, world.aftermath, TURNS).run()


def due_in(world: World, job_id: UUID, minutes: int) -> None:
    world.sql("UPDATE vsl.jobs SET deadline_at = now() + make_interval(mins => %s) WHERE id = %s", minutes, job_id)


def test_a_function_knows_the_databases_time(world: World, skewed: World) -> None:
    before = skewed.clock.now()
    (now,) = world.sql("SELECT clock_timestamp()")[0]
    assert before - MINUTE < now < skewed.clock.now() + MINUTE


def test_a_lease_is_postgresqls_even_where_a_function_goes_by_its_own_clock(world: World, wrong: WrongClock) -> None:
    ours, off = world.accepted(), replace(world, clock=wrong)
    theirs = world.accepted()
    assert off.settler.claim_store(ours[0], ours[1], "off")["verdict"] == "go"
    assert world.settler.claim_store(theirs[0], theirs[1], "right")["verdict"] == "go"

    assert world.settler.claim_store(ours[0], ours[1], "right")["verdict"] == "wait"
    assert off.settler.claim_store(theirs[0], theirs[1], "off")["verdict"] == "wait"
    sweep(off)
    assert world.queue.of("store") == []
    for job_id in (ours[0], theirs[0]):
        held = "SELECT lease_until BETWEEN now() AND now() + interval '60 s' FROM vsl.jobs WHERE id = %s"
        assert world.sql(held, job_id) == [(True,)]


def test_a_deadline_is_the_same_for_all(world: World, skewed: World) -> None:
    _, soon, attempt_id = world.generate()
    due_in(world, soon, 5)
    claim = skewed.settler.claim_call(soon, attempt_id)
    assert (claim["verdict"], 200 < claim["cancelAfterSeconds"] <= 300) == ("go", True)

    _, late, attempt_id = world.generate()
    due_in(world, late, -5)
    assert skewed.settler.claim_call(late, attempt_id)["verdict"] == "cancelled"
    assert world.status(late) == "timeout"


def test_a_job_of_the_function_that_is_off_has_all_its_time(world: World, skewed: World) -> None:
    job, job_id, _ = skewed.generate()
    (now,) = world.sql("SELECT now()")[0]
    assert now - MINUTE < job.created_at < now + MINUTE
    sweep(world)
    assert world.status(job_id) == "pending"


def test_a_call_in_doubt_is_no_sooner_and_no_later_taken_for_one_that_made_nothing(world: World, skewed: World) -> None:
    _, job_id, attempt_id = world.generate()
    world.settler.claim_call(job_id, attempt_id)
    world.settler.take(CallUnresolved(str(job_id), str(attempt_id), "500", "provider_error"))

    assert skewed.settler.claim_call(job_id, attempt_id)["absentMeansFailed"] is False
    world.sql("UPDATE vsl.provider_attempts SET claimed_at = now() - interval '2 minutes' WHERE id = %s", attempt_id)
    assert skewed.settler.claim_call(job_id, attempt_id)["absentMeansFailed"] is True


def test_the_pace_is_neither_filled_up_nor_stopped_by_a_wrong_clock(world: World, skewed: World) -> None:
    calls = [world.generate()[1:] for _ in range(4)]
    world.sql(
        "INSERT INTO vsl.provider_pace (provider, rate_per_second, tokens, filled_at) "
        "VALUES ('replicate', 0.001, 2, now())"
    )
    functions = [skewed, world, skewed, world]
    verdicts = [at.settler.claim_call(*ids)["verdict"] for at, ids in zip(functions, calls, strict=True)]
    assert verdicts == ["go", "go", "wait", "wait"]

    job_id, attempt_id = calls[1]
    skewed.settler.take(CallRejected(str(job_id), str(attempt_id), "provider_throttled", "429", True, 60))
    (left,) = world.sql("SELECT extract(epoch FROM blocked_until - now()) FROM vsl.provider_pace")[0]
    assert 0 < left <= 60


def test_a_webhook_refused_for_its_time_costs_nothing_as_the_sweep_asks(
    world: World, skewed: World, wrong: WrongClock, door: Door
) -> None:
    accepted = world.accepted()
    delivery = door.delivery(accepted)
    door.clock.moment += wrong.ahead
    assert (door.knock(delivery), door.reports) == (401, [])

    world.sql("UPDATE vsl.provider_attempts SET next_check_at = now() WHERE id = %s", accepted[1])
    sweep(skewed)
    assert [body["providerId"] for body in skewed.queue.of("store")] == [accepted[2]]
    skewed.settler.take(stored(*accepted))
    assert world.status(accepted[0]) == "processing"


def test_what_is_signed_by_a_wrong_clock_opens_all_the_same(
    tmp_path: Path, wrong: WrongClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_server(tmp_path) as own:
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: wrong.now())
        own.server.client().create_bucket(Bucket="media")
        media = S3MediaStore(own.server.client(), "media", wrong)
        media.put("a.png", b"picture", "image/png")
        assert httpx.get(media.signed_url("a.png")).content == b"picture"


def test_the_function_settle_goes_by_the_databases_clock(
    world: World, wrong: WrongClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.settle.handler import handler

    monkeypatch.setattr(bootstrap, "settings", lambda _: None)
    monkeypatch.setattr(bootstrap, "aftermath", lambda: world.aftermath)
    monkeypatch.setattr(SystemClock, "now", lambda _: wrong.now())
    monkeypatch.setenv("DATABASE_URL", world.url)
    bootstrap.records.cache_clear()
    _, job_id, attempt_id = world.generate()
    due_in(world, job_id, 5)

    answer = handler({"action": "claim_call", "jobId": str(job_id), "attemptId": str(attempt_id)}, LambdaContext())

    bootstrap.records().close()
    bootstrap.records.cache_clear()
    assert 200 < answer["cancelAfterSeconds"] <= 300


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-03-08T03:30:00.000Z", "2026/03/08"),  # the evening before, in New York
        ("2026-03-08T07:00:00.000Z", "2026/03/08"),  # as its clocks leap to 3 o'clock
        ("2026-11-01T05:30:00.000Z", "2026/11/01"),  # half past one, for the first time
        ("2026-11-01T06:30:00.000Z", "2026/11/01"),  # and again
        ("2028-02-29T23:59:59.999Z", "2028/02/29"),
        ("2028-12-31T23:59:59.999Z", "2028/12/31"),  # before a leap second, if there is one
    ],
)
def test_times_and_dates_are_utc_whatever_the_zone_of_the_database(world: World, moment: str, day: str) -> None:
    _, job_id, _ = world.generate()
    world.sql("UPDATE vsl.jobs SET created_at = %s WHERE id = %s", moment, job_id)
    with in_zone(world, "America/New_York") as records, records.transaction() as tx:
        job = tx.job(world.caller.account_id, job_id)

    assert job is not None
    assert (iso(job.created_at), snapshot(job)["createdAt"]) == (moment, moment)
    assert f"/{day}/" in generated_folder(job.account_id, job.user_id, job.created_at, job.id)


@contextmanager
def in_zone(world: World, zone: str) -> Iterator[PostgresRecords]:
    """Connections to the database while its sessions have another zone by default."""
    with psycopg.connect(world.master_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET timezone = '{zone}'")
        records = PostgresRecords(world.url)
        try:
            yield records
        finally:
            records.close()
            connection.execute(f"ALTER DATABASE {name} RESET timezone")
