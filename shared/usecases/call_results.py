"""What a provider's call came to: a sign of life, an end or media; and what it has cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from shared.domain.jobs import Attempt, AttemptState, Job, JobStatus
from shared.domain.messages import (
    JobMessage,
    MediaStored,
    PredictionSeen,
    StoredOutput,
    StoreFailed,
    body_of,
)
from shared.domain.pace import POLL_SECONDS
from shared.domain.prices import Price, Used
from shared.domain.storage_keys import is_incoming_key
from shared.observability import PROVIDER_FAILURES, count, job_fields, logger
from shared.ports import Clock, Transaction
from shared.usecases.announcing import announce_cancel, announce_store, tell
from shared.usecases.ending import MEDIA_THERE, book_cost, end_job, fail_job
from shared.usecases.next_attempt import Failure, after_failure

PROVIDER_ENDS = frozenset({"succeeded", "failed", "canceled", "aborted"})
# Each sweep asks about a call that runs: a webhook that was lost costs less than two of its periods.
RUNNING_CHECK_SECONDS = 30
RETRY_STORE_SECONDS = 15


def take_seen(tx: Transaction, job: Job, attempt: Attempt, report: PredictionSeen, *, clock: Clock) -> Job | None:
    """A prediction that runs, or has ended without media that somebody waits for. The job, or None if unchanged."""
    if report.providerStatus in PROVIDER_ENDS or attempt.provider not in POLL_SECONDS:
        tell(tx, job, report)
    if report.providerStatus not in PROVIDER_ENDS:
        tx.change_attempt(
            attempt,
            AttemptState.ACCEPTED,
            provider_status=report.providerStatus,
            check_in_seconds=RUNNING_CHECK_SECONDS,
        )
        if attempt.provider in POLL_SECONDS:
            announce_store(tx, job, attempt, report.providerId, POLL_SECONDS[attempt.provider])
        return _goes_on(tx, job, attempt, report)
    # One that objected to its input has done its work.
    count(PROVIDER_FAILURES, int(report.retryable), provider=attempt.provider)
    job = _close(tx, job, attempt, report.providerStatus, _cost_usd(attempt, report.providerStatus, _used(report)))
    return _ended_by_provider(tx, job, attempt, report, clock)


def take_stored(tx: Transaction, job: Job, attempt: Attempt, report: MediaStored, *, clock: Clock) -> Job | None:
    """All that the prediction made is in `incoming/`. A report of any other object is refused and changes nothing."""
    foreign = [output.key for output in report.outputs if not is_incoming_key(output.key, job.id)]
    if foreign:
        logger.error("foreign_key_reported", extra={**job_fields(job), "action": "media.stored", "keys": foreign[:5]})
        return None
    count(PROVIDER_FAILURES, 0, provider=attempt.provider)
    used = _used(report, images=len(report.outputs) or None)
    job = _close(tx, job, attempt, "succeeded", _cost_usd(attempt, "succeeded", used))
    if job.status.finished:
        # Nobody wants it any more: the inspector clears it away.
        tx.announce(job, "inspect", body_of(JobMessage(str(job.id))))
        return job
    incoming = {"outputs": [_row_of(output) for output in report.outputs], "text": report.text}
    moved = tx.move_job(
        job,
        JobStatus.PROCESSING,
        current_step="processing",
        result={"incoming": incoming},
        lease_owner=None,
        lease_until=None,
        deadline_at=max(job.deadline_at, clock.now() + MEDIA_THERE),
    )
    if moved is not None:
        tx.announce(moved, "inspect", body_of(JobMessage(str(job.id))))
        tx.add_event(moved, "media.stored", {"outputs": len(report.outputs)})
    return moved


def take_store_failure(tx: Transaction, job: Job, attempt: Attempt, report: StoreFailed, *, clock: Clock) -> Job | None:
    """The prediction succeeded and was billed, but its output cannot be had (yet)."""
    if not report.final:
        tx.change_attempt(attempt, attempt.state, check_in_seconds=RETRY_STORE_SECONDS)
        return tx.touch_job(job, lease_owner=None, lease_until=None)
    job = _close(tx, job, attempt, "succeeded", _cost_usd(attempt, "succeeded", _used(report)))
    return job if job.status.finished else fail_job(tx, job, report.code, report.message, clock=clock)


def is_too_late(job: Job, clock: Clock) -> bool:
    """Whether the job's deadline leaves no time for a call."""
    return clock.now() >= job.deadline_at - timedelta(seconds=1)


def _goes_on(tx: Transaction, job: Job, attempt: Attempt, report: PredictionSeen) -> Job | None:
    if job.status.finished:
        # Its cancel has not reached the provider; a second one is harmless.
        announce_cancel(tx, job, attempt, report.providerId)
        return job
    percent = max(report.progress or 0, job.progress or 0) or None
    return tx.touch_job(job, progress=percent, lease_owner=None, lease_until=None)


def _ended_by_provider(tx: Transaction, job: Job, attempt: Attempt, report: PredictionSeen, clock: Clock) -> Job | None:
    if job.status.finished or report.providerStatus == "succeeded":
        return job
    too_late = is_too_late(job, clock)
    if report.retryable and not too_late:
        code = f"provider_{report.providerStatus}"
        failure = Failure(code, report.message or f"The provider {report.providerStatus} this.", retryable=True)
        return after_failure(tx, job, attempt, failure, clock=clock)
    if report.providerStatus == "failed":
        message = report.message or "The provider could not make this; change the parameters and retry."
        return fail_job(tx, job, "provider_failed", message, clock=clock)
    if too_late:
        return end_job(
            tx,
            job,
            JobStatus.TIMEOUT,
            clock=clock,
            error_code="timeout",
            error_message="The provider did not finish before the job's deadline; POST /jobs/{jobId}/retry.",
        )
    return fail_job(
        tx,
        job,
        f"provider_{report.providerStatus}",
        f"The provider {report.providerStatus} this; POST /jobs/{{jobId}}/retry.",
        clock=clock,
    )


def _used(report: PredictionSeen | MediaStored | StoreFailed, images: int | None = None) -> Used:
    counted = images if report.images is None else report.images
    return Used(report.predictSeconds, counted, report.mediaSeconds, report.tokens)


def _cost_usd(attempt: Attempt, provider_status: str, used: Used) -> Decimal:
    """Failed calls and those that never began are not billed."""
    price, parameters = Price.of(attempt.request["price"]), attempt.request["input"]
    if provider_status == "succeeded":
        return price.actual_usd(parameters, used)
    return price.stopped_usd(parameters, used) if provider_status == "canceled" else Decimal(0)


def _close(tx: Transaction, job: Job, attempt: Attempt, provider_status: str, cost_usd: Decimal) -> Job:
    """The job with the attempt's cost in it."""
    tx.change_attempt(attempt, AttemptState.FINISHED, provider_status=provider_status, actual_usd=cost_usd)
    return book_cost(tx, job, attempt, cost_usd)


def _row_of(output: StoredOutput) -> Mapping[str, Any]:
    return {
        "key": output.key,
        "sizeBytes": output.sizeBytes,
        "sha256": output.sha256,
        "contentType": output.contentType,
    }
