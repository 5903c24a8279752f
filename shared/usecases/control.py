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


def cancel_job(
    job_id: UUID, caller: Caller, *, records: Records, clock: Clock, aftermath: Aftermath
) -> tuple[Job, str]:
    """The cancelled job and its charge: `none`, or `pending` until the provider has said what it cost.

    Raises NotFound, Forbidden (the scope of the job's kind), OutputGone, Conflict when the job has finished.
    """
    with records.transaction() as tx:
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
    open_attempts = [a for a in tx.attempts(job.id) if a.state not in (AttemptState.REJECTED, AttemptState.FINISHED)]
    charges = [_stop(tx, job, attempt) for attempt in open_attempts]
    ended = end_job(
        tx, job, JobStatus.CANCELLED, clock=clock, cancel_requested_at=clock.now(),
        error_code="cancelled", error_message="The job was cancelled by its account.",
    )  # fmt: skip
    assert ended is not None
    return ended, "pending" if "pending" in charges else "none"


def retry_job(job_id: UUID, caller: Caller, *, records: Records, again: Callable[[Job], Job]) -> Job:
    """A new job with the same request, made by `again`.

    Raises NotFound, Forbidden (the scope of the job's kind), OutputGone, Conflict while the job runs.
    """
    with records.transaction() as tx:
        job = tx.job(caller.account_id, job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id}: GET /jobs lists yours.")
    caller.require(SCOPE_OF_KIND[job.kind])
    refuse_erased(job)
    if not job.status.finished:
        raise Conflict(f"The job is {job.status.value}: cancel it first or wait for its end.", code="not_finished")
    return again(job)


def _stop(tx: Transaction, job: Job, attempt: Attempt) -> str:
    if attempt.state is AttemptState.WRITTEN:
        tx.change_attempt(attempt, AttemptState.REJECTED, error_code="cancelled")
        tx.settle_cost(job, attempt, Decimal(0))
        return "none"
    if attempt.provider_id is not None:
        announce_cancel(tx, job, attempt, attempt.provider_id)
    return "pending"
