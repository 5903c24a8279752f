"""Jobs, their attempts and their legal transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, Protocol
from uuid import UUID

from shared.domain.errors import Forbidden

# Snapshots of another format are read from the row instead: what they lack is there.
SNAPSHOT_FORMAT = 2
NOTHING_IS_SENT = "Nothing is sent to webhookUrl yet, which is kept with the job: ask GET /status/{jobId}?wait=25."
# Kinds of jobs that look at clips, and of these the ones that make nothing and tell.
TOLD = frozenset({"plan", "probe"})
OF_CLIPS = TOLD | {"compile"}
# Queues whose work takes a processor for seconds or minutes: an account has a share of their workers.
Lane = Literal["compile", "inspect"]

# The user of a film that is made from clips of several users.
NO_ONE_USER = "-"

# As the database has them.
JobStep = Literal[
    "pending", "estimating", "generating", "downloading", "processing", "uploading", "storing", "awaiting_approval"
]


def lane_of(kind: str) -> Lane:
    """The queue in which a job of this kind has its long work done."""
    return "compile" if kind in OF_CLIPS else "inspect"


class JobStatus(StrEnum):
    """`pending -> generating | processing -> completed | failed | cancelled | timeout`."""

    PENDING = "pending"
    GENERATING = "generating"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"

    @property
    def finished(self) -> bool:
        return self in FINISHED


FINISHED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMEOUT})
_OPEN_ENDS = frozenset({JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMEOUT})

LEGAL: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.GENERATING, JobStatus.PROCESSING}) | _OPEN_ENDS,
    JobStatus.GENERATING: frozenset({JobStatus.GENERATING, JobStatus.PROCESSING}) | _OPEN_ENDS,
    JobStatus.PROCESSING: frozenset({JobStatus.PROCESSING, JobStatus.COMPLETED}) | _OPEN_ENDS,
    **{end: frozenset() for end in FINISHED},
}


def sources_of(target: JobStatus) -> tuple[JobStatus, ...]:
    """The states from which `target` may be reached; SQL repeats them in its WHERE."""
    return tuple(source for source, targets in LEGAL.items() if target in targets)


class AttemptState(StrEnum):
    """`written -> claimed -> accepted | rejected -> finished`."""

    WRITTEN = "written"
    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FINISHED = "finished"


# The scope by which a job of each kind is asked for; to retry or cancel one needs the same.
SCOPE_OF_KIND = {
    "generate": "generate",
    "upload": "generate",
    "compile": "compile",
    "plan": "compile",
    "probe": "compile",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: decided by the authorizer alone.

    `key_id` is the id of the API key; None while the authorizer's table was written by an earlier release.
    """

    account_id: UUID
    scopes: frozenset[str]
    client_ip: str | None = None
    user_agent: str | None = None
    key_id: UUID | None = None

    def require(self, *scopes: str) -> None:
        """Raises Forbidden naming the scopes unless the key has one of them."""
        if self.scopes.isdisjoint(scopes):
            named = " or ".join(map(repr, scopes))
            raise Forbidden(f"This key lacks the scope {named}: use or make a key that has it.")


@dataclass(frozen=True, slots=True)
class KeptKey:
    """What a call under an Idempotency-Key asked for, and the id of the row it made; None where it made no row."""

    request_hash: str
    made: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of a provider that may cost money; a row before the call is made."""

    id: UUID
    account_id: UUID
    job_id: UUID
    number: int
    provider: str
    request: Mapping[str, Any]
    reserved_usd: Decimal
    state: AttemptState = AttemptState.WRITTEN
    provider_id: str | None = None
    claimed_at: datetime | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A row of `vsl.jobs`. Keys, never URLs; money in USD; times in UTC."""

    id: UUID
    account_id: UUID
    user_id: str
    kind: str
    route: str
    request: Mapping[str, Any]
    request_hash: str
    created_at: datetime
    deadline_at: datetime
    estimated_cost_usd: Decimal = Decimal(0)
    status: JobStatus = JobStatus.PENDING
    response_type: str = "async"
    current_step: JobStep = "pending"
    idempotency_key: str | None = None
    progress: int | None = None
    media_type: str | None = None
    model_id: str | None = None
    script_id: int | None = None
    section_id: int | None = None
    output_format: str | None = None
    width: int | None = None
    height: int | None = None
    duration_seconds: Decimal | None = None
    estimated_seconds: Decimal | None = None
    actual_seconds: Decimal | None = None
    actual_cost_usd: Decimal | None = None
    s3_bucket: str | None = None
    s3_key: str | None = None
    thumbnail_key: str | None = None
    content_type: str | None = None
    size_bytes: int | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    error_code: str | None = None
    error_message: str | None = None
    retry_count: int = 0
    retry_of: UUID | None = None
    webhook_url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    client_ip: str | None = None
    user_agent: str | None = None
    version: int = 1
    lease_owner: str | None = None
    lease_until: datetime | None = None
    cancel_requested_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    updated_at: datetime | None = None
    erased_at: datetime | None = None

    @property
    def notes(self) -> list[str]:
        """What the caller who asked for it must know of how it is worked on."""
        return [NOTHING_IS_SENT] if self.webhook_url else []


class JobRef(Protocol):
    """The part of a job that rows which belong to it need."""

    @property
    def id(self) -> UUID: ...

    @property
    def account_id(self) -> UUID: ...

    @property
    def status(self) -> JobStatus: ...


@dataclass(frozen=True, slots=True)
class LeanJob:
    """A job without its documents, for steps that go through many: they may be large."""

    id: UUID
    account_id: UUID
    kind: str
    status: JobStatus
    has_incoming: bool


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Narrows a page of jobs; `before` is the (created_at, id) of the last row already seen."""

    user_id: str | None = None
    status: str | None = None
    kind: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    before: tuple[datetime, UUID] | None = None
    limit: int = 50


def snapshot(job: Job) -> dict[str, Any]:
    """The job as the live view and the cache hold it: JSON values and keys, no URLs, with its version.

    Of an erased one, what keeps an older snapshot from coming back, and nothing else.
    """
    if job.erased_at is not None:
        return {
            "format": SNAPSHOT_FORMAT,
            "version": job.version,
            "accountId": str(job.account_id),
            "jobId": str(job.id),
            "erased": True,
            "completedAt": iso(job.completed_at),
        }
    return {
        "format": SNAPSHOT_FORMAT,
        "version": job.version,
        "accountId": str(job.account_id),
        "jobId": str(job.id),
        "kind": job.kind,
        "status": job.status.value,
        "progress": 100 if job.status is JobStatus.COMPLETED else job.progress,
        "currentStep": job.current_step,
        "mediaType": job.media_type,
        "modelId": job.model_id,
        "userId": job.user_id,
        "scriptId": job.script_id,
        "metadata": dict(job.metadata),
        "key": job.s3_key,
        "thumbnailKey": job.thumbnail_key,
        "contentType": job.content_type,
        "fileSize": job.size_bytes,
        "width": job.width,
        "height": job.height,
        "duration": _number(job.duration_seconds),
        "result": dict(job.result),
        "error": {"code": job.error_code, "message": job.error_message} if job.error_code else None,
        "estimatedTime": _number(job.estimated_seconds),
        "estimatedCost": _number(job.estimated_cost_usd),
        "actualCost": _number(job.actual_cost_usd),
        "retryOf": str(job.retry_of) if job.retry_of else None,
        "createdAt": iso(job.created_at),
        "startedAt": iso(job.started_at),
        "completedAt": iso(job.completed_at),
    }


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 UTC with Z and milliseconds, or None."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" if moment else None


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
