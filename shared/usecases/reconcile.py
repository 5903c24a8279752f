"""The minute sweep: whatever a crash, a lost message or a silent provider left behind is taken up again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import takewhile
from typing import Generic, TypeVar
from uuid import UUID

from shared.domain.errors import DependencyDown
from shared.domain.jobs import Attempt, AttemptState, Job, JobRef, JobStatus, lane_of
from shared.domain.messages import ProviderCall, StoreMedia, body_of
from shared.observability import BUDGET_USED, OLDEST_OVERDUE_JOB, SWEEP_FAILURES, count, logger, percent, seconds
from shared.ports import Clock, Records, Transaction
from shared.usecases.aftermath import Aftermath
from shared.usecases.announcing import announce_cancel
from shared.usecases.ending import book_cost, end_job
from shared.usecases.giving_up import why_broken_off
from shared.usecases.source_fetches import TRY_AGAIN, ask_for, path_of
from shared.usecases.turns import Turns, announce_work

BATCH = 50
# The next sweep goes on where this one stops.
SWEEP_SECONDS = 40.0
CHECK_AGAIN_SECONDS = 60
# A row that cannot be handled is tried again so much later, and holds up no other meanwhile.
SET_BACK_SECONDS = 300
# From here on the log names the account whose budget it is.
NEARLY_USED_PERCENT = 80
TOO_LATE = "The job did not finish before its deadline; POST /jobs/{jobId}/retry."
NEVER_CAME = "The file did not come in time: ask for a new form with POST /api/uploads."
Key = TypeVar("Key", bound=Hashable)
CallKey = tuple[UUID, UUID]
FetchKey = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class _Rows(Generic[Key]):
    """One kind of rows: how the due ones are found and handled. `handle` returns a job that changed."""

    find: Callable[[Transaction, int], Sequence[Key]]
    handle: Callable[[Transaction, Key], Job | None]
    # Rows that one transaction handles: one alone where budgets are locked, or two sweeps would lock them crosswise.
    at_once: int = 1


@dataclass(slots=True)
class _Pass:
    """State shared by the parts of one sweep: when its time is over, and whether the live view answers."""

    until: float
    view_is_down: bool = False


@dataclass(slots=True)
class _Part:
    """One part of one sweep: how far it has come, and what does its next batch and says whether there may be more."""

    name: str
    batch: Callable[[_Part], bool]
    this: _Pass
    seen: set[Hashable] = field(default_factory=set)
    handled: int = 0
    failed: int = 0

    def fail(self, message: str, key: object = None) -> None:
        """Logs the exception that is being handled, and counts it for the alarm."""
        self.failed += 1
        count(SWEEP_FAILURES)
        logger.exception(message, extra={"part": self.name, "row": str(key)})


@dataclass(frozen=True, slots=True)
class Sweep:
    """One pass over what is due. Neither a row nor a part that fails keeps the others from being done."""

    records: Records
    clock: Clock
    aftermath: Aftermath
    turns: Sequence[Turns]

    def run(self, most_seconds: float = SWEEP_SECONDS) -> dict[str, int]:
        """How many rows were handled, by part, and how many failed. Raises DependencyDown, once all parts were tried.

        The parts take turns, a batch each, until nothing is due or the time is over.
        """
        this = _Pass(self.clock.monotonic_seconds() + most_seconds)
        parts = [
            _Part("overdue", partial(self._rows, _Rows(_overdue, self._time_out)), this),
            _Part("requeued", partial(self._rows, _Rows(_due_jobs, _requeue, at_once=BATCH)), this),
            _Part("turns", partial(self._rows, _Rows(self._waiting, _call_waiting)), this),
            _Part("checked", partial(self._rows, _Rows(_due_attempts, self._check_attempt)), this),
            _Part("fetches", partial(self._rows, _Rows(_due_fetches, _check_fetch)), this),
            _Part("sent", self._send, this),
            _Part("unpublished", self._publish, this),
        ]
        going_on = parts
        down: list[DependencyDown] = []
        while going_on and self._has_time(this):
            going_on = [part for part in going_on if self._goes_on(part, down)]
        if down:
            raise down[0]
        self._measure()
        return {**{part.name: part.handled for part in parts}, "failed": sum(part.failed for part in parts)}

    def _measure(self) -> None:
        """Prints what only a look at all rows can tell. A sweep that fails prints nothing, which has an alarm."""
        with self.records.transaction() as tx:
            overdue_seconds, fullest = tx.oldest_overdue_seconds(), tx.fullest_budget(self.clock.now())
        seconds(OLDEST_OVERDUE_JOB, overdue_seconds)
        percent(BUDGET_USED, float(fullest.used_percent) if fullest is not None else 0)
        if fullest is not None and fullest.used_percent >= NEARLY_USED_PERCENT:
            told = {"accountId": str(fullest.account_id), "period": fullest.period}
            logger.warning("budget_nearly_used", extra={**told, "usedPercent": float(fullest.used_percent)})

    def _goes_on(self, part: _Part, down: list[DependencyDown]) -> bool:
        """Does a part's next batch; whether there may be another."""
        try:
            return part.batch(part)
        except DependencyDown as error:
            down.append(error)
            return False
        except Exception:  # noqa: BLE001 - logged and counted; the other parts must go on
            part.fail("sweep_part_failed")
            return False

    def _rows(self, rows: _Rows[Key], part: _Part) -> bool:
        """The next rows that are due, by their ids and in short transactions."""
        with self.records.transaction() as tx:
            keys = [key for key in rows.find(tx, BATCH) if key not in part.seen]
        part.seen.update(keys)
        for start in range(0, len(keys), rows.at_once):
            if not self._has_time(part.this):
                return False
            self._handle(rows, keys[start : start + rows.at_once], part)
            part.handled += len(keys[start : start + rows.at_once])
        return bool(keys)

    def _has_time(self, this: _Pass) -> bool:
        return self.clock.monotonic_seconds() < this.until

    def _handle(self, rows: _Rows[Key], keys: Sequence[Key], part: _Part) -> None:
        changed = []
        with self.records.transaction() as tx:
            for key in keys:
                try:
                    with tx.savepoint():
                        changed.append(rows.handle(tx, key))
                except Exception:  # noqa: BLE001 - logged and counted; the other rows must go on
                    part.fail("sweep_row_failed", key)
                    tx.set_back(_id_of(key), SET_BACK_SECONDS)
        for job in changed:
            if job is not None:
                self._publish_changed(job, part.this)

    def _publish_changed(self, job: Job, this: _Pass) -> None:
        """At once, unless the live view has failed to answer in this sweep: a later one publishes then."""
        if this.view_is_down:
            return
        try:
            self.aftermath.publish(job)
        except DependencyDown:
            this.view_is_down = True

    def _time_out(self, tx: Transaction, job_id: UUID) -> Job | None:
        job = tx.lock_overdue(job_id)
        if job is None:
            return None
        for attempt in tx.attempts(job.id):
            job = _close(tx, job, attempt)
        return end_job(
            tx, job, JobStatus.TIMEOUT, clock=self.clock, error_code="timeout", error_message=_why_late(tx, job)
        )

    def _check_attempt(self, tx: Transaction, key: CallKey) -> Job | None:
        # The job before the attempt, as everybody locks them; the attempt may have moved meanwhile.
        job = tx.lock_job(key[0], wait=False)
        attempt = tx.lock_attempt(key[1]) if job is not None else None
        if job is None or attempt is None or attempt.state in (AttemptState.REJECTED, AttemptState.FINISHED):
            return None
        if job.status.finished and attempt.state is AttemptState.CLAIMED and self.clock.now() >= job.deadline_at:
            return _close(tx, job, attempt)
        tx.change_attempt(attempt, attempt.state, check_in_seconds=CHECK_AGAIN_SECONDS)
        _ask_again(tx, job, attempt)
        return None

    def _waiting(self, tx: Transaction, _limit: int) -> Sequence[tuple[Turns, UUID]]:
        return [(turns, account_id) for turns in self.turns for account_id in tx.accounts_waiting(turns.lane)]

    def _send(self, part: _Part) -> bool:
        sent = self.aftermath.send()
        part.handled += sent
        return sent > 0

    def _publish(self, part: _Part) -> bool:
        """A live view that is down is no error: the next sweep publishes."""
        if part.this.view_is_down:
            return False
        with self.records.transaction() as tx:
            job_ids = tx.unpublished(BATCH)
        published = sum(1 for _ in takewhile(partial(self._publish_one, part), job_ids))
        part.handled += published
        return published == len(job_ids) > 0

    def _publish_one(self, part: _Part, job_id: UUID) -> bool:
        """False when the live view does not answer."""
        try:
            with self.records.transaction() as tx:
                job = tx.job_of_any_account(job_id)
            if job is not None:
                self.aftermath.publish(job)
        except DependencyDown as error:
            logger.warning("publishing_left_to_next_sweep", extra={"reason": error.code})
            return False
        except Exception:  # noqa: BLE001 - logged and counted; the other rows must go on
            part.fail("sweep_row_failed", job_id)
            with self.records.transaction() as tx:
                tx.set_back(_id_of(job_id), SET_BACK_SECONDS)
        return True


