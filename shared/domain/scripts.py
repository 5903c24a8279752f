"""Scripts and their section videos, and the review of clips."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

APPROVABLE = ("completed", "rejected")
REJECTABLE = ("completed", "approved", "rejected")


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
    """One clip of a script; `key` and `thumbnail_key` are S3 keys."""

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
