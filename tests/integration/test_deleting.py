"""Deleting clips and scripts: whole or not at all, beside films and work that goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.errors import Conflict, Forbidden, NotFound
from shared.domain.jobs import Caller
from shared.domain.storage_keys import generated_folder
from shared.usecases.clips import Seen
from shared.usecases.compile_request import CompileRequest
from shared.usecases.delete_clips import Deleted, Deleter
from shared.usecases.erase import Eraser
from shared.usecases.review_clips import approve, create_script, place
from tests.integration.inside import REQUEST, World
from tests.integration.test_at_once import THREADS, Act, at_once, compiling, completed_clip
from tests.integration.test_places import order
from tests.memory import MemoryView
from tests.memory_media import MemoryMedia


class Deleting:
    """A script of the world's account and what may be deleted of it."""

    def __init__(self, world: World) -> None:
        self.world, self.media = world, MemoryMedia()
        self.script_id = create_script(1, "A script", world.caller, records=world.records).id

    def deleter(self, world: World) -> Deleter:
        eraser = Eraser(world.records, self.media, MemoryView(), MemoryView(), world.aftermath, world.clock)
        return Deleter(world.records, eraser)

    def clip(self) -> int:
        video_id = completed_clip(self.world, self.script_id)
        ((job_id, created_at),) = self.world.sql(
            "SELECT j.id, j.created_at FROM vsl.jobs j JOIN vsl_frontend.section_videos v ON v.job_id = j.id "
            "WHERE v.id = %s",
            video_id,
        )
        folder = generated_folder(self.world.caller.account_id, "user", created_at, job_id)
        self.media.objects[f"{folder}/original.mp4"] = (b"x", "video/mp4")
        self.world.sql("UPDATE vsl.provider_attempts SET state = 'finished' WHERE state <> 'finished'")
        return video_id

    def approved(self) -> int:
        video_id = self.clip()
        approve(video_id, self.world.caller, records=self.world.records, clock=self.world.clock)
        return video_id

    def running(self) -> int:
        _, job_id, _ = self.world.generate(replace(REQUEST, script_id=self.script_id))
        return int(self.world.sql("SELECT id FROM vsl_frontend.section_videos WHERE job_id = %s", job_id)[0][0])

    def delete(self, video_id: int, caller: Caller | None = None, seconds: float = 60, **options: Any) -> Deleted:
        return self.deleter(self.world).delete_clip(video_id, caller or self.world.caller, seconds, **options)

    def delete_script(self, caller: Caller | None = None, **options: Any) -> Deleted:
        return self.deleter(self.world).delete_script(self.script_id, caller or self.world.caller, 60, **options)

    def left(self) -> list[tuple[int, int]]:
        return [(video.id, video.position) for video in order(self.world, self.script_id)]

    def erased_jobs(self) -> int:
        ((jobs,),) = self.world.sql(
            "SELECT count(*) FROM vsl.jobs WHERE script_id = %s AND erased_at IS NOT NULL", self.script_id
        )
        return int(jobs)


@pytest.fixture
def deleting(world: World) -> Deleting:
    return Deleting(world)


def with_scopes(world: World, *scopes: str) -> Caller:
    return replace(world.caller, scopes=frozenset(scopes))


def test_a_deleted_clip_leaves_no_row_no_gap_and_no_media(deleting: Deleting) -> None:
    a, b, c = (deleting.clip() for _ in range(3))

    deleted = deleting.delete(b)

    assert deleting.left() == [(a, 1), (c, 2)]
    assert [erasure.completed_at is not None for erasure in deleted.erasures] == [True]
    assert len(deleting.media.objects) == 2
    with pytest.raises(NotFound):
        deleting.delete(b)


def test_media_that_there_is_no_time_for_are_left_to_the_sweep(deleting: Deleting) -> None:
    deleted = deleting.delete(deleting.clip(), seconds=0)
    assert len(deleting.media.objects) == 1

    deleting.deleter(deleting.world).eraser.resume(60)

    assert (deleting.media.objects, len(deleted.erasures)) == ({}, 1)


def test_a_clip_that_is_being_made_or_used_stays_and_the_caller_hears_how_to_go_on(deleting: Deleting) -> None:
    running, used = deleting.running(), deleting.approved()
    film = compiling(CompileRequest("POST /compile-videos", video_ids=[used]))(deleting.world)

    with pytest.raises(Conflict, match=r"POST /jobs/.+/cancel") as busy:
        deleting.delete(running)
    with pytest.raises(Conflict, match=str(film.id)) as in_use:
        deleting.delete(used)

    assert (busy.value.code, in_use.value.code) == ("not_finished", "in_use")
    assert in_use.value.details[0].facts == {"jobId": str(film.id)}
    deleting.world.sql("UPDATE vsl.jobs SET status = 'cancelled', completed_at = now() WHERE id = %s", film.id)
    assert deleting.delete(used).video_ids == [used]


