"""Verdicts on a clip: nobody overrules another unseen, and the last take of a clip is the one that is judged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.domain.errors import Conflict
from shared.domain.jobs import Caller, Job
from shared.domain.scripts import SectionVideo
from shared.usecases.clips import Seen
from shared.usecases.generate_media import generate_media
from shared.usecases.review_clips import Also, Rejection, approve, create_script, reject
from shared.usecases.shown_clips import present_video
from tests.integration.inside import CATALOG, REQUEST, World
from tests.integration.test_at_once import Act, at_once, completed_clip
from tests.memory import MemorySchemas

KEY = UUID(int=9)


class Review:
    """One key's verdicts on clips of one script."""

    def __init__(self, world: World) -> None:
        self.world, self.caller = world, replace(world.caller, key_id=KEY)
        self.script_id = create_script(1, "A script", world.caller, records=world.records).id

    def clip(self) -> int:
        return completed_clip(self.world, self.script_id)

    def seen(self, video_id: int) -> SectionVideo:
        with self.world.records.transaction() as tx:
            video = tx.video(self.caller.account_id, video_id)
        assert video is not None
        return video

    def approve(self, video_id: int, *versions: int, **options: Any) -> SectionVideo:
        seen = Seen(frozenset(versions) or None, options.pop("at", None))
        caller: Caller = options.pop("caller", self.caller)
        return approve(video_id, caller, records=self.world.records, clock=self.world.clock, seen=seen)

    def reject(self, video_id: int, *versions: int, reason: str | None = "no") -> SectionVideo:
        rejection = Rejection(video_id, reason, seen=Seen(frozenset(versions) or None))
        return reject(rejection, self.caller, records=self.world.records, clock=self.world.clock)[0]

    def regenerate(self, video_id: int) -> int:
        """The id of the next take."""
        rejection = Rejection(video_id, "again")
        video, job = reject(
            rejection, self.caller, records=self.world.records, clock=self.world.clock, regenerate=self._again
        )
        assert job is not None
        assert video.superseded_by is not None
        return video.superseded_by

    def retry(self, video_id: int) -> int:
        """The id of the section video of a job that repeats the clip's."""
        old = self.seen(video_id)
        assert old.job_id is not None
        job, _, _ = self.world.generate(replace(REQUEST, script_id=self.script_id, retry_of=old.job_id))
        with self.world.records.transaction() as tx:
            (made,) = tx.videos_of_jobs(self.caller.account_id, [job.id])
        return made.id

    def _again(self, clip: SectionVideo, old: Job, also: Also) -> Job:
        world = self.world
        request = replace(REQUEST, script_id=clip.script_id, retry_of=old.id, replaces=clip.id)
        return generate_media(
            request,
            self.caller,
            records=world.records,
            catalog=CATALOG,
            schemas=MemorySchemas(),
            media=world.media,
            clock=world.clock,
            aftermath=world.aftermath,
            also=also,
        )

    def set(self, video_id: int, status: str) -> None:
        self.world.sql("UPDATE vsl_frontend.section_videos SET status = %s WHERE id = %s", status, video_id)


@pytest.fixture
def review(world: World) -> Review:
    return Review(world)


def refusal(act: Any, *given: Any, **options: Any) -> Conflict:
    with pytest.raises(Conflict) as refused:
        act(*given, **options)
    return refused.value


def test_a_verdict_on_a_version_that_has_changed_is_refused_and_told_what_it_is_now(review: Review) -> None:
    clip = review.clip()
    seen = review.seen(clip).version
    review.reject(clip, seen)

    stale = refusal(review.approve, clip, seen)

    assert (stale.code, review.seen(clip).status) == ("stale_version", "rejected")
    facts = stale.details[0].facts
    assert (facts["version"], facts["status"], facts["reviewedBy"]) == (seen + 1, "rejected", str(KEY))
    assert f"version {seen + 1}" in stale.sentence
    assert review.approve(clip, seen + 1).status == "approved"
    assert refusal(review.reject, clip, seen).code == "stale_version"


def test_a_rejection_that_nobody_can_have_seen_is_not_overruled(review: Review) -> None:
    clip = review.clip()
    came = review.world.clock.now()
    rejected = review.reject(clip)

    meanwhile = refusal(review.approve, clip, at=came)

    assert (meanwhile.code, review.seen(clip).status) == ("rejected_meanwhile", "rejected")
    # Who names its version has seen it, and so has one who came later.
    assert review.approve(clip, rejected.version, at=came).reviewed_from == "rejected"
    review.reject(clip)
    assert review.approve(clip, at=review.world.clock.now() + timedelta(seconds=1)).status == "approved"


def test_another_keys_rejection_is_unseen_for_a_second_more(review: Review) -> None:
    clip = review.clip()
    rejected_at = review.reject(clip).reviewed_at
    assert rejected_at is not None
    other = replace(review.caller, key_id=uuid4())

    meanwhile = refusal(review.approve, clip, at=rejected_at + timedelta(seconds=0.9), caller=other)

    assert (meanwhile.code, review.seen(clip).status) == ("rejected_meanwhile", "rejected")
    later = review.approve(clip, at=rejected_at + timedelta(seconds=1), caller=other)
    assert (later.status, later.reviewed_from) == ("approved", "rejected")


def test_a_rejection_wins_over_an_approval_of_the_same_moment(review: Review) -> None:
    clip = review.clip()
    review.approve(clip)

    rejected = review.reject(clip)

    assert (rejected.status, rejected.reviewed_from) == ("rejected", "approved")


