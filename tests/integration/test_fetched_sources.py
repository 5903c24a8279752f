"""What was fetched from elsewhere: how long it stays, who takes it up again, and that it goes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.errors import NotFound, OutputGone
from shared.domain.jobs import Caller
from shared.usecases.compile_request import ClipSource, CompileRequest
from shared.usecases.control import retry_job
from shared.usecases.erase import Eraser
from shared.usecases.orphans import Orphans
from tests.integration.elsewhere import (
    A,
    B,
    Elsewhere,
    again,
    asked,
    cancel,
    keys_of,
    look,
    maker,
    requested,
    states,
)
from tests.integration.inside import World
from tests.memory import MemoryClock, MemoryView


def test_what_comes_for_an_ended_job_is_removed_as_nobodys(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job, running = asked(world, A), asked(world, A)
    elsewhere.run_all()
    cancel(world, job)
    later = MemoryClock(world.clock.now() + timedelta(hours=3))

    found = Orphans(world.records, world.media, later).remove()

    assert found["fetched"] == 1
    assert list(world.media.objects) == [f"fetched/{world.caller.account_id}/{running.id}/0"]


def test_a_retry_takes_what_is_there_and_keeps_it_while_it_runs(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    body, elsewhere.files[B] = elsewhere.files[B], OutputGone("404.")
    job = asked(world, A, B)
    elsewhere.run_all()
    elsewhere.files[B] = body

    second = again(world, job)
    later = MemoryClock(world.clock.now() + timedelta(hours=3))
    kept = Orphans(world.records, world.media, later).remove()
    elsewhere.run_all()

    assert (second.retry_of, kept["fetched"]) == (job.id, 0)
    assert (elsewhere.fetched, states(world, second)) == ([A, B, B], ["fetched", "fetched"])
    assert world.queue.of("compile") == [{"jobId": str(second.id)}]


def test_a_retry_after_what_was_fetched_is_gone_fetches_it_anew(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    elsewhere.run_all()
    cancel(world, job)
    world.media.objects.clear()

    second = again(world, job)
    elsewhere.run_all()

    assert (elsewhere.fetched, states(world, second)) == ([A, A], ["fetched"])
    assert list(world.media.objects) == [f"fetched/{world.caller.account_id}/{second.id}/0"]


def erased(world: World, erase: Callable[[Eraser], Any]) -> Any:
    clock = MemoryClock(world.clock.now())
    eraser = Eraser(world.records, world.media, MemoryView(), MemoryView(), world.aftermath, clock)
    begun = erase(eraser)
    clock.moment += timedelta(minutes=91)
    eraser.resume(60)
    with world.records.transaction() as tx:
        return tx.erasure(world.caller.account_id, begun.id)


@pytest.mark.parametrize("kind", ["compile", "plan", "probe"])
def test_an_erased_job_leaves_neither_file_nor_address(elsewhere: Elsewhere, kind: str) -> None:
    world = elsewhere.world
    job = asked(world, A, kind=kind)
    elsewhere.run_all()

    done = erased(world, lambda eraser: eraser.erase_job(job.id, world.caller, 60))

    assert done.completed_at is not None
    assert (world.media.objects, done.erased["fetches"], done.erased["objects"]) == ({}, 1, 1)
    assert world.sql("SELECT url FROM vsl.source_fetches WHERE job_id = %s", job.id) == []
    assert world.sql("SELECT request FROM vsl.jobs WHERE id = %s", job.id) == [({},)]


@pytest.mark.parametrize("kind", ["compile", "plan"])
def test_a_users_data_go_with_what_was_fetched_beside_them(elsewhere: Elsewhere, film: bytes, kind: str) -> None:
    world = elsewhere.world
    keys = [f"uploads/{world.caller.account_id}/{user}/1/001.mp4" for user in ("user", "friend")]
    for key in keys:
        world.media.put(key, film, "video/mp4")
    clips = [ClipSource(url=A), *(ClipSource(s3_key=key) for key in keys)]
    job = requested(world, CompileRequest("POST /compile-videos", clips=clips, kind=kind))
    elsewhere.run_all()
    assert len(world.media.objects) == 3

    done = erased(world, lambda eraser: eraser.erase_user("user", world.caller, 60))

    assert done.completed_at is not None
    assert (list(world.media.objects), look(world, job).erased_at is not None) == ([keys[1]], True)


def test_what_a_worker_puts_there_after_an_erasure_began_is_erased_as_well(elsewhere: Elsewhere) -> None:
    world, clock = elsewhere.world, MemoryClock(elsewhere.world.clock.now())
    job = asked(world, A)
    eraser = Eraser(world.records, world.media, MemoryView(), MemoryView(), world.aftermath, clock)
    elsewhere.meanwhile = lambda: eraser.erase_job(job.id, world.caller, 60)

    elsewhere.run(world.queue.of("fetch")[0])
    late = keys_of(world)
    clock.moment += timedelta(minutes=13)
    eraser.resume(60)

    with world.records.transaction() as tx:
        done = tx.erasure_of_job(world.caller.account_id, job.id)
    assert (len(late), keys_of(world)) == (1, [])
    assert done is not None
    assert done.completed_at is not None


def test_a_stranger_can_neither_see_nor_retry_it(elsewhere: Elsewhere, other: Caller) -> None:
    world = elsewhere.world
    job = asked(world, A)
    with pytest.raises(NotFound):
        retry_job(job.id, other, records=world.records, again=lambda old: old)
    with world.records.transaction() as tx:
        assert tx.job(other.account_id, job.id) is None


@pytest.mark.parametrize("kind", ["plan", "probe"])
def test_what_is_told_is_told_once_and_leaves_no_film(elsewhere: Elsewhere, tmp_path: Path, kind: str) -> None:
    world = elsewhere.world
    job = asked(world, A, kind=kind)
    elsewhere.run_all()

    for _ in range(2):
        maker(world, tmp_path).compile(job.id)

    told = look(world, job)
    assert (told.status, told.s3_key, told.actual_cost_usd) == ("completed", None, 0)
    seconds = told.result["totalDuration"] if kind == "plan" else told.result["seconds"]
    assert seconds == pytest.approx(1, abs=0.1)
    assert keys_of(world) == [f"fetched/{world.caller.account_id}/{job.id}/0"]
