"""Erasing a job's media and a user's data: from every store, resumed until nothing is left, with a receipt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.domain.erasure import Erasure, Work
from shared.domain.errors import DependencyDown, NotFound
from shared.domain.jobs import Caller, iso
from shared.observability import logger
from shared.ports import Clock, LiveView, MediaStore, Records, StatusCache
from shared.usecases.aftermath import Aftermath
from shared.usecases.control import stop_job

# The longest a worker that ran at the time may go on writing: the encoders' timeout and some.
WORKERS_DONE_AFTER = timedelta(minutes=12)
BATCH = 20


@dataclass(frozen=True, slots=True)
class Eraser:
    """Every step may be repeated; a kill anywhere leaves the erasure open, and the minute sweep goes on with it."""

    records: Records
    media: MediaStore
    live: LiveView
    cache: StatusCache
    aftermath: Aftermath
    clock: Clock

    def erase_job(self, job_id: UUID, caller: Caller) -> Erasure:
        """One job's media and what was asked for. Raises NotFound."""
        with self.records.transaction() as tx:
            earlier = tx.last_erasure(caller.account_id, f"job:{job_id}")
        if earlier is not None:
            return earlier if earlier.completed_at else self._run(earlier)
        erasure = self._begin(caller, f"job:{job_id}", job_id=job_id)
        if not erasure.work:
            raise NotFound(f"There is no job {job_id}: GET /jobs lists yours.")
        return self._run(erasure)

    def erase_user(self, user_id: str, caller: Caller) -> Erasure:
        """All of a user's jobs, and the films that show a clip of theirs."""
        return self._run(self._begin(caller, f"user:{user_id}", user_id=user_id))

    def resume(self) -> int:
        """Goes on with what is open; how many there are."""
        with self.records.transaction() as tx:
            found = list(tx.open_erasures(BATCH))
        for erasure in found:
            try:
                self._run(erasure)
            except DependencyDown as error:
                logger.warning("erasure_left_to_next_sweep", extra={"reason": error.code})
        return len(found)

    def _begin(
        self, caller: Caller, subject: str, *, job_id: UUID | None = None, user_id: str | None = None
    ) -> Erasure:
        now = self.clock.now()
        with self.records.transaction() as tx:
            jobs = list(tx.lock_jobs_to_erase(caller.account_id, job_id, user_id))
            running = [job for job in jobs if not job.status.finished]
            stopped = [stop_job(tx, job, clock=self.clock)[0] for job in running]
            erasure = Erasure(
                uuid4(), caller.account_id, subject, [Work.of(job) for job in jobs],
                settled_at=now + WORKERS_DONE_AFTER if running else now, requested_at=now, erased={},
            )  # fmt: skip
            if jobs or user_id is not None:
                tx.insert_erasure(erasure)
        for job in stopped:
            self.aftermath.of(job)
        return erasure

    def _run(self, erasure: Erasure) -> Erasure:
        with self.records.transaction() as tx:
            rows = tx.scrub(erasure, f"erased-{uuid4().hex[:16]}")
        keys = [key for prefix in erasure.prefixes for key in self.media.keys(prefix)]
        self.media.delete(keys)
        # A second pass finds the same rows, scrubbed already: they count once.
        counts = {"objects": 0, **(erasure.erased or rows)}
        counts["objects"] += len(keys)
        for work in erasure.work:
            self.live.forget(work.job_id)
            self.cache.forget(work.job_id)
        with self.records.transaction() as tx:
            tx.count_erased(erasure, counts)
        return self._completed(replace(erasure, erased=counts))

    def _completed(self, erasure: Erasure) -> Erasure:
        now = self.clock.now()
        if now < erasure.settled_at or self._left(erasure):
            return erasure
        with self.records.transaction() as tx:
            tx.complete_erasure(erasure, hashed_subject(erasure), now)
        return replace(erasure, completed_at=now, subject=hashed_subject(erasure), work=())

    def _left(self, erasure: Erasure) -> int:
        left = sum(len(self.media.keys(prefix)) for prefix in erasure.prefixes)
        left += sum(self.live.get(work.job_id) is not None for work in erasure.work)
        if erasure.user_id is not None:
            with self.records.transaction() as tx:
                left += tx.rows_of_user(erasure.account_id, erasure.user_id)
        return left


def hashed_subject(erasure: Erasure) -> str:
    """The subject without the user's label."""
    if erasure.user_id is None:
        return erasure.subject
    return f"user:sha256:{hashlib.sha256(f'{erasure.account_id}:{erasure.user_id}'.encode()).hexdigest()}"


def receipt(erasure: Erasure) -> dict[str, Any]:
    """What callers see: what was erased from where, and that nothing is left once it is done."""
    done = erasure.completed_at is not None
    return {
        "erasureId": str(erasure.id),
        "subject": hashed_subject(erasure) if not done else erasure.subject,
        "status": "completed" if done else "processing",
        "erased": dict(erasure.erased),
        "left": 0 if done else None,
        "requestedAt": iso(erasure.requested_at),
        "completedAt": iso(erasure.completed_at),
    }
