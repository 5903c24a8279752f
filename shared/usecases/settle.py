"""The only place that decides what reports from outside mean for money and state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from shared.domain.jobs import Attempt, AttemptState, Job, JobStatus, iso
from shared.domain.messages import (
    CallAccepted,
    CallRejected,
    CallUnresolved,
    JobMessage,
    MediaStored,
    PredictionSeen,
    ProviderCall,
    Report,
    StoreFailed,
    WebhookReceived,
    body_of,
)
from shared.domain.pace import POLL_SECONDS
from shared.domain.prices import Price, Used
from shared.observability import logger
from shared.ports import Clock, Records, Transaction
from shared.usecases.aftermath import Aftermath
from shared.usecases.announcing import announce_store, ask_later, tell
from shared.usecases.ending import end_job, fail_job
from shared.usecases.next_attempt import Failure, after_failure
from shared.usecases.pace import learn, seconds_to_wait

PROVIDER_ENDS = frozenset({"succeeded", "failed", "canceled", "aborted"})
CLAIM_CHECK_SECONDS = 30
RUNNING_CHECK_SECONDS = 30
RETRY_STORE_SECONDS = 15
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
                return {
                    "verdict": "resolve",
                    "request": dict(attempt.request),
                    "claimedAt": iso(attempt.claimed_at),
                }
            changed: Job | None = job
            if job.status.finished or self._too_late(job):
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

    def _let_go(self, tx: Transaction, job: Job, attempt: Attempt) -> tuple[Job | None, Mapping[str, Any]]:
        tx.change_attempt(attempt, AttemptState.CLAIMED, check_in_seconds=CLAIM_CHECK_SECONDS)
        moved = tx.move_job(job, JobStatus.GENERATING, current_step="generating")
        if moved is not None:
            tx.follow_job(moved)
        cancel_after_seconds = max(int((job.deadline_at - self.clock.now()).total_seconds()), 5)
        return moved, {
            "verdict": "go", "request": dict(attempt.request), "cancelAfterSeconds": cancel_after_seconds,
        }  # fmt: skip

    def claim_store(self, job_id: UUID, attempt_id: UUID, owner: str) -> Mapping[str, Any]:
        """`go` with a lease, `read` when only the charge is still of interest, `wait` while another works."""
        with self.records.transaction() as tx:
            job, attempt = _locked(tx, job_id, attempt_id)
            if job is None or attempt is None or attempt.state not in _OPEN:
                return {"verdict": "done"}
            if job.status.finished:
                return {"verdict": "read"}
            leased = tx.take_lease(job_id, owner, self.lease_seconds)
        return {"verdict": "go" if leased else "wait"}

    def renew(self, job_id: UUID, owner: str) -> Mapping[str, Any]:
        """`go` while the owner's lease lives, else `lost`."""
        with self.records.transaction() as tx:
            return {"verdict": "go" if tx.renew_lease(job_id, owner, self.lease_seconds) else "lost"}

    def take(self, report: Report) -> None:
        """Acts on one report. A second delivery changes nothing."""
        with self.records.transaction() as tx:
            job, attempt = _locked(tx, UUID(report.jobId), UUID(report.attemptId))
            changed = self._webhook(tx, job, attempt, report) if isinstance(report, WebhookReceived) else None
            if not isinstance(report, WebhookReceived) and job is not None and attempt is not None:
                changed = self._apply(tx, job, attempt, report)
        if changed is not None:
            self.aftermath.of(changed)

    def _apply(self, tx: Transaction, job: Job, attempt: Attempt, report: Report) -> Job | None:
        if attempt.state not in _OPEN:
            return None
        learn(tx, attempt, report, clock=self.clock)
        match report:
            case CallAccepted():
                return self._accepted(tx, job, attempt, report.providerId, report.providerStatus)
            case CallRejected():
                return self._rejected(tx, job, attempt, report)
            case CallUnresolved():
                tx.add_event(job, "call.unresolved", {"message": report.message})
                return job
            case PredictionSeen():
                return self._seen(tx, job, attempt, report)
            case MediaStored():
                return self._stored(tx, job, attempt, report)
            case StoreFailed():
                return self._store_failed(tx, job, attempt, report)
        return None

    def _webhook(
        self, tx: Transaction, job: Job | None, attempt: Attempt | None, report: WebhookReceived
    ) -> Job | None:
        matched = job is not None and attempt is not None and attempt.provider_id in (None, report.providerId)
        new = tx.record_webhook(
            report.provider, report.webhookId, report.providerId, report.providerStatus,
            job_id=job.id if job else None, attempt_id=attempt.id if attempt else None, parked=not matched,
        )  # fmt: skip
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
            attempt, AttemptState.ACCEPTED, provider_id=provider_id, provider_status=provider_status,
            check_in_seconds=int(job.estimated_seconds or 0) + RUNNING_CHECK_SECONDS,
        )  # fmt: skip
        tx.add_event(job, "call.accepted", {"providerId": provider_id})
        if job.status.finished:
            tx.announce(
                job,
                "calls",
                body_of(ProviderCall(str(job.id), str(attempt.id), "cancel", provider_id, attempt.provider)),
            )
        elif tx.unpark(attempt.provider, provider_id) or provider_status in PROVIDER_ENDS:
            announce_store(tx, job, attempt, provider_id)
        elif attempt.provider in POLL_SECONDS:
            announce_store(tx, job, attempt, provider_id, POLL_SECONDS[attempt.provider])
        return job

    def _rejected(self, tx: Transaction, job: Job, attempt: Attempt, report: CallRejected) -> Job | None:
        tx.change_attempt(attempt, AttemptState.REJECTED, error_code=report.code, error_message=report.message)
        tx.settle_cost(job, attempt, Decimal(0))
        if job.status.finished:
            return job
        failure = Failure(report.code, report.message, report.retryable, report.retryAfterSeconds)
        return after_failure(tx, job, attempt, failure, clock=self.clock)

    def _seen(self, tx: Transaction, job: Job, attempt: Attempt, report: PredictionSeen) -> Job | None:
        if attempt.state is AttemptState.CLAIMED:
            self._accepted(tx, job, attempt, report.providerId, report.providerStatus)
        if report.providerStatus not in PROVIDER_ENDS:
            tx.change_attempt(
                attempt, AttemptState.ACCEPTED, provider_status=report.providerStatus,
                check_in_seconds=2 * RUNNING_CHECK_SECONDS,
            )  # fmt: skip
            if attempt.provider in POLL_SECONDS:
                announce_store(tx, job, attempt, report.providerId, POLL_SECONDS[attempt.provider])
            else:
                tell(tx, job, report)
            percent = max(report.progress or 0, job.progress or 0) or None
            return tx.touch_job(job, progress=percent, lease_owner=None, lease_until=None)
        charged = report.providerStatus in ("succeeded", "canceled") and bool(report.predictSeconds)
        used = Used(predict_seconds=report.predictSeconds) if charged else None
        self._finish_attempt(tx, job, attempt, report.providerStatus, used)
        tell(tx, job, report)
        return self._ended_by_provider(tx, job, attempt, report)

    def _ended_by_provider(self, tx: Transaction, job: Job, attempt: Attempt, report: PredictionSeen) -> Job | None:
        if job.status.finished or report.providerStatus == "succeeded":
            return job
        if report.retryable and not self._too_late(job):
            code = f"provider_{report.providerStatus}"
            failure = Failure(code, report.message or f"The provider {report.providerStatus} this.", retryable=True)
            return after_failure(tx, job, attempt, failure, clock=self.clock)
        if report.providerStatus == "failed":
            message = report.message or "The provider could not make this; change the parameters and retry."
            return fail_job(tx, job, "provider_failed", message, clock=self.clock)
        if self._too_late(job):
            return end_job(
                tx, job, JobStatus.TIMEOUT, clock=self.clock, error_code="timeout",
                error_message="The provider did not finish before the job's deadline; POST /jobs/{jobId}/retry.",
            )  # fmt: skip
        return fail_job(
            tx, job, f"provider_{report.providerStatus}",
            f"The provider {report.providerStatus} this; POST /jobs/{{jobId}}/retry.", clock=self.clock,
        )  # fmt: skip

    def _stored(self, tx: Transaction, job: Job, attempt: Attempt, report: MediaStored) -> Job | None:
        used = Used(len(report.outputs) or None, report.predictSeconds, report.tokens)
        cost_usd = self._finish_attempt(tx, job, attempt, "succeeded", used)
        if job.status.finished:
            # Nobody wants it any more: the inspector clears it away.
            tx.announce(job, "inspect", body_of(JobMessage(str(job.id))))
            return job
        incoming = {"outputs": [body_of_output(output) for output in report.outputs], "text": report.text}
        moved = tx.move_job(
            job, JobStatus.PROCESSING, current_step="processing", actual_cost_usd=cost_usd,
            result={"incoming": incoming}, lease_owner=None, lease_until=None,
        )  # fmt: skip
        if moved is not None:
            tx.announce(moved, "inspect", body_of(JobMessage(str(job.id))))
            tx.add_event(moved, "media.stored", {"outputs": len(report.outputs)})
        return moved

    def _store_failed(self, tx: Transaction, job: Job, attempt: Attempt, report: StoreFailed) -> Job | None:
        if not report.final:
            tx.change_attempt(attempt, attempt.state, check_in_seconds=RETRY_STORE_SECONDS)
            return tx.touch_job(job, lease_owner=None, lease_until=None)
        self._finish_attempt(tx, job, attempt, "succeeded", Used(predict_seconds=report.predictSeconds))
        if job.status.finished:
            return job
        return fail_job(tx, job, report.code, report.message, clock=self.clock)

    def _finish_attempt(
        self, tx: Transaction, job: Job, attempt: Attempt, provider_status: str, used: Used | None
    ) -> Decimal:
        """Closes the attempt at what it cost, which is nothing where nothing was used."""
        price = Price.of(attempt.request["price"])
        cost_usd = Decimal(0) if used is None else price.actual_usd(attempt.request["input"], used)
        tx.change_attempt(attempt, AttemptState.FINISHED, provider_status=provider_status, actual_usd=cost_usd)
        tx.settle_cost(job, attempt, cost_usd)
        return cost_usd

    def _abandon(self, tx: Transaction, job: Job, attempt: Attempt) -> Job | None:
        tx.change_attempt(attempt, AttemptState.REJECTED, error_code="not_called")
        tx.settle_cost(job, attempt, Decimal(0))
        if job.status.finished:
            return None
        return end_job(
            tx, job, JobStatus.TIMEOUT, clock=self.clock, error_code="timeout",
            error_message="The job's deadline came before the provider could be asked; POST /jobs/{jobId}/retry.",
        )  # fmt: skip

    def _too_late(self, job: Job) -> bool:
        return self.clock.now() >= job.deadline_at - timedelta(seconds=1)


def body_of_output(output: Any) -> Mapping[str, Any]:
    """A stored output as the job's row keeps it."""
    return {
        "key": output.key,
        "sizeBytes": output.sizeBytes,
        "sha256": output.sha256,
        "contentType": output.contentType,
    }


def _locked(tx: Transaction, job_id: UUID, attempt_id: UUID) -> tuple[Job | None, Attempt | None]:
    job = tx.lock_job(job_id)
    attempt = tx.lock_attempt(attempt_id)
    if attempt is not None and attempt.job_id != job_id:
        logger.warning("attempt_of_another_job", extra={"jobId": str(job_id)})
        return job, None
    return job, attempt
