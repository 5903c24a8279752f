"""The live view and the keys' directory are made anew from PostgreSQL while work goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.domain.errors import DependencyDown, InvalidRequest
from shared.domain.jobs import JobStatus, snapshot
from shared.usecases import rebuild
from shared.usecases.manage_accounts import restore_keys
from shared.usecases.rebuild import Rebuilder
from tests.integration.inside import World
from tests.memory import MemoryKeys, MemoryView


class MovingView(MemoryView):
    """A job moves on, and its own snapshot is put, just before the first page is written."""

    def __init__(self, world: World, job_id: UUID) -> None:
        super().__init__()
        self._world, self._job_id, self._moved = world, job_id, False

    def replace(self, snapshot_: Mapping[str, Any]) -> bool:
        if not self._moved and snapshot_["jobId"] == str(self._job_id):
            self._moved = True
            with self._world.records.transaction() as tx:
                job = tx.lock_job(self._job_id)
                assert job is not None
                moved = tx.move_job(job, JobStatus.GENERATING)
            assert moved is not None
            self.put(snapshot(moved))
        return super().replace(snapshot_)


class DownKeys(MemoryKeys):
    """Does not answer."""

    def is_empty(self) -> bool:
        raise DependencyDown("The key directory does not answer.")


def whole(rebuilder: Rebuilder) -> list[Mapping[str, Any]]:
    pages = [rebuilder.page(None)]
    while (cursor := pages[-1]["cursor"]) is not None:
        pages.append(rebuilder.page(cursor))
    return pages


def test_a_job_that_moves_while_its_view_is_written_is_not_left_behind(world: World) -> None:
    _, job_id, _ = world.generate()
    live = MovingView(world, job_id)

    whole(Rebuilder(world.records, live, MemoryView()))

    assert live.snapshots[str(job_id)]["status"] == "generating"


def test_views_of_jobs_that_ended_long_ago_are_mended_but_not_made(world: World) -> None:
    stale, absent = (world.generate()[1] for _ in range(2))
    for job_id in (stale, absent):
        world.sql(
            "UPDATE vsl.jobs SET status = 'cancelled', completed_at = now() - interval '8 days' WHERE id = %s", job_id
        )
    live, cache = MemoryView(), MemoryView()
    for view in (live, cache):
        view.put({"jobId": str(stale), "version": 99, "status": "completed"})

    whole(Rebuilder(world.records, live, cache))

    assert [view.snapshots[str(stale)]["status"] for view in (live, cache)] == ["cancelled"] * 2
    assert str(absent) not in live.snapshots


def test_pages_are_gone_through_to_the_end_and_views_of_no_job_are_removed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "PAGE", 2)
    jobs = {str(world.generate()[1]) for _ in range(5)}
    live, stranger = MemoryView(), str(uuid4())
    live.put({"jobId": stranger, "version": 1})

    pages = whole(Rebuilder(world.records, live, MemoryView()))

    assert jobs <= live.snapshots.keys()
    assert stranger not in live.snapshots
    assert sum(page["removed"] for page in pages) == 1


def test_a_cursor_of_nobodys_is_refused(world: World) -> None:
    for cursor in ("jobs:7", "accounts:", "x"):
        with pytest.raises(InvalidRequest):
            Rebuilder(world.records, MemoryView(), MemoryView()).page(cursor)


def test_a_directory_is_restored_when_it_is_empty_and_left_to_later_when_it_is_down(world: World) -> None:
    directory = MemoryKeys()

    assert restore_keys(world.records, directory) == len(directory.keys) > 0
    assert restore_keys(world.records, directory) == 0
    assert restore_keys(world.records, DownKeys()) == 0
