"""The minute sweep: no row and no part that fails keeps others from being done, and what waits is not sent again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from shared.adapters.postgres.connection import PostgresRecords
from shared.adapters.postgres.transaction import PostgresTransaction
from shared.domain.errors import DependencyDown
from shared.domain.jobs import Caller, Job
from shared.usecases import reconcile
from shared.usecases.reconcile import Sweep
from tests.integration.inside import TURNS, World
from tests.memory import MemoryQueue, MemoryView

OLD = "UPDATE vsl.jobs SET check_at = now(), updated_at = now() - interval '2 minutes' WHERE id = ANY(%s)"


@pytest.fixture(autouse=True)
def _nothing_else(world: World) -> None:
    """What earlier tests left unfinished is nothing for this one's sweeps."""
    world.sql("UPDATE vsl.jobs SET status = 'cancelled', completed_at = now() WHERE completed_at IS NULL")
    world.sql("UPDATE vsl.jobs SET published_version = version")
    world.sql("DELETE FROM vsl.outbox")
    world.sql("DELETE FROM vsl.set_back_rows")
    world.queue.sent.clear()


def _sweep(world: World) -> dict[str, int]:
    return Sweep(world.records, world.clock, world.aftermath, TURNS).run()


def _waiting(world: World, jobs: int = 3) -> list[UUID]:
    """Films without a worker, whose messages are gone."""
    rows = world.sql(
        "INSERT INTO vsl.jobs (id, account_id, user_id, kind, route, request_hash, request, output_format, deadline_at,"
        " check_at, published_version) SELECT gen_random_uuid(), %s, 'user', 'compile', 'r', '', '{}', 'mp4', "
        "now() + interval '30 minutes', now() - interval '1 s', 1 FROM generate_series(1, %s) RETURNING id",
        world.caller.account_id,
        jobs,
    )
    return [job_id for (job_id,) in rows]


def _poisoned(monkeypatch: pytest.MonkeyPatch, name: str, poison: UUID) -> None:
    """A statement on one row raises, as it did on a row too large for the memory."""
    whole: Callable[..., Any] = getattr(PostgresTransaction, name)

    def act(self: PostgresTransaction, job_id: UUID, *rest: Any, **named: Any) -> Any:
        if job_id == poison:
            raise MemoryError
        return whole(self, job_id, *rest, **named)

    monkeypatch.setattr(PostgresTransaction, name, act)


@pytest.mark.parametrize(
    ("part", "statement", "due"),
    [
        ("requeued", "lock_due_job", "check_at = now() - interval '1 s'"),
        ("overdue", "lock_overdue", "deadline_at = now() - interval '1 s'"),
        ("unpublished", "job_of_any_account", "published_version = 0, updated_at = now() - interval '1 minute'"),
    ],
)
def test_a_row_that_raises_is_set_back_and_the_others_are_done(
    world: World, monkeypatch: pytest.MonkeyPatch, part: str, statement: str, due: str
) -> None:
    jobs = _waiting(world)
    world.sql("UPDATE vsl.jobs SET check_at = now() + interval '1 hour' WHERE id = ANY(%s)", jobs)
    world.sql(f"UPDATE vsl.jobs SET {due} WHERE id = ANY(%s)", jobs)
    _poisoned(monkeypatch, statement, jobs[0])

    found = _sweep(world)

    assert (found[part], found["failed"]) == (3, 1)
    assert world.sql("SELECT row_id FROM vsl.set_back_rows WHERE until > now()") == [(str(jobs[0]),)]
    assert _sweep(world)["failed"] == 0


def test_an_attempt_that_raises_is_set_back_and_the_others_are_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = [world.generate()[2] for _ in range(3)]
    world.sql("UPDATE vsl.provider_attempts SET next_check_at = now() WHERE id = ANY(%s)", attempts)
    _poisoned(monkeypatch, "lock_attempt", attempts[0])
    world.queue.sent.clear()

    assert _sweep(world)["failed"] == 1

    asked = {body["attemptId"] for body in world.queue.of("calls")}
    assert asked == {str(attempts[1]), str(attempts[2])}
    set_back = "SELECT until > now() + interval '4 minutes' FROM vsl.set_back_rows WHERE row_id LIKE %s"
    assert world.sql(set_back, f"%{attempts[0]}") == [(True,)]


def test_a_part_that_raises_keeps_no_other_from_its_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_tx: object, _limit: int) -> list[UUID]:
        raise RuntimeError("a fault of ours")

    jobs = _waiting(world)
    monkeypatch.setattr(reconcile, "_overdue", broken)

    found = _sweep(world)

    assert (found["overdue"], found["requeued"], found["failed"]) == (0, 3, 1)
    assert {body["jobId"] for body in world.queue.of("compile")} == {str(job_id) for job_id in jobs}