def test_a_verdict_that_is_delivered_twice_is_one_step(review: Review) -> None:
    clip = review.clip()
    seen = review.seen(clip).version

    approvals = [review.approve(clip, seen), review.approve(clip, seen), review.approve(clip)]
    assert {video.version for video in approvals} == {seen + 1}
    rejections = [review.reject(clip, seen + 1), review.reject(clip, seen + 1), review.reject(clip)]
    assert {video.version for video in rejections} == {seen + 2}
    # By another key it is another verdict.
    other = replace(review.caller, key_id=uuid4())
    approved = review.approve(clip, seen + 2, caller=other)
    assert refusal(review.approve, clip, seen + 2).code == "stale_version"
    assert review.approve(clip, seen + 2, caller=other).version == approved.version


def test_events_name_the_key_and_the_version(review: Review) -> None:
    clip = review.clip()
    job_id = review.seen(clip).job_id
    assert job_id is not None
    version = review.seen(clip).version

    review.approve(clip)
    review.reject(clip)

    told = [details for name, details in review.world.events(job_id) if name.startswith("video.")]
    common = {"videoId": str(clip), "keyId": str(KEY)}
    assert told == [
        {**common, "version": version + 1, "previousStatus": "completed"},
        {**common, "version": version + 2, "previousStatus": "approved"},
    ]
    sent = review.world.sql(
        "SELECT body->>'type', body->'data' FROM vsl.outbox WHERE job_id = %s AND body->>'type' LIKE 'video.%%' "
        "ORDER BY id",
        job_id,
    )
    assert [kind for kind, _ in sent] == ["video.approved", "video.rejected"]
    assert [(data["keyId"], data["version"]) for _, data in sent] == [(str(KEY), version + 1), (str(KEY), version + 2)]
    assert "no" not in [data.get("reason") for _, data in sent]


def test_a_clip_that_was_made_again_is_not_approved_beside_its_successor(review: Review) -> None:
    clip = review.clip()
    successor = review.regenerate(clip)

    for status in ("pending", "completed", "approved"):
        review.set(successor, status)
        refused = refusal(review.approve, clip)
        assert refused.code == "superseded"
        assert refused.details[0].facts == {"supersededBy": str(successor), "status": status}
        assert f"section video {successor}" in refused.sentence
    shown = present_video(review.seen(clip), review.world.media)
    assert (shown["supersededBy"], shown["status"]) == (str(successor), "rejected")
    assert review.seen(successor).superseded_by is None


def test_a_clip_is_made_again_once_by_many_at_once(review: Review) -> None:
    clip = review.clip()

    given = at_once(review.world, [regenerating(review, clip)])

    takes = [one for one in given if isinstance(one, int)]
    assert len(takes) == 1
    assert {one.code for one in given if isinstance(one, Conflict)} == {"superseded"}
    jobs = review.world.sql("SELECT count(*) FROM vsl.jobs WHERE script_id = %s", review.script_id)
    assert jobs == [(2,)]


def test_approvals_and_a_regeneration_at_once_leave_one_clip_to_approve(review: Review) -> None:
    for _ in range(3):
        clip = review.clip()

        at_once(review.world, [approving(review, clip), regenerating(review, clip)])

        assert review.seen(clip).status == "rejected"
        assert review.seen(clip).superseded_by is not None


def approving(review: Review, clip: int) -> Act:
    came = review.world.clock.now()
    return lambda world: of(world, review).approve(clip, at=came)


def regenerating(review: Review, clip: int) -> Act:
    return lambda world: of(world, review).regenerate(clip)


def of(world: World, review: Review) -> Review:
    """The same script by another connection."""
    other = object.__new__(Review)
    other.world, other.caller, other.script_id = world, review.caller, review.script_id
    return other


def test_the_last_of_several_takes_is_the_one_to_judge(review: Review) -> None:
    first = review.clip()
    second = review.regenerate(first)
    review.set(second, "completed")
    third = review.regenerate(second)

    assert [review.seen(clip).superseded_by for clip in (first, second, third)] == [third, third, None]
    assert {review.seen(clip).position for clip in (first, second, third)} == {1}


@pytest.mark.parametrize("status", ["failed", "cancelled", "rejected"])
def test_a_retry_of_what_came_to_nothing_takes_its_place(review: Review, status: str) -> None:
    clip, after = review.clip(), review.clip()
    review.set(clip, status)

    again = review.retry(clip)

    assert review.seen(clip).superseded_by == again
    assert [review.seen(video).position for video in (clip, again, after)] == [1, 1, 2]


def test_a_retry_of_a_good_clip_is_another_clip(review: Review) -> None:
    clip = review.clip()
    review.approve(clip)

    again = review.retry(clip)

    assert review.seen(clip).superseded_by is None
    assert review.seen(again).position == 2


def test_a_failed_successor_says_how_to_go_on(review: Review) -> None:
    clip = review.clip()
    successor = review.regenerate(clip)
    review.set(successor, "failed")

    refused = refusal(review.approve, clip)

    assert f"POST /jobs/{review.seen(successor).job_id}/retry" in refused.sentence
    assert f"DELETE /api/section-videos/{successor}" in refused.sentence


def test_clips_show_what_was_asked_for_and_how_long_they_are(review: Review) -> None:
    shown = present_video(review.seen(review.clip()), review.world.media)

    assert (shown["prompt"], shown["modelId"], shown["duration"]) == ("x", "seedance-1-lite", 3.0)
    assert shown["version"] >= 1
