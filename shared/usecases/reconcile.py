"""The minute sweep: whatever a crash, a lost message or a silent provider left behind is taken up again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from shared.domain.jobs import Attempt, AttemptState, Job, JobStatus
from shared.domain.messages import JobMessage, ProviderCall, StoreMedia, body_of
from shared.ports import Clock, Records, Transaction
from shared.usecases.aftermath import Aftermath
from shared.usecases.ending import end_job

BATCH = 200
CHECK_AGAIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Sweep:
    """One pass; each part is a transaction of its own, so that one that fails does not stop the others."""

    records: Records
    clock: Clock
    aftermath: Aftermath

    def run(self) -> dict[str, int]:
        """What was taken up, by kind. Raises DependencyDown when the truth does not answer."""
        found = {
            "overdue": self._each(lambda tx: tx.overdue(BATCH), self._time_out),
            "lapsed": self._each(lambda tx: tx.lapsed(BATCH), _take_up),
            "checked": self._check_attempts(),
            "unpublished": self._publish(),
        }
        found["sent"] = self.aftermath.send()
        return found

    def _each(
        self,
        find: Callable[[Transaction], object],
        act: Callable[[Transaction, Job], Job | None],
    ) -> int:
        with self.records.transaction() as tx:
            jobs: list[Job] = list(find(tx))  # type: ignore[call-overload]
            changed = [act(tx, job) for job in jobs]
        for job in changed:
            if job is not None:
                self.aftermath.of(job)
        return len(jobs)

    def _time_out(self, tx: Transaction, job: Job) -> Job | None:
        for attempt in tx.attempts(job.id):
            _close(tx, job, attempt)
        return end_job(
            tx, job, JobStatus.TIMEOUT, clock=self.clock, error_code="timeout",
            error_message="The job did not finish before its deadline; POST /jobs/{jobId}/retry.",
        )  # fmt: skip

    def _check_attempts(self) -> int:
        with self.records.transaction() as tx:
            attempts = tx.attempts_to_check(BATCH)
            for attempt in attempts:
                _check(tx, attempt)
        return len(attempts)

    def _publish(self) -> int:
        with self.records.transaction() as tx:
            jobs = list(tx.unpublished(BATCH))
        for job in jobs:
            self.aftermath.publish(job)
        return len(jobs)


def _close(tx: Transaction, job: Job, attempt: Attempt) -> None:
    if attempt.state is AttemptState.WRITTEN:
        tx.change_attempt(attempt, AttemptState.REJECTED, error_code="timeout")
        tx.settle_cost(job, attempt, Decimal(0))
    elif attempt.state is AttemptState.CLAIMED:
        # Nobody knows whether the provider acted: what was reserved counts as spent, never as free.
        tx.change_attempt(attempt, AttemptState.FINISHED, error_code="unresolved", actual_usd=attempt.reserved_usd)
        tx.settle_cost(job, attempt, attempt.reserved_usd)
    elif attempt.state is AttemptState.ACCEPTED and attempt.provider_id:
        message = ProviderCall(str(job.id), str(attempt.id), "cancel", attempt.provider_id)
        tx.announce(job, "calls", body_of(message))


def _take_up(tx: Transaction, job: Job) -> Job | None:
    freed = tx.touch_job(job, lease_owner=None, lease_until=None)
    if freed is None:
        return None
    body = body_of(JobMessage(str(job.id)))
    if job.kind == "compile":
        tx.announce(freed, "compile", body)
    elif "incoming" in job.result:
        tx.announce(freed, "inspect", body)
    else:
        for attempt in tx.attempts(job.id):
            _ask_again(tx, freed, attempt)
    tx.add_event(freed, "job.taken_up")
    return freed


def _check(tx: Transaction, attempt: Attempt) -> None:
    job = tx.lock_job(attempt.job_id)
    assert job is not None
    tx.change_attempt(attempt, attempt.state, check_in_seconds=CHECK_AGAIN_SECONDS)
    _ask_again(tx, job, attempt)


def _ask_again(tx: Transaction, job: Job, attempt: Attempt) -> None:
    if attempt.state in (AttemptState.WRITTEN, AttemptState.CLAIMED):
        tx.announce(job, "calls", body_of(ProviderCall(str(job.id), str(attempt.id))))
    elif attempt.state is AttemptState.ACCEPTED and attempt.provider_id:
        message = StoreMedia(str(job.id), str(attempt.id), attempt.number, attempt.provider_id)
        tx.announce(job, "store", body_of(message))
