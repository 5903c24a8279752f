"""Scripts, their clips in order, and a person's verdict on each clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.domain.errors import Conflict, InvalidRequest, Mistake, NotFound
from shared.domain.jobs import Caller, Job, iso
from shared.domain.scripts import APPROVABLE, REJECTABLE, Script, SectionVideo
from shared.ports import Clock, MediaStore, Records, Transaction
from shared.usecases.idempotency import Once, hash_of, is_repeated, refuse_other_body, set_made

SORTS = 100_000
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


class _DoneMeanwhile(Exception):
    """Another call under the same key has rejected the clip; this one's transaction is undone."""


def create_script(
    section_id: int, content: str | None, caller: Caller, *, records: Records, key: str | None = None
) -> Script:
    """A new script of the account, or the one its idempotency key made before. Raises Conflict."""
    once = Once("POST /api/scripts", key, hash_of({"sectionId": section_id, "scriptContent": content}))
    with records.transaction() as tx:
        repeated, made = is_repeated(tx, caller, once)
        if repeated:
            earlier = tx.script(caller.account_id, int(made or 0))
            assert earlier is not None  # scripts are never removed
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


def approve(video_id: int, caller: Caller, *, records: Records, clock: Clock) -> SectionVideo:
    """The approved clip. Raises NotFound, Conflict `not_completed` naming its state."""
    with records.transaction() as tx:
        video = tx.move_video(caller.account_id, video_id, APPROVABLE, "approved")
        if video is not None:
            _announce_verdict(tx, video, clock)
            return video
        approved_before = tx.video(caller.account_id, video_id)
        if approved_before is None or approved_before.status != "approved":
            raise _not_movable(tx, caller, video_id, "approved")
        return approved_before


def reject(
    rejection: Rejection, caller: Caller, *, records: Records, regenerate: Regenerate | None = None
) -> tuple[SectionVideo, Job | None]:
    """The rejected clip and, when asked for, the job that makes it anew: both in one transaction, or neither.

    Again under the same idempotency key is the same answer. Raises NotFound, Conflict, and what `regenerate` raises:
    then the clip keeps its state.
    """
    if regenerate is None:
        with records.transaction() as tx:
            repeated, _ = is_repeated(tx, caller, rejection.once)
            return _known_video(tx, caller, rejection) if repeated else _rejected(tx, caller, rejection), None
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
        videos.append(_rejected(tx, caller, rejection))

    try:
        job = regenerate(video, old, reject_too)
    except _DoneMeanwhile:
        return reject(rejection, caller, records=records, regenerate=regenerate)
    return videos[0], job


def _rejected(tx: Transaction, caller: Caller, rejection: Rejection) -> SectionVideo:
    video = tx.move_video(caller.account_id, rejection.video_id, REJECTABLE, "rejected", rejection.reason)
    if video is None:
        raise _not_movable(tx, caller, rejection.video_id, "rejected")
    return video


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
    if video.status not in REJECTABLE:
        raise _not_movable(tx, caller, video.id, "rejected")
    job = tx.job(caller.account_id, video.job_id) if video.job_id else None
    if job is None or job.kind != "generate":
        raise Conflict("This clip was not generated here: upload another in its place.", code="not_generated")
    return video, job


def place(video_id: int, position: int, caller: Caller, *, records: Records) -> SectionVideo:
    """The clip at its new place. Raises NotFound, InvalidRequest."""
    if not 0 <= position <= SORTS:
        problem = f"must be between 0 and {SORTS}"
        raise InvalidRequest(f"position {problem}.", details=[Mistake("position", problem)])
    with records.transaction() as tx:
        video = tx.place_video(caller.account_id, video_id, position)
    if video is None:
        raise unknown_video(video_id)
    return video


def present_video(video: SectionVideo, media: MediaStore) -> dict[str, Any]:
    """A clip as callers see it."""
    return {
        "videoId": str(video.id),
        "sectionId": video.section_id,
        "scriptId": video.script_id,
        "userId": video.user_id,
        "jobId": str(video.job_id) if video.job_id else None,
        "position": video.position,
        "status": video.status,
        "resultUrl": media.signed_url(video.key) if video.key else None,
        "thumbnailUrl": media.signed_url(video.thumbnail_key) if video.thumbnail_key else None,
        "errorMessage": video.error_message,
        "rejectReason": video.reject_reason,
        "createdAt": iso(video.created_at),
        "updatedAt": iso(video.updated_at),
    }


def present_script(script: Script, media: MediaStore) -> dict[str, Any]:
    """A script as callers see it."""
    return {**present_listed_script(script, media), "scriptContent": script.script_content}


def present_listed_script(script: Script, media: MediaStore) -> dict[str, Any]:
    """A script as lists have it: its content may be megabytes, and is read with the script alone."""
    return {
        "scriptId": script.id,
        "sectionId": script.section_id,
        "compiledVideoUrl": media.signed_url(script.compiled_key) if script.compiled_key else None,
        "compiledAt": iso(script.compiled_at),
        "createdAt": iso(script.created_at),
        "updatedAt": iso(script.updated_at),
    }


def unknown_script(script_id: int) -> NotFound:
    """There is no such script."""
    return NotFound(f"There is no script {script_id}: POST /api/scripts makes one.")


def unknown_video(video_id: int) -> NotFound:
    """There is no such clip."""
    return NotFound(f"There is no section video {video_id}: GET /api/section-videos lists them.")


def _not_movable(tx: Transaction, caller: Caller, video_id: int, verdict: str) -> Exception:
    video = tx.video(caller.account_id, video_id)
    if video is None:
        return unknown_video(video_id)
    return Conflict(f"The clip is {video.status}; only a completed clip can be {verdict}.", code="not_completed")


def _announce_verdict(tx: Transaction, video: SectionVideo, clock: Clock) -> None:
    job = tx.job(video.account_id, video.job_id) if video.job_id else None
    if job is None:
        return
    data: Mapping[str, Any] = {"videoId": str(video.id), "jobId": str(job.id), "status": video.status}
    tx.announce(job, "events", {"type": "video.approved", "timestamp": iso(clock.now()), "data": data})
