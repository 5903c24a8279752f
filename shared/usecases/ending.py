"""How jobs end: one place moves them, brings their clip along, writes history and announces the event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from shared.domain.errors import (
    BadMedia,
    Conflict,
    Mistake,
    NotFound,
    OutOfPatience,
    OutputGone,
    OwnFailure,
    ProductError,
    TooLarge,
)
from shared.domain.jobs import Attempt, Job, JobStatus, iso
from shared.observability import (
    JOBS_CANCELLED,
    JOBS_COMPLETED,
    JOBS_FAILED,
    JOBS_TIMED_OUT,
    PROCESSING_TIME,
    PROVIDER_COST,
    count,
    job_fields,
    logger,
    seconds,
    usd,
)
from shared.ports import Clock, Transaction
from shared.usecases.turns import call_next

# Time for media that have come to be inspected behind the account's other jobs: paid media are not given up.
MEDIA_THERE = timedelta(hours=1)
# How a call that waited for its job hears of its end. A failure that is not named here lies in the media it was given.
ENDS: Mapping[tuple[JobStatus, str | None], type[ProductError]] = {
    (JobStatus.CANCELLED, None): Conflict,
    (JobStatus.TIMEOUT, None): OutOfPatience,
    (JobStatus.FAILED, "media_missing"): NotFound,
    (JobStatus.FAILED, "verification_failed"): OwnFailure,
    (JobStatus.FAILED, "checksum_mismatch"): OwnFailure,
    (JobStatus.FAILED, "ffmpeg_missing"): OwnFailure,
    (JobStatus.FAILED, "internal"): OwnFailure,
    (JobStatus.FAILED, "no_room"): TooLarge,
}
EVENT_NAMES = {
    JobStatus.COMPLETED: "job.completed",
    JobStatus.FAILED: "job.failed",
    JobStatus.CANCELLED: "job.cancelled",
    JobStatus.TIMEOUT: "job.failed",
}
COUNTED_AS = {
    JobStatus.COMPLETED: JOBS_COMPLETED,
    JobStatus.CANCELLED: JOBS_CANCELLED,
    JobStatus.TIMEOUT: JOBS_TIMED_OUT,
}


def end_job(tx: Transaction, job: Job, to: JobStatus, *, clock: Clock, **changes: Any) -> Job | None:
    """Moves a locked job to an end; None when it had ended before. `job` must be the row as locked in `tx`."""
    taken = Decimal(str(round((clock.now() - job.created_at).total_seconds(), 3)))
    ended = tx.move_job(job, to, actual_seconds=max(taken, Decimal(0)), **changes)
    if ended is None:
        return None
    tx.follow_job(ended)
    tx.add_event(ended, EVENT_NAMES[to], {"code": ended.error_code} if ended.error_code else None)
    tx.announce(ended, "events", _event(ended, clock))
    call_next(tx, ended)
    _observe_end(ended, float(taken))
    return ended


def refuse_ended(job: Job) -> None:
    """Raises what a job that ended without a result is to its caller: Conflict when it was cancelled, OutOfPatience,
    OwnFailure, NotFound, BadMedia; with the job's code, sentence and details."""
    if not job.status.finished or job.status is JobStatus.COMPLETED:
        return
    code = job.error_code or job.status.value
    kind = ENDS.get((job.status, None)) or ENDS.get((job.status, code), BadMedia)
    details = [Mistake(one["path"], one["message"]) for one in job.result.get("details", ())]
    raise kind(job.error_message or f"The job is {job.status.value}.", code=code, details=details)


def refuse_erased(job: Job) -> None:
    """Raises OutputGone when the job's media and request were erased."""
    if job.erased_at is not None:
        raise erased()


def erased() -> OutputGone:
    """The job's media and request were erased."""
    return OutputGone("This job was erased on request: ask for it anew with POST /generate-media.", code="gone")


def fail_job(tx: Transaction, job: Job, code: str, message: str, *, clock: Clock) -> Job | None:
    """Ends a locked job as failed with a code and a sentence."""
    return end_job(tx, job, JobStatus.FAILED, clock=clock, error_code=code, error_message=message)


def book_cost(tx: Transaction, job: Job, attempt: Attempt, cost_usd: Decimal) -> Job:
    """The job after an attempt's reservation became what it cost; a finished one has an event of it."""
    tx.settle_cost(job, attempt, cost_usd)
    _observe_cost(job, attempt, cost_usd)
    if not job.status.finished:
        return tx.add_cost(job, cost_usd) if cost_usd else job
    tx.add_event(job, "charge.settled", {"amountUsd": float(cost_usd)})
    return tx.add_cost(job, cost_usd)


def _observe_end(job: Job, taken_seconds: float) -> None:
    if job.status is not JobStatus.FAILED:
        count(COUNTED_AS[job.status], kind=job.kind)
    if job.status is not JobStatus.CANCELLED:
        count(JOBS_FAILED, int(job.status is not JobStatus.COMPLETED), kind=job.kind)
    if job.status is JobStatus.COMPLETED:
        # What was cancelled or failed says nothing of how long a job takes.
        seconds(PROCESSING_TIME, taken_seconds, kind=job.kind)
    told = {"action": EVENT_NAMES[job.status], "duration": taken_seconds, "code": job.error_code}
    logger.info("job_ended", extra={**job_fields(job), **told})


def _observe_cost(job: Job, attempt: Attempt, cost_usd: Decimal) -> None:
    if not cost_usd:
        return
    usd(PROVIDER_COST, float(cost_usd), modelId=job.model_id or "-")
    logger.info("cost_booked", extra={**job_fields(job), "provider": attempt.provider, "costUsd": float(cost_usd)})


def _event(job: Job, clock: Clock) -> dict[str, Any]:
    name = "compile.completed" if (job.kind, job.status) == ("compile", JobStatus.COMPLETED) else None
    return {
        "type": name or EVENT_NAMES[job.status],
        "timestamp": iso(clock.now()),
        "data": {"jobId": str(job.id), "kind": job.kind, "status": job.status.value, "code": job.error_code},
    }
