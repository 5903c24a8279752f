"""Turns in the queues of long work: an account's share of the workers, and the others' share kept for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from local.processes import wait_until
from shared.adapters.postgres.connection import PostgresRecords
from shared.domain.jobs import Caller, JobStatus
from shared.usecases.control import cancel_job
from shared.usecases.ending import end_job
from shared.usecases.reconcile import Sweep
from shared.usecases.turns import Turns
from tests.integration.inside import World, stored

COMPILES = Turns("compile", 2)


@pytest.fixture(autouse=True)
def _nothing_else(world: World) -> None:
    """What earlier tests left unfinished is nothing for this one's sweeps."""
    world.sql("UPDATE vsl.jobs SET status = 'cancelled', completed_at = now() WHERE completed_at IS NULL")
    world.sql("DELETE FROM vsl.outbox")
    world.queue.sent.clear()


def _jobs(world: World, caller: Caller, count: int, kind: str = "compile") -> list[UUID]:
    rows = world.sql(
        "INSERT INTO vsl.jobs (id, account_id, user_id, kind, route, request_hash, request, output_format, "
        "created_at, deadline_at, media_type) SELECT gen_random_uuid(), %s, 'user', %s, 'r', '', '{}', 'mp4', "
        "now() + n * interval '1 ms', now() + interval '30 minutes', 'video' FROM generate_series(1, %s) AS n "
        "RETURNING created_at, id",
        caller.account_id,
        kind,
        count,
    )
    return [job_id for _, job_id in sorted(rows)]


def _claim(world: World, job_id: UUID, turns: Turns = COMPILES) -> bool:
    with world.records.transaction() as tx:
        return turns.claim(tx, job_id, f"{turns.lane}:{uuid4()}", 60) is not None


def _end(world: World, job_id: UUID, to: JobStatus = JobStatus.FAILED) -> None:
    with world.records.transaction() as tx:
        job = tx.lock_job(job_id)
        assert job is not None
        end_job(tx, job, to, clock=world.clock, error_code="x", error_message="x")
    world.aftermath.send(job_id)


def _called(world: World) -> list[str]:
    called = [body["jobId"] for topic in ("compile", "inspect") for body in world.queue.of(topic)]
    world.queue.sent.clear()
    return called


def test_an_account_has_its_share_of_workers_and_another_has_its_own(world: World, other: Caller) -> None:
    ours, theirs = _jobs(world, world.caller, 10), _jobs(world, other, 1)

    assert [_claim(world, job_id) for job_id in ours] == [True, True] + [False] * 8
    assert _claim(world, theirs[0])


def test_each_end_calls_the_job_that_has_waited_longest(world: World) -> None:
    jobs = _jobs(world, world.caller, 5)
    for job_id in reversed(jobs):
        _claim(world, job_id)
    running, waiting = jobs[3:], jobs[:3]

    for ended, next_one in zip(running, waiting, strict=False):
        _end(world, ended)
        assert _called(world) == [str(next_one)]
        assert _claim(world, next_one)


@pytest.mark.parametrize("how", ["cancelled", "failed", "timeout"])
def test_however_a_job_ends_the_next_one_is_called(world: World, how: str) -> None:
    first, second, third = _jobs(world, world.caller, 3)
    assert [_claim(world, job_id) for job_id in (first, second, third)] == [True, True, False]

    if how == "cancelled":
        cancel_job(first, world.caller, records=world.records, clock=world.clock, aftermath=world.aftermath)
    elif how == "timeout":
        world.sql("UPDATE vsl.jobs SET deadline_at = now() - interval '1 s' WHERE id = %s", first)
        Sweep(world.records, world.clock, world.aftermath, [COMPILES]).run()
    else:
        _end(world, first)

    assert _called(world) == [str(third)]


def test_a_cancelled_job_waits_no_more(world: World) -> None:
    first, second, third = _jobs(world, world.caller, 3)
    assert [_claim(world, job_id) for job_id in (first, second, third)] == [True, True, False]
    cancel_job(third, world.caller, records=world.records, clock=world.clock, aftermath=world.aftermath)

    _end(world, first)

    assert _called(world) == []


def test_the_sweep_calls_those_whose_caller_was_killed(world: World) -> None:
    jobs = _jobs(world, world.caller, 5)
    for job_id in jobs:
        _claim(world, job_id)
    # Both workers are killed: their leases expire, and nobody ends their jobs.
    world.sql("UPDATE vsl.jobs SET lease_until = now() - interval '1 s' WHERE id = ANY(%s)", jobs[:2])

    found = Sweep(world.records, world.clock, world.aftermath, [COMPILES]).run()

    assert (found["requeued"], found["turns"]) == (2, 1)
    assert set(_called(world)) == {str(job_id) for job_id in jobs[:4]}


