"""Scripts, the order of their clips, and a person's verdict on each clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.domain.errors import Conflict, InvalidRequest, Mistake
from shared.domain.jobs import Caller, Job, iso
from shared.domain.scripts import APPROVABLE, REJECTABLE, Script, SectionVideo, positions_after_move
from shared.ports import Clock, Records, Transaction
from shared.usecases.clips import (
    ANY_VERSION,
    Seen,
    locked_clip,
    refuse_stale,
    refuse_superseded,
    refuse_unseen_rejection,
    unknown_script,
    unknown_video,
)
from shared.usecases.idempotency import Once, hash_of, is_repeated, refuse_other_body, set_made

MOST_POSITIONS = 100_000
# Two signed URLs a video are up to 3.5 KB, and Lambda answers at most 6 MB (Lambda quotas, payload).
MOST_SHOWN = 1000

Also = Callable[[Transaction, Job], object]
Regenerate = Callable[[SectionVideo, Job, Also], Job]
"""Makes a clip anew: of the clip, the job that made it, and what is to be done in the new job's transaction."""


WITHOUT_KEY = Once("POST /api/section-videos/{videoId}/reject", None, "")


@dataclass(frozen=True, slots=True)
class Rejection:
    """A person's verdict on a clip, and the request that brought it."""

    video_id: int
    reason: str | None = None
    once: Once = WITHOUT_KEY
    seen: Seen = ANY_VERSION


class _DoneMeanwhile(Exception):
    """Another call under the same key has rejected the clip; this one's transaction is undone."""


def create_script(
    section_id: int, content: str | None, caller: Caller, *, records: Records, key: str | None = None
) -> Script:
    """A new script of the account, or the one its idempotency key made before. Raises Conflict, NotFound (deleted)."""
    once = Once("POST /api/scripts", key, hash_of({"sectionId": section_id, "scriptContent": content}))
    with records.transaction() as tx:
        repeated, made = is_repeated(tx, caller, once)
        if repeated:
            earlier = tx.script(caller.account_id, int(made or 0))
            if earlier is None:
                raise unknown_script(int(made or 0))
            return earlier
        script = tx.insert_script(caller.account_id, section_id, content)
        set_made(tx, caller, once, script.id)
        return script


def read_script(script_id: int, caller: Caller, *, records: Records) -> tuple[Script, Sequence[SectionVideo], int]:
    """The script, its first MOST_SHOWN clips in order, and how many there are. Raises NotFound."""
    with records.transaction() as tx:
        script = tx.script(caller.account_id, script_id)
        if script is None:
            raise unknown_script(script_id)
        videos = tx.videos(caller.account_id, script_id=script_id, limit=MOST_SHOWN)
        return script, videos, tx.count_videos(caller.account_id, script_id)


def approve(video_id: int, caller: Caller, *, records: Records, clock: Clock, seen: Seen = ANY_VERSION) -> SectionVideo:
    """The approved clip; again is the same answer.

    Raises NotFound, and Conflict: `stale_version`, `rejected_meanwhile` (by a call that this one's caller cannot have
    seen), `superseded`, `not_completed` naming its state.
    """
    seen = Seen(seen.versions, seen.at or clock.now())
    with records.transaction() as tx:
        video = locked_clip(tx, caller, video_id)
        if _given_before(video, "approved", caller, seen):
            return video
        refuse_stale(video, seen)
        refuse_unseen_rejection(video, caller, seen)
        refuse_superseded(tx, video)
        if video.status not in APPROVABLE:
            raise _not_movable(video, "approved")
        return _judged(tx, video, "approved", caller, clock.now())


def reject(
    rejection: Rejection, caller: Caller, *, records: Records, clock: Clock, regenerate: Regenerate | None = None
) -> tuple[SectionVideo, Job | None]:
    """The rejected clip and, when asked for, the job that makes it anew: both in one transaction, or neither.

    Again under the same idempotency key is the same answer, and so is again for the same reason alone. Raises NotFound,
    Conflict, and what `regenerate` raises: then the clip keeps its state. A rejection wins over an approval that came
    at the same moment, in either order.
    """
    if regenerate is None:
        return _rejected_alone(rejection, caller, records, clock), None
    with records.transaction() as tx:
        earlier = _earlier_rejection(tx, caller, rejection)
        if earlier is not None:
            return earlier
        video, old = _regenerable(tx, caller, rejection)
    videos: list[SectionVideo] = []

    def reject_too(tx: Transaction, made: Job) -> None:
        repeated, _ = is_repeated(tx, caller, rejection.once)
        if repeated:
            raise _DoneMeanwhile
        set_made(tx, caller, rejection.once, made.id)
        videos.append(_rejected(tx, caller, rejection, clock))

    try:
        job = regenerate(video, old, reject_too)
    except (_DoneMeanwhile, Conflict):
        # The same request may have been delivered twice at once: then the clip is superseded by its own effect.
        with records.transaction() as tx:
            earlier = _earlier_rejection(tx, caller, rejection)
        if earlier is None:
            raise
        return earlier
    return videos[0], job


