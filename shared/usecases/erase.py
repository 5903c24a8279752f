"""Erasing a job's media and a user's data: from every store, in rounds until one finds nothing, with a receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.domain.erasure import WHOLE_USER, Erasure, receipt
from shared.domain.errors import Conflict, DependencyDown, NotFound
from shared.domain.jobs import Caller, Job, snapshot
from shared.observability import logger
from shared.ports import Clock, LiveView, MediaStore, Records, StatusCache, Transaction
from shared.usecases.aftermath import Aftermath
from shared.usecases.clips import close_up
from shared.usecases.control import stop_job
from shared.usecases.idempotency import Once, hash_of, is_repeated, set_made

# The longest a worker that ran at the time may go on writing: the encoders' timeout and some.
WORKERS_DONE_AFTER = timedelta(minutes=12)
# Each step takes much less; a worker that was killed holds an erasure for no longer.
HELD_FOR = timedelta(seconds=60)
BATCH = 50
PAGE = 1000
_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Eraser:
    """Step by step, each of which may be repeated; a kill anywhere leaves the rest to the minute sweep."""

    records: Records
    media: MediaStore
    live: LiveView
    cache: StatusCache
    aftermath: Aftermath
    clock: Clock

    def erase_job(self, job_id: UUID, caller: Caller, seconds: float, key: str | None = None) -> Erasure:
        """One job's media and what was asked for, as far as the seconds reach. Raises NotFound, Conflict (key)."""
        with self.records.transaction() as tx:
            # A job is erased once, with or without a key; the key is only kept for one body.
            is_repeated(tx, caller, Once("DELETE /api/videos/{jobId}", key, hash_of({"jobId": job_id})))
            if tx.job(caller.account_id, job_id) is None:
                raise NotFound(f"There is no job {job_id}: GET /jobs lists yours.")
            job = tx.lock_job(job_id)
            assert job is not None
            erasure = self.begin(tx, caller, job_id)
        return self.go_on(erasure, seconds)

    def begin(self, tx: Transaction, caller: Caller, job_id: UUID) -> Erasure:
        """The erasure of the account's job, new or begun before; the minute sweep goes on with it."""
        job, erasure = tx.job(caller.account_id, job_id), tx.erasure_of_job(caller.account_id, job_id)
        if erasure is None:
            assert job is not None
            erasure = self._new(caller, f"job:{job_id}", job.user_id)
            tx.insert_erasure(erasure)
        return erasure

    def erase_user(self, user_id: str, caller: Caller, seconds: float, key: str | None = None) -> Erasure:
        """All of a user's data and the films that show a clip of theirs, as far as the seconds reach.

        Again under the same idempotency key is the same erasure, also when it is done. Raises Conflict (key).
        """
        once = Once("DELETE /api/users/{userId}", key, hash_of({"userId": user_id}))
        with self.records.transaction() as tx:
            _, made = is_repeated(tx, caller, once)
            erasure = tx.erasure(caller.account_id, UUID(made)) if made else None
            erasure = erasure or tx.open_erasure_of_user(caller.account_id, user_id)
            if erasure is None:
                erasure = self._new(caller, WHOLE_USER, user_id)
                tx.insert_erasure(erasure)
            set_made(tx, caller, once, erasure.id)
        return self.go_on(erasure, seconds)

    def resume(self, seconds: float) -> int:
        """Goes on with those that are due, for so long; how many were taken up."""
        end, taken = self.clock.monotonic_seconds() + seconds, 0
        while self.clock.monotonic_seconds() < end and (erasure := self._take()) is not None:
            self._run(erasure, end)
            taken += 1
        return taken

    def _new(self, caller: Caller, subject: str, user_id: str) -> Erasure:
        now = self.clock.now()
        return Erasure(
            uuid4(),
            caller.account_id,
            subject,
            user_id,
            requested_at=now,
            settled_at=now,
            due_at=now,
            round_began_at=now,
        )

    def go_on(self, erasure: Erasure, seconds: float) -> Erasure:
        """How far it has come after so many seconds at most; one that another worker has is left to it."""
        held = None if erasure.completed_at else self._take(erasure.id)
        if held is not None:
            self._run(held, self.clock.monotonic_seconds() + seconds)
        with self.records.transaction() as tx:
            return tx.erasure(erasure.account_id, erasure.id) or erasure

    def _take(self, erasure_id: UUID | None = None) -> Erasure | None:
        now = self.clock.now()
        with self.records.transaction() as tx:
            return tx.take_erasure(now, now + HELD_FOR, erasure_id)

    def _run(self, erasure: Erasure, end: float) -> None:
        try:
            going: Erasure | None = erasure
            while going is not None and self.clock.monotonic_seconds() < end:
                going = self._step(going)
            if going is not None:
                with self.records.transaction() as tx:
                    tx.save_erasure(going, self.clock.now())
        except (DependencyDown, Conflict) as error:
            logger.warning("erasure_left_to_sweep", extra={"erasureId": str(erasure.id), "reason": error.code})
        except Exception:  # noqa: BLE001 - logged; the other erasures, orphans and pruning must go on
            logger.exception("erasure_failed", extra={"erasureId": str(erasure.id)})

    def _step(self, erasure: Erasure) -> Erasure | None:
        """How far it has come; None when there is nothing to do now."""
        if erasure.cursor is None:
            return self._mark(erasure)
        with self.records.transaction() as tx:
            jobs = tx.erased_jobs(erasure, BATCH)
        return self._clear(erasure, jobs) if jobs else self._end_round(erasure)

    def _stop(self, job_id: UUID) -> None:
        """In a transaction of its own: with several jobs, budgets would be locked after the turns of the first."""
        with self.records.transaction() as tx:
            job = tx.lock_job(job_id)
            if job is None or job.status.finished:
                return
            stopped, _ = stop_job(tx, job, clock=self.clock)
        self._announce(stopped)

    def _mark(self, erasure: Erasure) -> Erasure:
        """The user's label goes, jobs that run are stopped, and from now on they all answer that they are gone."""
        with self.records.transaction() as tx:
            texts, kept = tx.erase_script_texts(erasure)
            scripts, last_form = tx.scripts_of_erased(erasure, ()), tx.last_form(erasure)
            renamed = {**tx.rename_user(erasure), **texts}
            erasure = tx.save_erasure(erasure.plus(renamed), self.clock.now() + HELD_FOR)
            running_ids = [job.id for job in tx.lock_jobs_to_erase(erasure, BATCH) if not job.status.finished]
        for job_id in running_ids:
            self._stop(job_id)
        with self.records.transaction() as tx:
            jobs = tx.lock_jobs_to_erase(erasure, BATCH)
            running = [job for job in jobs if not job.status.finished]
            for job in running:
                stop_job(tx, job, clock=self.clock)
            films = _films(tx, erasure, jobs)
            ids = [job.id for job in jobs]
            tx.mark_erased(erasure, ids)
            waiting = erasure.waiting({"workers": tx.last_write(ids, WORKERS_DONE_AFTER), "forms": last_form})
            marked = replace(waiting, films=(*erasure.films, *films), scripts=kept)
            held = tx.save_erasure(marked, self.clock.now() + HELD_FOR)
        for job in running:
            self._announce(job)
        self._close_up(erasure, scripts)
        removed = self._remove(erasure.roots)
        if jobs or any(renamed.values()) or any(removed.values()):
            return held.plus(removed)
        return replace(held, cursor=_FIRST)

    def _close_up(self, erasure: Erasure, script_ids: Sequence[int]) -> None:
        """The clips that are left in these scripts close up, one script a transaction."""
        for script_id in script_ids:
            with self.records.transaction() as tx:
                if tx.lock_script(erasure.account_id, script_id) is not None:
                    close_up(tx, erasure.account_id, script_id)

    def _announce(self, job: Job) -> None:
        """The provider is told to stop; where that is not possible now, the minute sweep tells."""
        try:
            self.aftermath.send(job.id)
        except DependencyDown as error:
            logger.warning("aftermath_left_to_sweep", extra={"jobId": str(job.id), "reason": error.code})

    def _clear(self, erasure: Erasure, jobs: Sequence[Job]) -> Erasure:
        ids = [job.id for job in jobs]
        with self.records.transaction() as tx:
            written = list(tx.stored_keys(ids))
        places = [place for job in jobs for place in erasure.places(job)]
        elsewhere = [key for key in written if not key.startswith((*places, *erasure.roots))]
        removed = self._remove([*places, *elsewhere])
        gone = [snapshot(job) for job in jobs]
        views = {"liveView": sum(self.live.replace(view) for view in gone)}
        views["cache"] = sum(self.cache.replace(view) for view in gone)
        with self.records.transaction() as tx:
            scripts = tx.scripts_of_erased(erasure, ids)
            found = tx.scrub(erasure.account_id, ids)
            further = replace(erasure.plus(removed).plus(views).plus(found), cursor=ids[-1])
            held = tx.save_erasure(further, self.clock.now() + HELD_FOR)
        self._close_up(erasure, scripts)
        return held

    def _remove(self, prefixes: Sequence[str]) -> dict[str, int]:
        """A page of each prefix; what there is beyond is found by the next round."""
        objects = {key for prefix in prefixes for key in self.media.erase(prefix, PAGE)}
        uploads = [upload for prefix in prefixes for upload in self.media.open_uploads(prefix, "", PAGE)]
        for upload in uploads:
            self.media.abort_upload(upload)
        return {"objects": len(objects), "uploads": len(set(uploads))}

    def _end_round(self, erasure: Erasure) -> Erasure | None:
        now = self.clock.now()
        if any(erasure.found.values()):
            return erasure.next_round(now)
        with self.records.transaction() as tx:
            if erasure.round_began_at < erasure.settled_at:
                tx.save_erasure(erasure.next_round(now), erasure.settled_at)
            elif tx.open_waits(erasure):
                tx.save_erasure(erasure.next_round(now), now + HELD_FOR)
            else:
                tx.save_erasure(erasure.finished(now), now)
        return None


def read_receipt(erasure: Erasure, *, records: Records, clock: Clock) -> dict[str, Any]:
    """The receipt of an erasure and, while it is open, what it waits for and until when."""
    if erasure.completed_at is not None:
        return receipt(erasure)
    with records.transaction() as tx:
        return receipt(erasure, tx.open_waits(erasure), clock.now())


def _films(tx: Transaction, erasure: Erasure, jobs: Sequence[Job]) -> list[str]:
    """Of a user: the films that are not theirs alone. Of a job: those that were made of it, and stay."""
    if erasure.subject == WHOLE_USER:
        return [str(job.id) for job in jobs if job.user_id != erasure.nobody]
    keys = {job.s3_key for job in jobs} - {None}
    return [str(film) for key in keys if key for film in tx.films_showing(erasure.account_id, key)]
