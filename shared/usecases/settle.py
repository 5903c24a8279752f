"""The only place that decides what reports from outside mean for money and state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from shared.domain.errors import PROVIDER_ERROR
from shared.domain.jobs import Attempt, AttemptState, Job, JobStatus, iso
from shared.domain.messages import (
    CallAccepted,
    CallRejected,
    CallReport,
    CallUnresolved,
    MediaStored,
    PredictionSeen,
    StoreFailed,
    WebhookReceived,
)
from shared.domain.pace import POLL_SECONDS
from shared.observability import logger
from shared.ports import Clock, Records, Transaction
from shared.usecases.aftermath import Aftermath
from shared.usecases.announcing import announce_cancel, announce_store, ask_later
from shared.usecases.call_results import (
    PROVIDER_ENDS,
    RUNNING_CHECK_SECONDS,
    is_too_late,
    take_seen,
    take_store_failure,
    take_stored,
)
from shared.usecases.ending import book_cost, end_job
from shared.usecases.giving_up import LEFT_TO_ITS_MESSAGE_SECONDS, give_up_lease
from shared.usecases.next_attempt import Failure, after_failure
from shared.usecases.pace import learn, seconds_to_wait

CLAIM_CHECK_SECONDS = 30
# The message that comes again is the next to look. A message each minute beside it would be five times the calls to a
# provider that is down; none at all would have its outputs, which live an hour, wait for the longest pause.
BROKEN_OFF_CHECK_SECONDS = 300
LISTED_WITHIN = timedelta(seconds=60)
_OPEN = (AttemptState.WRITTEN, AttemptState.CLAIMED, AttemptState.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Settler:
    """Claims, leases and reports. Each method is one transaction and may be repeated."""

    records: Records
    clock: Clock
    aftermath: Aftermath
    lease_seconds: int

    def claim_call(self, job_id: UUID, attempt_id: UUID) -> Mapping[str, Any]:
        """`go` once an attempt, ever after `resolve`; `wait` before its turn, with a new message under way;
        `cancelled` or `done` when there is nothing to do."""
        with self.records.transaction() as tx:
            job, attempt = _locked(tx, job_id, attempt_id)
            if job is None or attempt is None or attempt.state not in _OPEN[:2]:
                return {"verdict": "done"}
            if attempt.state is AttemptState.CLAIMED:
                return self._to_resolve(attempt)
            changed: Job | None = job
            if job.status.finished or is_too_late(job, self.clock):
                changed = self._abandon(tx, job, attempt)
                verdict: Mapping[str, Any] = {"verdict": "cancelled"}
            elif wait_seconds := seconds_to_wait(tx, job, attempt, clock=self.clock):
                ask_later(tx, job, attempt, wait_seconds)
                verdict = {"verdict": "wait", "seconds": wait_seconds}
            else:
                changed, verdict = self._let_go(tx, job, attempt)
        if changed is not None:
            self.aftermath.of(changed)
        return verdict

    def _to_resolve(self, attempt: Attempt) -> Mapping[str, Any]:
        """A provider that answered 5xx has most likely made nothing: absent from its list a while later, it has."""
        assert attempt.claimed_at is not None
        listed_by_now = self.clock.now() >= attempt.claimed_at + LISTED_WITHIN
        return {
            "verdict": "resolve",
            "request": dict(attempt.request),
            "claimedAt": iso(attempt.claimed_at),
            "absentMeansFailed": attempt.error_code == PROVIDER_ERROR and listed_by_now,
        }

    def _let_go(self, tx: Transaction, job: Job, attempt: Attempt) -> tuple[Job | None, Mapping[str, Any]]:
        tx.change_attempt(attempt, AttemptState.CLAIMED, check_in_seconds=CLAIM_CHECK_SECONDS)
        moved = tx.move_job(job, JobStatus.GENERATING, current_step="generating")
        if moved is not None:
            tx.follow_job(moved)
        cancel_after_seconds = max(int((job.deadline_at - self.clock.now()).total_seconds()), 5)
        return moved, {
            "verdict": "go",
            "request": dict(attempt.request),
            "cancelAfterSeconds": cancel_after_seconds,
        }

    def claim_store(self, job_id: UUID, attempt_id: UUID, owner: str) -> Mapping[str, Any]:
        """`go` with a lease, `read` when only the charge is still of interest, `wait` while another works."""
        with self.records.transaction() as tx:
            job, attempt = _locked(tx, job_id, attempt_id)
            if job is None or attempt is None or attempt.state not in _OPEN:
                return {"verdict": "done"}
            if job.status.finished:
                return {"verdict": "read"}
            leased = tx.take_lease(job_id, owner, self.lease_seconds)
        return {"verdict": "go", "mediaType": job.media_type} if leased else {"verdict": "wait"}

    def renew(self, job_id: UUID, owner: str) -> Mapping[str, Any]:
        """`go` while the owner's lease lives, else `lost`."""
        with self.records.transaction() as tx:
            return {"verdict": "go" if tx.renew_lease(job_id, owner, self.lease_seconds) else "lost"}

    def release(self, job_id: UUID, owner: str, reason: str) -> Mapping[str, Any]:
        """The owner's work was broken off: the lease is the next one's who asks. `done`, also where it was lost."""
        with self.records.transaction() as tx:
            was_ours = give_up_lease(tx, job_id, owner, reason, LEFT_TO_ITS_MESSAGE_SECONDS)
            for attempt in tx.attempts(job_id) if was_ours else ():
                if attempt.state in _OPEN:
                    tx.change_attempt(attempt, attempt.state, check_in_seconds=BROKEN_OFF_CHECK_SECONDS)
        return {"verdict": "done"}

    def take(self, report: CallReport) -> None:
        """Acts on one report. A second delivery changes nothing."""
        with self.records.transaction() as tx:
            job, attempt = _locked(tx, UUID(report.jobId), UUID(report.attemptId))
            changed = self._webhook(tx, job, attempt, report) if isinstance(report, WebhookReceived) else None
            if not isinstance(report, WebhookReceived) and job is not None and attempt is not None:
                changed = self._apply(tx, job, attempt, report)
        if changed is not None:
            self.aftermath.of(changed)

    def _apply(self, tx: Transaction, job: Job, attempt: Attempt, report: CallReport) -> Job | None:
        if attempt.state not in _OPEN:
            return None
        learn(tx, attempt, report, clock=self.clock)
        match report:
            case CallAccepted():
                return self._accepted(tx, job, attempt, report.providerId, report.providerStatus)
            case CallRejected():
                return self._rejected(tx, job, attempt, report)
            case CallUnresolved():
                return _unresolved(tx, job, attempt, report)
            case PredictionSeen():
                return self._seen(tx, job, attempt, report)
            case MediaStored():
                return take_stored(tx, job, attempt, report, clock=self.clock)
            case StoreFailed():
                return take_store_failure(tx, job, attempt, report, clock=self.clock)
        return None

    def _webhook(
        self, tx: Transaction, job: Job | None, attempt: Attempt | None, report: WebhookReceived
    ) -> Job | None:
        matched = job is not None and attempt is not None and attempt.provider_id in (None, report.providerId)
        new = tx.record_webhook(
            report.provider,
            report.webhookId,
            report.providerId,
            report.providerStatus,
            job_id=job.id if job else None,
            attempt_id=attempt.id if attempt else None,
            parked=not matched,
        )
        if not new or not matched or job is None or attempt is None or attempt.state not in _OPEN:
            return None
        if attempt.state is AttemptState.CLAIMED:
            # The webhook overtook the answer of the call; its URL names the attempt, so nothing is in doubt.
            return self._accepted(tx, job, attempt, report.providerId, report.providerStatus)
        if report.providerStatus in PROVIDER_ENDS:
            announce_store(tx, job, attempt, report.providerId)
        return job

    def _accepted(self, tx: Transaction, job: Job, attempt: Attempt, provider_id: str, provider_status: str) -> Job:
        if attempt.state is AttemptState.ACCEPTED:
            return job
        if tx.attempt_by_provider_id(attempt.provider, provider_id) is not None:
            # Found by its input, and another attempt had it first: this one's call is still in doubt.
            tx.add_event(job, "call.unresolved", {"message": "The prediction found belongs to another attempt."})
            return job
        tx.change_attempt(
            attempt,
            AttemptState.ACCEPTED,
            provider_id=provider_id,
            provider_status=provider_status,
            check_in_seconds=RUNNING_CHECK_SECONDS,
        )
        tx.add_event(job, "call.accepted", {"providerId": provider_id})
        if job.status.finished:
            announce_cancel(tx, job, attempt, provider_id)
        elif tx.unpark(attempt.provider, provider_id) or provider_status in PROVIDER_ENDS:
            announce_store(tx, job, attempt, provider_id)
        elif attempt.provider in POLL_SECONDS:
            announce_store(tx, job, attempt, provider_id, POLL_SECONDS[attempt.provider])
        return job

    def _rejected(self, tx: Transaction, job: Job, attempt: Attempt, report: CallRejected) -> Job | None:
        tx.change_attempt(attempt, AttemptState.REJECTED, error_code=report.code, error_message=report.message)
        job = book_cost(tx, job, attempt, Decimal(0))
        if job.status.finished:
            return job
        failure = Failure(report.code, report.message, report.retryable, report.retryAfterSeconds)
        return after_failure(tx, job, attempt, failure, clock=self.clock)

    def _seen(self, tx: Transaction, job: Job, attempt: Attempt, report: PredictionSeen) -> Job | None:
        if attempt.state is AttemptState.CLAIMED:
            self._accepted(tx, job, attempt, report.providerId, report.providerStatus)
        return take_seen(tx, job, attempt, report, clock=self.clock)

    def _abandon(self, tx: Transaction, job: Job, attempt: Attempt) -> Job | None:
        tx.change_attempt(attempt, AttemptState.REJECTED, error_code="not_called")
        job = book_cost(tx, job, attempt, Decimal(0))
        if job.status.finished:
            return job
        return end_job(
            tx,
            job,
            JobStatus.TIMEOUT,
            clock=self.clock,
            error_code="timeout",
            error_message="The job's deadline came before the provider could be asked; POST /jobs/{jobId}/retry.",
        )


def _unresolved(tx: Transaction, job: Job, attempt: Attempt, report: CallUnresolved) -> Job:
    if report.code == PROVIDER_ERROR:
        tx.change_attempt(attempt, attempt.state, error_code=report.code, error_message=report.message)
    tx.add_event(job, "call.unresolved", {"message": report.message})
    return job


def _locked(tx: Transaction, job_id: UUID, attempt_id: UUID) -> tuple[Job | None, Attempt | None]:
    job = tx.lock_job(job_id)
    attempt = tx.lock_attempt(attempt_id)
    if attempt is not None and attempt.job_id != job_id:
        logger.warning("attempt_of_another_job", extra={"jobId": str(job_id)})
        return job, None
    return job, attempt