def _rejected_alone(rejection: Rejection, caller: Caller, records: Records, clock: Clock) -> SectionVideo:
    with records.transaction() as tx:
        repeated, _ = is_repeated(tx, caller, rejection.once)
        video = locked_clip(tx, caller, rejection.video_id)
        same = video.reject_reason == rejection.reason
        if repeated or (same and _given_before(video, "rejected", caller, rejection.seen)):
            return video
        rejected = _rejected(tx, caller, rejection, clock)
        # By which the key, a caller's own text, is found when the clip's job is erased.
        set_made(tx, caller, rejection.once, video.job_id or "")
        return rejected


def _rejected(tx: Transaction, caller: Caller, rejection: Rejection, clock: Clock) -> SectionVideo:
    video = locked_clip(tx, caller, rejection.video_id)
    refuse_stale(video, rejection.seen)
    if video.status not in REJECTABLE:
        raise _not_movable(video, "rejected")
    return _judged(tx, video, "rejected", caller, clock.now(), rejection.reason)


def _given_before(video: SectionVideo, verdict: str, caller: Caller, seen: Seen) -> bool:
    """Whether the verdict stands already: for a caller that names a version, in that one or made of it by its key."""
    if video.status != verdict:
        return False
    if seen.versions is None or video.version in seen.versions:
        return True
    return video.version - 1 in seen.versions and video.reviewed_by == caller.key_id


def _judged(
    tx: Transaction, video: SectionVideo, verdict: str, caller: Caller, now: datetime, reason: str | None = None
) -> SectionVideo:
    """The clip with its verdict, which the job's history and the account's endpoints hear of."""
    judged = tx.judge_video(video, verdict, key_id=caller.key_id, reason=reason)
    job = tx.job(video.account_id, video.job_id) if video.job_id else None
    if job is not None:
        details = {"videoId": str(video.id), "version": judged.version, "keyId": _id(caller.key_id)}
        tx.add_event(job, f"video.{verdict}", {**details, "previousStatus": video.status})
        data = {**details, "jobId": str(job.id), "status": verdict, "previousStatus": video.status}
        tx.announce(job, "events", {"type": f"video.{verdict}", "timestamp": iso(now), "data": data})
    return judged


def _known_video(tx: Transaction, caller: Caller, rejection: Rejection) -> SectionVideo:
    video = tx.video(caller.account_id, rejection.video_id)
    if video is None:
        raise unknown_video(rejection.video_id)
    return video


def _earlier_rejection(tx: Transaction, caller: Caller, rejection: Rejection) -> tuple[SectionVideo, Job | None] | None:
    once = rejection.once
    kept = tx.kept_key(caller.account_id, once.route, once.key) if once.key is not None else None
    if kept is None:
        return None
    refuse_other_body(kept.request_hash, once.request_hash)
    job = tx.job(caller.account_id, UUID(kept.made)) if kept.made else None
    return _known_video(tx, caller, rejection), job


def _regenerable(tx: Transaction, caller: Caller, rejection: Rejection) -> tuple[SectionVideo, Job]:
    """The clip and the job that made it. Raises NotFound, Conflict."""
    video = _known_video(tx, caller, rejection)
    refuse_stale(video, rejection.seen)
    refuse_superseded(tx, video)
    if video.status not in REJECTABLE:
        raise _not_movable(video, "rejected")
    job = tx.job(caller.account_id, video.job_id) if video.job_id else None
    if job is None or job.kind != "generate":
        raise Conflict("This clip was not generated here: upload another in its place.", code="not_generated")
    return video, job


def place(video_id: int, position: int, caller: Caller, *, records: Records, seen: Seen = ANY_VERSION) -> SectionVideo:
    """The clip as number `position` of its script, or as the last one; the others make room for it.

    Raises NotFound, InvalidRequest, Conflict `stale_version`.
    """
    if not 0 <= position <= MOST_POSITIONS:
        problem = f"must be between 0 and {MOST_POSITIONS}"
        raise InvalidRequest(f"position {problem}.", details=[Mistake("position", problem)])
    with records.transaction() as tx:
        script_id = _script_of(tx, caller, video_id)
        clips = tx.lock_places(caller.account_id, script_id) if script_id is not None else ()
        video = locked_clip(tx, caller, video_id)
        changes = positions_after_move(clips, video_id, position) if clips else {video_id: position}
        if changes:
            refuse_stale(video, seen)
            tx.set_positions(caller.account_id, changes)
        return tx.step_video(caller.account_id, video_id) if video_id in changes else video


def _script_of(tx: Transaction, caller: Caller, video_id: int) -> int | None:
    """The clip's script, locked: moves in it are made one after another. Raises NotFound."""
    video = tx.video(caller.account_id, video_id)
    if video is None:
        raise unknown_video(video_id)
    if video.script_id is not None:
        tx.lock_script(caller.account_id, video.script_id)
    return video.script_id


def present_verdict(video: SectionVideo) -> dict[str, object]:
    """A verdict as the key that gave it sees it."""
    return {
        "videoId": str(video.id),
        "status": video.status,
        "version": video.version,
        "reviewedBy": _id(video.reviewed_by),
        "previousStatus": video.reviewed_from,
    }


def _not_movable(video: SectionVideo, verdict: str) -> Conflict:
    return Conflict(f"The clip is {video.status}; only a completed clip can be {verdict}.", code="not_completed")


def _id(key_id: UUID | None) -> str | None:
    return str(key_id) if key_id else None