def test_what_waits_for_its_turn_is_not_sent_again_as_lost(world: World) -> None:
    jobs = _jobs(world, world.caller, 3)
    for job_id in jobs:
        _claim(world, job_id)
    world.sql("UPDATE vsl.jobs SET check_at = now() - interval '1 hour' WHERE id = ANY(%s)", jobs)

    assert Sweep(world.records, world.clock, world.aftermath, [COMPILES]).run()["requeued"] == 0


def test_claims_at_once_take_no_more_than_the_share(world: World) -> None:
    jobs = _jobs(world, world.caller, 12)

    def claim(job_id: UUID) -> bool:
        records = PostgresRecords(world.url)
        try:
            with records.transaction() as tx:
                return COMPILES.claim(tx, job_id, f"compile:{uuid4()}", 60) is not None
        finally:
            records.close()

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(claim, jobs)) == 2


def test_claims_and_ends_at_once_leave_nobody_waiting_without_a_caller(world: World) -> None:
    """The job that is told to wait, and the end that looks for one who waits, see each other."""
    one = Turns("compile", 1)
    for _ in range(20):
        running, coming = _jobs(world, world.caller, 2)
        assert _claim(world, running, one)
        records = PostgresRecords(world.url)

        def claim(records: PostgresRecords = records, coming: UUID = coming) -> bool:
            with records.transaction() as tx:
                return one.claim(tx, coming, "compile:other", 60) is not None

        with ThreadPoolExecutor(1) as pool:
            claimed = pool.submit(claim)
            _end(world, running)
            taken = claimed.result()
        records.close()
        world.aftermath.send()
        assert taken or str(coming) in _called(world)
        _end(world, coming)
        world.queue.sent.clear()


def test_inspections_have_turns_of_their_own(world: World) -> None:
    films, uploads = _jobs(world, world.caller, 3), _jobs(world, world.caller, 3, "upload")
    inspections = Turns("inspect", 2)

    assert [_claim(world, job_id) for job_id in films] == [True, True, False]
    assert [_claim(world, job_id, inspections) for job_id in uploads] == [True, True, False]
    _end(world, uploads[0])
    assert _called(world) == [str(uploads[2])]


def test_plans_that_are_answered_at_once_have_so_many_places(world: World, other: Caller) -> None:
    account, more = world.caller.account_id, PostgresRecords(world.url)
    try:
        with world.records.slot(account, "look", 1) as first, more.slot(account, "look", 1) as second:
            assert (first, second) == (True, False)
            with more.slot(other.account_id, "look", 1) as theirs:
                assert theirs
        with more.slot(account, "look", 1) as again:
            assert again
    finally:
        more.close()


def test_a_place_goes_with_the_process_that_was_killed(world: World) -> None:
    account, killed = world.caller.account_id, PostgresRecords(world.url)
    with killed.slot(account, "look", 1) as taken:
        assert taken
        assert world.records is not killed
        killed.close()
        assert wait_until(lambda: _is_free(world, account), 10)


def _is_free(world: World, account_id: UUID) -> bool:
    """A server's process ends a moment after its client."""
    with world.records.slot(account_id, "look", 1) as free:
        return free


def test_paid_media_that_wait_for_their_turn_are_not_given_up_at_the_deadline(world: World) -> None:
    """They waited behind the account's own uploads, and the job timed out with what it had paid for."""
    job_id, attempt_id, provider_id = world.accepted()
    world.sql("UPDATE vsl.jobs SET deadline_at = now() + interval '1 minute' WHERE id = %s", job_id)

    world.settler.take(stored(job_id, attempt_id, provider_id))

    assert world.sql("SELECT deadline_at > now() + interval '59 minutes' FROM vsl.jobs WHERE id = %s", job_id) == [
        (True,)
    ]


def test_what_was_paid_for_goes_before_what_was_uploaded(world: World) -> None:
    uploads = _jobs(world, world.caller, 3, "upload")
    _, paid, _ = world.generate()
    one = Turns("inspect", 1)
    assert [_claim(world, job_id, one) for job_id in (*uploads, paid)] == [True, False, False, False]
    world.queue.sent.clear()

    _end(world, uploads[0])

    assert _called(world) == [str(paid)]
