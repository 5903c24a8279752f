"""Scripts and their section videos, and the review of clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

APPROVABLE = ("completed", "rejected")
REJECTABLE = ("completed", "approved", "rejected")
# A clip in one of these states is made again as another take of it, not as a further clip.
RETAKEN = ("rejected", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Script:
    """A script; `compiled_key` is the S3 key of its film."""

    id: int
    account_id: UUID
    section_id: int
    script_content: str | None
    compiled_key: str | None
    compiled_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SectionVideo:
    """One clip of a script; `key` and `thumbnail_key` are S3 keys.

    `reviewed_by` is the id of the key that gave the last verdict, `reviewed_from` the state before it.
    `superseded_by` is the last take of the clip where that is another one. `version` counts the changes of the clip
    itself: one that makes room for another keeps it. Model, duration and prompt are those of the job.
    """

    id: int
    account_id: UUID
    section_id: int
    script_id: int | None
    user_id: str
    job_id: UUID | None
    position: int
    status: str
    key: str | None
    thumbnail_key: str | None
    error_message: str | None
    reject_reason: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    first_take_id: int | None = None
    reviewed_by: UUID | None = None
    reviewed_at: datetime | None = None
    reviewed_from: str | None = None
    superseded_by: int | None = None
    model_id: str | None = None
    duration_seconds: Decimal | None = None
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a clip stands in its script; takes of one clip have the same `take`."""

    id: int
    take: int
    position: int


def positions_after_move(clips: Sequence[Placed], video_id: int, to: int) -> Mapping[int, int]:
    """The positions that change when this clip, with its takes, becomes number `to` of its script.

    Positions count from 1 without gaps; `to` below 1 is the first place, beyond the end the last.
    """
    order = _takes_in_order(clips)
    take = next(clip.take for clip in clips if clip.id == video_id)
    order.remove(take)
    order.insert(max(to, 1) - 1, take)
    return _changes(clips, order)


def positions_without_gaps(clips: Sequence[Placed]) -> Mapping[int, int]:
    """The positions that change when those of a script are numbered anew from 1."""
    return _changes(clips, _takes_in_order(clips))


def _takes_in_order(clips: Sequence[Placed]) -> list[int]:
    """By the place of the last take, which is the one that counts."""
    last = {clip.take: clip for clip in sorted(clips, key=lambda clip: clip.id)}
    return [clip.take for clip in sorted(last.values(), key=lambda clip: (clip.position, clip.id))]


def _changes(clips: Sequence[Placed], order: Sequence[int]) -> Mapping[int, int]:
    places = {take: number for number, take in enumerate(order, 1)}
    return {clip.id: places[clip.take] for clip in clips if clip.position != places[clip.take]}
