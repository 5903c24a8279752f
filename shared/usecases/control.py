"""Cancel and retry."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from shared.domain.errors import Conflict, NotFound
from shared.domain.jobs import SCOPE_OF_KIND, Attempt, AttemptState, Caller, Job, JobStatus
from shared.ports import Clock, Records, Transaction
from shared.usecases.aftermath import Aftermath
from shared.usecases.announcing import announce_cancel
from shared.usecases.ending import end_job, refuse_erased
from shared.usecases.generate_media import RETRY_ROUTE
from shared.usecases.idempotency import Once, hash_of, is_repeated, refuse_other_body, set_made


def cancel_job(
    job_id: UUID, caller: Caller, *, records: Records, clock: Clock, aftermath: Aftermath, key: str | None = None
) -> tuple[Job, str]:
    """The cancelled job and its charge: `none`, or `pending` until the provider has said what it cost.

    Again under the same idempotency key is the same answer. Raises NotFound, Forbidden (the scope of the job's kind),
    OutputGone, Conflict when the job has finished.
    """
    once = Once("POST /jobs/{jobId}/cancel", key, hash_of({"jobId": job_id}))
    with records.transaction() as tx:
        repeated, _ = is_repeated(tx, caller, once)
        cancelled = tx.job(caller.account_id, job_id) if repeated else None
        set_made(tx, caller, once, job_id)
        if cancelled is not None:
            caller.require(SCOPE_OF_KIND[cancelled.kind])
            refuse_erased(cancelled)
            return cancelled, _charge(tx, cancelled)
        if tx.job(caller.account_id, job_id) is None:
            raise NotFound(f"There is no job {job_id}: GET /jobs lists yours.")
        job = tx.lock_job(job_id)
        assert job is not None
        caller.require(SCOPE_OF_KIND[job.kind])
        refuse_erased(job)
        if job.status.finished:
            raise Conflict(f"The job has {job.status.value} already; there is nothing to cancel.", code="finished")
        ended, charge = stop_job(tx, job, clock=clock)
    return aftermath.of(ended), charge


def stop_job(tx: Transaction, job: Job, *, clock: Clock) -> tuple[Job, str]:
    """A locked, unfinished job cancelled, and its charge; its calls are withdrawn or cancelled at the provider."""
    charges = [_stop(tx, job, attempt) for attempt in _open_attempts(tx, job)]
    ended = end_job(
        tx,
        job,
        JobStatus.CANCELLED,
        clock=clock,
        cancel_requested_at=clock.now(),
        error_code="cancelled",
        error_message="The job was cancelled by its account.",
    )
    assert ended is not None
    return ended, "pending" if "pending" in charges else "none"


def retry_job(
    job_id: UUID, caller: Caller, *, records: Records, again: Callable[[Job], Job], key: str | None = None
) -> Job:
    """A new job with the same request, made by `again`, or the one its idempotency key made before.

    Raises NotFound, Forbidden (the scope of the job's kind), OutputGone, Conflict while the job runs and for a key that
    retried another job.
    """
    with records.transaction() as tx:
        earlier = tx.job_by_key(caller.account_id, RETRY_ROUTE, key) if key is not None else None
        if earlier is not None:
            # The same job is the same body: what that job asked for never changes.
            refuse_other_body(str(earlier.retry_of), str(job_id))
            caller.require(SCOPE_OF_KIND[earlier.kind])
            return earlier
        job = tx.job(caller.account_id, job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id}: GET /jobs lists yours.")
    caller.require(SCOPE_OF_KIND[job.kind])
    refuse_erased(job)
    if not job.status.finished:
        raise Conflict(f"The job is {job.status.value}: cancel it first or wait for its end.", code="not_finished")
    return again(job)


def _open_attempts(tx: Transaction, job: Job) -> list[Attempt]:
    return [a for a in tx.attempts(job.id) if a.state not in (AttemptState.REJECTED, AttemptState.FINISHED)]


def _charge(tx: Transaction, job: Job) -> str:
    return "pending" if _open_attempts(tx, job) else "none"


def _stop(tx: Transaction, job: Job, attempt: Attempt) -> str:
    if attempt.state is AttemptState.WRITTEN:
        tx.change_attempt(attempt, AttemptState.REJECTED, error_code="cancelled")
        tx.settle_cost(job, attempt, Decimal(0))
        return "none"
    if attempt.provider_id is not None:
        announce_cancel(tx, job, attempt, attempt.provider_id)
    return "pending"
