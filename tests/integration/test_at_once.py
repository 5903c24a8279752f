"""Fifty threads at one row, each on a connection of its own: one end, one verdict, one film, one lease."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest

from shared.domain.errors import Conflict, NotFound
from shared.domain.jobs import JobStatus
from shared.domain.messages import PredictionSeen
from shared.usecases.clips import Seen
from shared.usecases.compile_request import CompileRequest
from shared.usecases.compile_videos import request_compile
from shared.usecases.control import cancel_job
from shared.usecases.ending import end_job
from shared.usecases.generate_media import GenerateRequest
from shared.usecases.reconcile import Sweep
from shared.usecases.review_clips import Rejection, approve, create_script, reject
from tests.integration.inside import TURNS, World, hook, stored

THREADS = 50
ROUNDS = 3
Act = Callable[[World], Any]


def at_once(world: World, acts: Sequence[Act]) -> list[Any]:
    """What each act gives or is refused with; the acts take turns among the threads, which begin together."""
    barrier = Barrier(THREADS)

    def run(number: int) -> Any:
        with world.elsewhere() as other:
            with other.records.transaction():
                pass  # connected before the others are
            barrier.wait()
            try:
                return acts[number % len(acts)](other)
            except (Conflict, NotFound) as refused:
                return refused

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def cancelling(job_id: UUID) -> Act:
    return lambda world: cancel_job(
        job_id, world.caller, records=world.records, clock=world.clock, aftermath=world.aftermath
    )


def reporting(report: Any) -> Act:
    return lambda world: world.settler.take(report)


def claiming(job_id: UUID, attempt_id: UUID) -> Act:
    return lambda world: world.settler.claim_call(job_id, attempt_id)


def sweeping(world: World) -> None:
    Sweep(world.records, world.clock, world.aftermath, TURNS).run()


def count(world: World, job_id: UUID, *events: str) -> int:
    return sum(name in events for name, _ in world.events(job_id))


def reserved(world: World) -> set[float]:
    rows = world.sql("SELECT reserved_usd FROM vsl.budgets WHERE account_id = %s", world.caller.account_id)
    return {float(amount) for (amount,) in rows}


@pytest.mark.parametrize("overdue", [False, True])
def test_cancel_failure_and_sweep_at_once_make_one_end(world: World, overdue: bool) -> None:
    for _ in range(ROUNDS):
        job_id, attempt_id, provider_id = world.accepted()
        if overdue:
            world.sql("UPDATE vsl.jobs SET deadline_at = now() WHERE id = %s", job_id)
        failed = PredictionSeen(str(job_id), str(attempt_id), provider_id, "failed", "NSFW")

        at_once(world, [cancelling(job_id), reporting(failed), sweeping])

        assert world.status(job_id) in ({"cancelled", "failed", "timeout"} if overdue else {"cancelled", "failed"})
        assert count(world, job_id, "job.cancelled", "job.failed") == 1
        assert (world.ledger(job_id), reserved(world)) == ([0.0], {0.0})
        announced = world.sql("SELECT count(*) FROM vsl.outbox WHERE topic = 'events' AND job_id = %s", job_id)
        assert announced == [(1,)]


def test_a_cancel_while_its_media_are_stored_pays_once_and_ends_once(world: World) -> None:
    for _ in range(ROUNDS):
        job_id, attempt_id, provider_id = world.accepted()

        at_once(
            world,
            [
                cancelling(job_id),
                reporting(stored(job_id, attempt_id, provider_id)),
                reporting(hook(job_id, attempt_id, provider_id)),
            ],
        )

        # Whoever is last: media that were stored first are cancelled all the same.
        assert (world.status(job_id), count(world, job_id, "job.cancelled")) == ("cancelled", 1)
        assert count(world, job_id, "media.stored") <= 1
        assert (world.ledger(job_id), reserved(world)) == ([0.108], {0.0})
        inspected = world.sql("SELECT count(*) FROM vsl.outbox WHERE topic = 'inspect' AND job_id = %s", job_id)
        assert inspected == [(1,)]


def test_a_cancel_while_its_call_is_claimed_lets_one_call_go_or_none(world: World) -> None:
    for _ in range(ROUNDS):
        _, job_id, attempt_id = world.generate()

        given = at_once(world, [cancelling(job_id), claiming(job_id, attempt_id)])

        verdicts = [one["verdict"] for one in given if isinstance(one, dict)]
        (cancelled,) = [one for one in given if isinstance(one, tuple)]
        assert world.status(job_id) == "cancelled"
        assert (verdicts.count("go"), cancelled[1]) in ((1, "pending"), (0, "none"))
        (state,) = world.sql("SELECT state FROM vsl.provider_attempts WHERE id = %s", attempt_id)[0]
        assert state == ("claimed" if "go" in verdicts else "rejected")


def test_of_verdicts_at_once_the_stricter_stands_and_one_film_is_made(world: World) -> None:
    for number in range(ROUNDS):
        script_id = create_script(1, "A script", world.caller, records=world.records).id
        clips = [completed_clip(world, script_id) for _ in range(2)]
        before = versions(world, script_id)
        request = CompileRequest("POST /compile-videos", script_id=script_id, idempotency_key=f"film {number}")
        came = world.clock.now()
        acts: list[Act] = [compiling(request)]
        for clip in clips:
            acts += [approving(clip, came), rejecting(clip)]

        given = at_once(world, acts)

        films = world.sql("SELECT id, request FROM vsl.jobs WHERE kind = 'compile' AND script_id = %s", script_id)
        refused = {one.code for one in given if isinstance(one, Conflict)}
        assert refused <= {"rejected_meanwhile", "nothing_approved"}
        assert len(films) == 1 or "nothing_approved" in refused
        for film_id, asked in films:
            named = [source["videoId"] for source in asked["sources"]]
            assert named in ([clips[0]], [clips[1]], clips)
            sent = world.sql("SELECT count(*) FROM vsl.outbox WHERE topic = 'compile' AND job_id = %s", film_id)
            assert sent == [(1,)]
        # Each verdict that was not there before is one step of its clip's version, and one event; a rejection is last.
        verdicts = world.sql(
            "SELECT count(*) FROM vsl.outbox o JOIN vsl.jobs j ON j.id = o.job_id "
            "WHERE j.script_id = %s AND o.body->>'type' IN ('video.approved', 'video.rejected')",
            script_id,
        )
        assert versions(world, script_id) - before == verdicts[0][0] in (2, 3, 4)
        left = world.sql("SELECT status FROM vsl_frontend.section_videos WHERE script_id = %s", script_id)
        assert left == [("rejected",)] * 2


def test_of_fifty_workers_one_gets_the_lease(world: World) -> None:
    job_id, attempt_id, _ = world.accepted()

    given = at_once(world, [lambda w: w.settler.claim_store(job_id, attempt_id, str(id(w)))])

    verdicts = [one["verdict"] for one in given]
    assert (verdicts.count("go"), verdicts.count("wait")) == (1, THREADS - 1)


def completed_clip(world: World, script_id: int) -> int:
    """A section video that waits for its verdict."""
    job_id = world.generate(GenerateRequest("user", "video", "seedance-1-lite", {"prompt": "x"}, script_id))[1]
    with world.records.transaction() as tx:
        job = tx.lock_job(job_id)
        assert job is not None
        moved = tx.move_job(job, JobStatus.PROCESSING)
        assert moved is not None
        done = end_job(
            tx,
            moved,
            JobStatus.COMPLETED,
            clock=world.clock,
            s3_key=f"generated/{job_id}.mp4",
            content_type="video/mp4",
            duration_seconds=3,
        )
        assert done is not None
    (row,) = world.sql("SELECT id FROM vsl_frontend.section_videos WHERE job_id = %s", job_id)
    return int(row[0])


def versions(world: World, script_id: int) -> int:
    rows = world.sql("SELECT sum(version) FROM vsl_frontend.section_videos WHERE script_id = %s", script_id)
    return int(rows[0][0])


def approving(video_id: int, came: datetime) -> Act:
    return lambda world: approve(video_id, world.caller, records=world.records, clock=world.clock, seen=Seen(at=came))


def rejecting(video_id: int) -> Act:
    return lambda world: reject(Rejection(video_id, "no"), world.caller, records=world.records, clock=world.clock)


def compiling(request: CompileRequest) -> Act:
    return lambda world: request_compile(
        request, world.caller, records=world.records, media=world.media, clock=world.clock, aftermath=world.aftermath
    )