def _call_waiting(tx: Transaction, key: tuple[Turns, UUID]) -> None:
    """Jobs that wait for a turn which nobody has called: the worker that should have was killed."""
    turns, account_id = key
    turns.fill(tx, account_id)


def _overdue(tx: Transaction, limit: int) -> Sequence[UUID]:
    return tx.overdue(limit)


def _due_jobs(tx: Transaction, limit: int) -> Sequence[UUID]:
    return tx.due_jobs(limit)


def _due_attempts(tx: Transaction, limit: int) -> Sequence[CallKey]:
    return tx.attempts_to_check(limit)


def _due_fetches(tx: Transaction, limit: int) -> Sequence[FetchKey]:
    return tx.due_fetches(limit)


def _id_of(key: Hashable) -> str:
    """The row's id as `vsl.set_back_rows` has it."""
    return " ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _why_late(tx: Transaction, job: Job) -> str:
    missing = ", ".join(path_of(job, fetch) for fetch in tx.open_fetches(job.id))
    if missing:
        return f"{missing} could not be fetched before the job's deadline: {TRY_AGAIN}."
    if job.kind == "upload" and "incoming" not in job.result:
        return NEVER_CAME
    return why_broken_off(tx, job.account_id, job.id) or TOO_LATE


def _check_fetch(tx: Transaction, key: FetchKey) -> None:
    # The job before the fetch, as everybody locks them; it may have moved meanwhile.
    job = tx.lock_job(key[0], wait=False)
    fetch = tx.lock_fetch(*key) if job is not None else None
    if job is None or fetch is None or fetch.state != "waiting" or fetch.held:
        return
    if job.status.finished:
        tx.end_fetch(fetch, "failed")
    else:
        ask_for(tx, job, fetch)


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


def _requeue(tx: Transaction, job_id: UUID) -> None:
    job = tx.lock_due_job(job_id)
    if job is None:
        return
    tx.requeue(job.id)
    lane = lane_of(job.kind)
    if lane == "compile" or job.has_incoming or job.kind == "upload":
        announce_work(tx, job, lane)
    else:
        for attempt in tx.attempts(job.id):
            _ask_again(tx, job, attempt)
    tx.add_event(job, "job.taken_up")


def _ask_again(tx: Transaction, job: JobRef, attempt: Attempt) -> None:
    if attempt.state in (AttemptState.WRITTEN, AttemptState.CLAIMED):
        call = ProviderCall(str(job.id), str(attempt.id), provider=attempt.provider)
        tx.announce(job, "calls", body_of(call))
    elif attempt.state is AttemptState.ACCEPTED and attempt.provider_id:
        message = StoreMedia(str(job.id), str(attempt.id), attempt.number, attempt.provider_id, attempt.provider)
        tx.announce(job, "store", body_of(message))
