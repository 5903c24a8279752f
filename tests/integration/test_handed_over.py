"""A film that a caller's request cannot finish is the queue's at once: nobody waits for a lease, nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from shared.domain.errors import Conflict, DependencyDown, NoRoom, OutOfTime
from shared.domain.jobs import Job
from shared.usecases.compile_request import ClipSource, CompileRequest
from shared.usecases.inspect_media import Place
from tests.footage import clip, encoder
from tests.integration.elsewhere import look, maker, requested
from tests.integration.inside import World


@pytest.fixture
def job(world: World, tmp_path: Path) -> Job:
    key = f"uploads/{world.caller.account_id}/user/1/001.mp4"
    world.media.put(key, clip(tmp_path / "clip.mp4").read_bytes(), "video/mp4")
    return requested(world, CompileRequest("POST /compile-videos", clips=[ClipSource(s3_key=key)] * 2))


def stopped_by(world: World, folder: Path, error: Exception, job: Job, limit_seconds: float | None) -> None:
    """Compiles in a place where that happens as soon as work begins."""
    folder.mkdir(mode=0o700)

    @contextmanager
    def workplace(job_id: UUID, owner: str) -> Iterator[Place]:
        def check() -> None:
            raise error

        yield Place(folder, encoder(), check)

    replace(maker(world, folder), workplace=workplace).compile(job.id, limit_seconds=limit_seconds)


@pytest.mark.parametrize(
    ("error", "limit_seconds"),
    [(OutOfTime(), 20.0), (OutOfTime(), None), (DependencyDown("The media store does not answer."), 20.0)],
    ids=["a caller's time", "an invocation's time", "the store, for a caller"],
)
def test_what_cannot_be_finished_here_is_queued_at_once(
    world: World, job: Job, tmp_path: Path, error: Exception, limit_seconds: float | None
) -> None:
    before = len(world.queue.of("compile"))

    stopped_by(world, tmp_path / "stopped", error, job, limit_seconds)

    assert len(world.queue.of("compile")) == before + 1
    assert look(world, job).status.value == "processing"
    maker(world, tmp_path).compile(job.id)
    assert look(world, job).status.value == "completed"


def test_a_worker_of_the_queue_leaves_a_store_that_is_down_to_its_queue(world: World, job: Job, tmp_path: Path) -> None:
    before = len(world.queue.of("compile"))

    with pytest.raises(DependencyDown):
        stopped_by(world, tmp_path / "stopped", DependencyDown("The media store does not answer."), job, None)

    assert len(world.queue.of("compile")) == before


def test_a_film_that_finds_no_room_fails_with_a_code_of_its_own(world: World, job: Job, tmp_path: Path) -> None:
    before = len(world.queue.of("compile"))

    stopped_by(world, tmp_path / "stopped", NoRoom(), job, None)

    ended = look(world, job)
    assert (ended.status.value, ended.error_code, len(world.queue.of("compile"))) == ("failed", "no_room", before)


def test_a_job_that_was_stopped_is_queued_by_nobody(world: World, job: Job, tmp_path: Path) -> None:
    before = len(world.queue.of("compile"))

    stopped_by(world, tmp_path / "stopped", Conflict("The job was stopped.", code="stopped"), job, 20.0)

    assert len(world.queue.of("compile")) == before