def test_without_the_database_the_sweep_says_so(world: World) -> None:
    down = PostgresRecords("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DependencyDown):
        Sweep(down, world.clock, world.aftermath, TURNS).run()


def test_what_waits_in_a_long_queue_is_sent_again_each_time_later(world: World) -> None:
    """A backlog was announced anew each minute: every job of it, by every sweep."""
    (job_id,) = _waiting(world, 1)
    waits = []
    for _ in range(6):
        assert _sweep(world)["requeued"] == 1
        assert _sweep(world)["requeued"] == 0
        ((seconds,),) = world.sql(
            "SELECT round(extract(epoch FROM check_at - now())) FROM vsl.jobs WHERE id = %s", job_id
        )
        waits.append(round(float(seconds) / 60))
        world.sql(OLD, [job_id])

    assert waits == [2, 4, 8, 16, 32, 32]
    assert len(world.queue.of("compile")) == 6


def test_a_job_that_moved_is_looked_after_within_a_minute_again(world: World) -> None:
    (job_id,) = _waiting(world, 1)
    _sweep(world)
    with world.records.transaction() as tx:
        job = tx.lock_job(job_id)
        assert job is not None
        tx.touch_job(job, progress=10)

    soon = "SELECT check_at <= now() + interval '60 s', checks FROM vsl.jobs WHERE id = %s"
    assert world.sql(soon, job_id) == [(True, 0)]


def test_the_sweep_reads_no_documents_of_jobs_it_sends_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows of 82 MB ended it for every account."""

    def whole(_row: object) -> Job:
        raise AssertionError("a whole row was read")

    _waiting(world)
    monkeypatch.setattr("shared.adapters.postgres.sweeps.to_job", whole)
    monkeypatch.setattr("shared.adapters.postgres.jobs.to_job", whole)

    found = _sweep(world)

    assert (found["requeued"], found["failed"]) == (3, 0)


def test_two_sweeps_at_once_send_a_job_again_once(world: World) -> None:
    jobs = _waiting(world, 2)
    second = PostgresRecords(world.url)
    try:
        with second.transaction() as tx:
            assert tx.lock_due_job(jobs[0]) is not None
            _sweep(world)
            assert [body["jobId"] for body in world.queue.of("compile")] == [str(jobs[1])]
    finally:
        second.close()


def test_two_sweeps_at_once_end_jobs_of_two_accounts(world: World, other: Caller) -> None:
    """Each locked the budgets of the jobs it had found in their order, and PostgreSQL ended one of the two."""
    theirs = replace(world, caller=other)
    for _ in range(10):
        world.generate()
        theirs.generate()
    world.sql("UPDATE vsl.jobs SET deadline_at = now() - random() * interval '1 minute' WHERE completed_at IS NULL")

    def sweep(_: int) -> dict[str, int]:
        with world.elsewhere() as environment:
            return Sweep(environment.records, environment.clock, environment.aftermath, TURNS).run()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(sweep, range(4)))

    assert [one["failed"] for one in found] == [0] * 4
    assert world.sql("SELECT count(*) FROM vsl.jobs WHERE completed_at IS NULL") == [(0,)]
    reserved = "SELECT sum(reserved_usd) FROM vsl.budgets WHERE account_id = ANY(%s)"
    assert world.sql(reserved, [world.caller.account_id, other.account_id]) == [(0,)]


def test_a_queue_that_is_down_fills_no_others_share(world: World) -> None:
    class CompileDown(MemoryQueue):
        def send(self, topic: str, messages: Any) -> Any:
            if topic == "compile":
                raise DependencyDown("The queue does not answer.")
            return super().send(topic, messages)

    half = replace(world, queue=CompileDown())
    jobs = _waiting(world, 1)
    with world.records.transaction() as tx:
        job = tx.job_of_any_account(jobs[0])
        assert job is not None
        for topic in ["compile"] * 150 + ["inspect"] * 3:
            tx.announce(job, topic, {"jobId": str(job.id)})

    with pytest.raises(DependencyDown):
        _sweep(half)

    assert len(half.queue.of("inspect")) == 3


def test_a_live_view_that_hangs_takes_no_time_from_the_queues(world: World) -> None:
    jobs = _waiting(world, 20)
    world.sql("UPDATE vsl.jobs SET deadline_at = now() - interval '1 s' WHERE id = ANY(%s)", jobs)
    tried: list[str] = []

    class Hanging(MemoryView):
        def put(self, snapshot: Any) -> None:
            tried.append(snapshot["jobId"])
            raise DependencyDown("The live view does not answer.")

    found = _sweep(replace(world, live=Hanging()))

    assert (found["overdue"], len(tried)) == (20, 1)
