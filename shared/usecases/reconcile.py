"""The minute sweep: whatever a crash, a lost message or a silent provider left behind is taken up again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from shared.domain.errors import DependencyDown
from shared.domain.fetches import SourceFetch
from shared.domain.jobs import OF_CLIPS, Attempt, AttemptState, Job, JobStatus
from shared.domain.messages import JobMessage, ProviderCall, StoreMedia, body_of
from shared.observability import logger
from shared.ports import Clock, Records, Transaction
from shared.usecases.aftermath import BATCH as SENT_AT_ONCE
from shared.usecases.aftermath import Aftermath
from shared.usecases.announcing import announce_cancel
from shared.usecases.ending import book_cost, end_job
from shared.usecases.source_fetches import TRY_AGAIN, ask_for, path_of

BATCH = 200
MOST_STEPS = 20
CHECK_AGAIN_SECONDS = 60
TOO_LATE = "The job did not finish before its deadline; POST /jobs/{jobId}/retry."
NEVER_CAME = "The file did not come in time: ask for a new form with POST /api/uploads."


@dataclass(frozen=True, slots=True)
class Sweep:
    """One pass; each part is a transaction of its own, so that one that fails does not stop the others."""

    records: Records
    clock: Clock
    aftermath: Aftermath

    def run(self) -> dict[str, int]:
        """What was taken up, by kind. Raises DependencyDown when the truth does not answer."""
        found = {
            "overdue": _until_done(lambda: self._each(lambda tx: tx.overdue(BATCH), self._time_out), BATCH),
            "lapsed": _until_done(lambda: self._each(lambda tx: tx.lapsed(BATCH), _take_up), BATCH),
            "checked": _until_done(self._check_attempts, BATCH),
            "fetches": _until_done(self._check_fetches, BATCH),
            "sent": _until_done(self.aftermath.send, SENT_AT_ONCE),
        }
        # Last, and no error: a live view that is down must not keep work from being taken up.
        return {**found, "unpublished": self._publish()}

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
            job = _close(tx, job, attempt)
        return end_job(
            tx, job, JobStatus.TIMEOUT, clock=self.clock, error_code="timeout",
            error_message=_why_late(tx, job),
        )  # fmt: skip

    def _check_attempts(self) -> int:
        with self.records.transaction() as tx:
            attempts = tx.attempts_to_check(BATCH)
            for attempt in attempts:
                self._check(tx, attempt)
        return len(attempts)

    def _check(self, tx: Transaction, seen: Attempt) -> None:
        # The job before the attempt, as everybody locks them; the attempt may have moved meanwhile.
        job, attempt = tx.lock_job(seen.job_id), tx.lock_attempt(seen.id)
        if job is None or attempt is None or attempt.state in (AttemptState.REJECTED, AttemptState.FINISHED):
            return
        if job.status.finished and attempt.state is AttemptState.CLAIMED and self.clock.now() >= job.deadline_at:
            _close(tx, job, attempt)
            return
        tx.change_attempt(attempt, attempt.state, check_in_seconds=CHECK_AGAIN_SECONDS)
        _ask_again(tx, job, attempt)

    def _check_fetches(self) -> int:
        with self.records.transaction() as tx:
            due = tx.due_fetches(BATCH)
            for seen in due:
                _check_fetch(tx, seen)
        return len(due)

    def _publish(self) -> int:
        with self.records.transaction() as tx:
            jobs = list(tx.unpublished(BATCH))
        for number, job in enumerate(jobs):
            try:
                self.aftermath.publish(job)
            except DependencyDown as error:
                logger.warning("publishing_left_to_next_sweep", extra={"reason": error.code})
                return number
        return len(jobs)


def _why_late(tx: Transaction, job: Job) -> str:
    missing = ", ".join(path_of(job, fetch) for fetch in tx.open_fetches(job.id))
    if missing:
        return f"{missing} could not be fetched before the job's deadline: {TRY_AGAIN}."
    return NEVER_CAME if job.kind == "upload" else TOO_LATE


def _check_fetch(tx: Transaction, seen: SourceFetch) -> None:
    # The job before the fetch, as everybody locks them; it may have moved meanwhile.
    job, fetch = tx.lock_job(seen.job_id), tx.lock_fetch(seen.job_id, seen.number)
    if job is None or fetch is None or fetch.state != "waiting" or fetch.held:
        return
    if job.status.finished:
        tx.end_fetch(fetch, "failed")
    else:
        ask_for(tx, job, fetch)


def _until_done(step: Callable[[], int], batch: int) -> int:
    """Steps until one finds less than a batch; what is left by then is left to the next sweep."""
    found = 0
    for _ in range(MOST_STEPS):
        found += (last := step())
        if last < batch:
            break
    return found


def _close(tx: Transaction, job: Job, attempt: Attempt) -> Job:
    if attempt.state is AttemptState.WRITTEN:
        tx.change_attempt(attempt, AttemptState.REJECTED, error_code="timeout")
        return book_cost(tx, job, attempt, Decimal(0))
    if attempt.state is AttemptState.CLAIMED:
        # Nobody knows whether the provider acted: what was reserved counts as spent, never as free.
        tx.change_attempt(attempt, AttemptState.FINISHED, error_code="unresolved", actual_usd=attempt.reserved_usd)
        return book_cost(tx, job, attempt, attempt.reserved_usd)
    if attempt.state is AttemptState.ACCEPTED and attempt.provider_id:
        announce_cancel(tx, job, attempt, attempt.provider_id)
    return job


def _take_up(tx: Transaction, job: Job) -> Job | None:
    freed = tx.touch_job(job, lease_owner=None, lease_until=None)
    if freed is None:
        return None
    body = body_of(JobMessage(str(job.id)))
    if job.kind in OF_CLIPS:
        tx.announce(freed, "compile", body)
    elif "incoming" in job.result or job.kind == "upload":
        tx.announce(freed, "inspect", body)
    else:
        for attempt in tx.attempts(job.id):
            _ask_again(tx, freed, attempt)
    tx.add_event(freed, "job.taken_up")
    return freed


def _ask_again(tx: Transaction, job: Job, attempt: Attempt) -> None:
    if attempt.state in (AttemptState.WRITTEN, AttemptState.CLAIMED):
        call = ProviderCall(str(job.id), str(attempt.id), provider=attempt.provider)
        tx.announce(job, "calls", body_of(call))
    elif attempt.state is AttemptState.ACCEPTED and attempt.provider_id:
        message = StoreMedia(str(job.id), str(attempt.id), attempt.number, attempt.provider_id, attempt.provider)
        tx.announce(job, "store", body_of(message))