def test_media_are_erased_by_a_key_that_may_erase(deleting: Deleting) -> None:
    made, failed = deleting.clip(), deleting.running()
    deleting.world.sql("UPDATE vsl_frontend.section_videos SET status = 'failed' WHERE id = %s", failed)
    reviewer = with_scopes(deleting.world, "review")

    with pytest.raises(Forbidden, match="'admin'"):
        deleting.delete(made, reviewer)
    with pytest.raises(Forbidden, match="'admin'"):
        deleting.delete_script(reviewer)

    assert deleting.delete(failed, reviewer).erasures == []
    assert deleting.left() == [(made, 1)]
    assert deleting.delete(made, with_scopes(deleting.world, "review", "admin")).video_ids == [made]
    assert deleting.delete_script(reviewer).video_ids == []


def test_another_accounts_clips_and_scripts_are_not_there(deleting: Deleting, other: Caller) -> None:
    clip = deleting.clip()

    with pytest.raises(NotFound):
        deleting.delete(clip, other)
    with pytest.raises(NotFound):
        deleting.delete_script(other)

    assert deleting.left() == [(clip, 1)]


def test_a_clip_that_has_changed_since_it_was_seen_stays(deleting: Deleting) -> None:
    clip = deleting.approved()

    with pytest.raises(Conflict) as stale:
        deleting.delete(clip, seen=Seen(frozenset({1})))

    assert (stale.value.code, deleting.left()) == ("stale_version", [(clip, 1)])


def test_a_deletion_that_is_delivered_twice_is_one(deleting: Deleting) -> None:
    clip = deleting.clip()

    first, again = (deleting.delete(clip, key="once") for _ in range(2))

    assert [one.id for one in first.erasures] == [one.id for one in again.erasures]
    assert again.video_ids == [clip]
    deleting.clip()
    scripts = [deleting.delete_script(key="once") for _ in range(2)]
    assert {one.id for one in scripts[0].erasures} <= {one.id for one in scripts[1].erasures}


def test_a_script_goes_with_its_clips_and_their_media(deleting: Deleting) -> None:
    for _ in range(3):
        deleting.approved()

    deleted = deleting.delete_script()

    assert (len(deleted.video_ids), deleting.left(), deleting.media.objects) == (3, [], {})
    assert deleting.erased_jobs() == 3
    left = "SELECT count(*) FROM vsl_frontend.section_detailed_scripts WHERE id = %s"
    assert deleting.world.sql(left, deleting.script_id) == [(0,)]
    with pytest.raises(NotFound):
        deleting.delete_script()
    with pytest.raises(NotFound):
        deleting.world.generate(replace(REQUEST, script_id=deleting.script_id))


def test_of_a_script_with_a_clip_in_use_nothing_is_deleted(deleting: Deleting) -> None:
    clips = [deleting.approved(), deleting.approved()]
    compiling(CompileRequest("POST /compile-videos", video_ids=clips[:1]))(deleting.world)

    with pytest.raises(Conflict):
        deleting.delete_script()

    assert [video_id for video_id, _ in deleting.left()] == clips
    assert deleting.erased_jobs() == 0


def test_a_film_and_a_deletion_at_once_are_never_both(deleting: Deleting) -> None:
    for _ in range(3):
        clips = [deleting.approved(), deleting.approved()]
        request = CompileRequest("POST /compile-videos", video_ids=clips)

        at_once(deleting.world, [compiling(request), deleted(deleting, clips[0])])

        films = deleting.world.sql(
            "SELECT count(*) FROM vsl.jobs WHERE kind = 'compile' AND account_id = %s AND status = 'pending'",
            deleting.world.caller.account_id,
        )
        gone = clips[0] not in [video_id for video_id, _ in deleting.left()]
        assert gone is (films == [(0,)])
        deleting.world.sql(
            "UPDATE vsl.jobs SET status = 'cancelled', completed_at = now() WHERE kind = 'compile' "
            "AND status = 'pending'"
        )


def test_a_script_is_deleted_whole_beside_moves_and_new_clips(deleting: Deleting) -> None:
    clips = [deleting.clip() for _ in range(4)]
    acts: list[Act] = [
        lambda world: deleting.deleter(world).delete_script(deleting.script_id, world.caller, 0),
        lambda world: place(clips[0], 3, world.caller, records=world.records),
        lambda world: world.generate(replace(REQUEST, script_id=deleting.script_id)),
    ]

    given = at_once(deleting.world, acts)

    ((scripts,),) = deleting.world.sql(
        "SELECT count(*) FROM vsl_frontend.section_detailed_scripts WHERE id = %s", deleting.script_id
    )
    assert len(given) == THREADS
    if scripts:
        # A clip was asked for first.
        positions = [position for _, position in deleting.left()]
        assert positions == list(range(1, len(positions) + 1))
    else:
        assert deleting.left() == []


def deleted(deleting: Deleting, clip: int) -> Act:
    return lambda world: deleting.deleter(world).delete_clip(clip, world.caller, 0)
