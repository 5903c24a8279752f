"""Section videos as every use case finds and refuses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.domain.errors import Conflict, Mistake, NotFound
from shared.domain.jobs import Caller, iso
from shared.domain.scripts import SectionVideo, positions_without_gaps
from shared.ports import Transaction


@dataclass(frozen=True, slots=True)
class Seen:
    """What a caller can have seen of a clip: the versions of If-Match, None without; and when the call came."""

    versions: frozenset[int] | None = None
    at: datetime | None = None


ANY_VERSION = Seen()
# Nobody reads the rejection of another key and overrules it sooner.
READ_AFTER = timedelta(seconds=1)


def locked_clip(tx: Transaction, caller: Caller, video_id: int) -> SectionVideo:
    """The account's clip, locked until the end of the transaction. Raises NotFound."""
    video = tx.lock_video(caller.account_id, video_id)
    if video is None:
        raise unknown_video(video_id)
    return video


def refuse_stale(video: SectionVideo, seen: Seen) -> None:
    """Raises Conflict when the clip has changed since its caller saw it."""
    if seen.versions is not None and video.version not in seen.versions:
        raise _changed(video, "stale_version", "has changed since the version in If-Match")


def refuse_unseen_rejection(video: SectionVideo, caller: Caller, seen: Seen) -> None:
    """Raises Conflict when the clip was rejected after the call to approve it had come, so that nobody overrules a
    rejection unseen; a caller that names the rejection's version has seen it.

    Another key's rejection is taken as unseen for a second more: it has to be answered, shown and read first.
    """
    if seen.versions is not None or video.status != "rejected" or video.reviewed_at is None:
        return
    seen_from = video.reviewed_at + (timedelta() if video.reviewed_by == caller.key_id else READ_AFTER)
    if seen.at is not None and seen.at < seen_from:
        raise _changed(video, "rejected_meanwhile", "was rejected at the same moment")


def refuse_superseded(tx: Transaction, video: SectionVideo) -> None:
    """Raises Conflict when the clip was made again: its last take is the one to be judged."""
    if video.superseded_by is None:
        return
    successor = tx.video(video.account_id, video.superseded_by)
    state = successor.status if successor else "there"
    way = "approve that one"
    if state in ("failed", "cancelled") and successor is not None:
        way = f"POST /jobs/{successor.job_id}/retry makes it once more"
    raise Conflict(
        f"Section video {video.id} was made again as section video {video.superseded_by}, which is {state}: {way}, or "
        f"DELETE /api/section-videos/{video.superseded_by} and then approve this one.",
        code="superseded",
        details=[Mistake("videoId", "is superseded", {"supersededBy": str(video.superseded_by), "status": state})],
    )


def hold_clips(tx: Transaction, caller: Caller, sources: Sequence[Mapping[str, Any]]) -> None:
    """Keeps the clips that a new job is made of from being deleted unseen. Raises Conflict when one has gone."""
    named = {source["videoId"] for source in sources if source["videoId"] is not None}
    if named and tx.hold_videos(caller.account_id, sorted(named)) < len(named):
        raise Conflict("A clip was deleted at the same moment: send the request again.", code="clip_deleted")


def close_up(tx: Transaction, account_id: UUID, script_id: int) -> None:
    """The clips of a locked script stand without gaps again."""
    tx.set_positions(account_id, positions_without_gaps(tx.lock_places(account_id, script_id)))


def unknown_script(script_id: int) -> NotFound:
    """There is no such script."""
    return NotFound(f"There is no script {script_id}: POST /api/scripts makes one.")


def unknown_video(video_id: int) -> NotFound:
    """There is no such clip."""
    return NotFound(f"There is no section video {video_id}: GET /api/section-videos lists them.")


def _changed(video: SectionVideo, code: str, problem: str) -> Conflict:
    facts: dict[str, str | int | None] = {
        "version": video.version,
        "status": video.status,
        "reviewedBy": str(video.reviewed_by) if video.reviewed_by else None,
        "reviewedAt": iso(video.reviewed_at),
    }
    return Conflict(
        f"Section video {video.id} {problem}: it is {video.status} now, in version {video.version}. Look at it again, "
        "then send If-Match with that version.",
        code=code,
        details=[Mistake("If-Match", f"the version is {video.version}", facts)],
    )
