"""Inside: take a compile job, have its film made and proved, or planned alone, and complete it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from shared.domain.errors import BadMedia, Conflict, DependencyDown, NoRoom, NotFound, OutOfTime, TooLarge
from shared.domain.jobs import TOLD, Job, JobStatus, JobStep
from shared.domain.row_limits import RESULT_BYTES, first_items, json_bytes
from shared.domain.storage_keys import compiled_folder
from shared.media.estimate import Estimate, estimate
from shared.media.target import Wishes
from shared.observability import COMPILE_STRATEGY, count, job_fields, logger
from shared.ports import Clock, MediaStore, Records, Transaction
from shared.usecases.aftermath import Aftermath
from shared.usecases.compile_videos import with_decoded
from shared.usecases.ending import end_job, fail_job
from shared.usecases.film import Film, Planned, Work
from shared.usecases.film_work import FilmWork
from shared.usecases.giving_up import LEFT_TO_ITS_MESSAGE_SECONDS, lease_given_up
from shared.usecases.inspect_media import Place
from shared.usecases.shown_plan import notes_of, reasons_of, shown_plan, shown_probe
from shared.usecases.turns import Turns, announce_work

# Progress is told at most that often.
TELL_SECONDS = 1.0
RUNS_LEARNT_FROM = 50
INLINE = "inline"


def wishes_of(request: Mapping[str, Any]) -> Wishes:
    """What a compile's stored request asks of the film."""
    size, fps = request.get("size"), request.get("fps")
    return Wishes(
        reencode=bool(request.get("reencode")),
        quality=request.get("quality", "source"),
        size=(size[0], size[1]) if size else None,
        fps=Fraction(fps) if fps else None,
        container=request.get("outputFormat"),
    )


def work_of(job: Job) -> Work:
    """The job's film: of which sources, as what, and where it is to lie."""
    folder = compiled_folder(job.account_id, job.script_id, job.id)
    name = job.script_id if job.script_id is not None else "clips"
    wishes = wishes_of(job.request)
    return Work(
        job.request["sources"],
        wishes,
        str(job.account_id),
        str(job.id),
        f"{folder}/final-{name}",
        f"{folder}/thumbnail.jpg",
    )


@dataclass(frozen=True, slots=True)
class FilmMaker:
    """Compiles films. `workplace(job_id, owner)` keeps the lease alive while it is open."""

    records: Records
    media: MediaStore
    clock: Clock
    aftermath: Aftermath
    workplace: Callable[[UUID, str], AbstractContextManager[Place]]
    lease_seconds: int
    memory_mb: int
    turns: Turns

    def compile(self, job_id: UUID, *, limit_seconds: float | None = None) -> None:
        """One message of queue `compile`; nothing when the job has ended or another worker has it.

        A film that will take longer than the limit is left to the queue once that is known.
        """
        # A film that its caller waits for takes no worker of the queue and needs no turn.
        owner = f"{'compile' if limit_seconds is None else INLINE}:{uuid4()}"
        # No message comes again for a film that its caller waited for.
        check_in_seconds = LEFT_TO_ITS_MESSAGE_SECONDS if limit_seconds is None else 0
        with lease_given_up(self.records, job_id, owner, check_in_seconds):
            job = self._begin(job_id, owner)
            if job is not None:
                self._compile(job, owner, limit_seconds)

    def _compile(self, job: Job, owner: str, limit_seconds: float | None) -> None:
        try:
            with self.workplace(job.id, owner) as place:
                self._work(job, owner, place, limit_seconds)
        except (BadMedia, NotFound, NoRoom) as error:
            self._fail(job, owner, error.code, error.sentence)
        except TooLarge as error:
            # Made again, it would be as large.
            self._fail(job, owner, "internal", error.sentence)
        except OutOfTime:
            self._hand_over(job, owner)
        except Conflict as error:
            logger.info("compile_stopped", extra={**job_fields(job), "reason": error.code})
        except DependencyDown:
            # Of the queue's workers the queue takes care; a caller's job is on record and waits for nobody.
            if limit_seconds is None:
                raise
            self._hand_over(job, owner)

    def leave_to_queue(self, job: Job) -> None:
        """A worker is to take the job in its turn: its caller has no place to have it made while waiting."""
        with self.records.transaction() as tx:
            announce_work(tx, job, "compile")
        self.aftermath.of(job)

    def _work(self, job: Job, owner: str, place: Place, limit_seconds: float | None) -> None:
        teller = _Teller(self.records, self.aftermath, self.clock, job.id, owner)
        work = FilmWork(self.media, self.clock, place, teller.tell, work_of(job))
        if job.kind in TOLD:
            self._end(job, owner, progress=100, result=self._kept(job, self._told(job, work)))
            return
        planned = work.plan()
        expected_seconds = 0.0 if limit_seconds is None else self.estimate(planned).seconds
        if limit_seconds is not None and expected_seconds > limit_seconds:
            self._hand_over(job, owner, expected_seconds)
            return
        self._complete(job, owner, work.make(planned))

    def estimate(self, planned: Planned) -> Estimate:
        """How long it will take, by what such films took on this stage."""
        with self.records.transaction() as tx:
            runs = tx.compile_runs(planned.plan.strategy, RUNS_LEARNT_FROM)
        return estimate(planned.reckoning, runs, self.memory_mb)

    def _hand_over(self, job: Job, owner: str, expected_seconds: float | None = None) -> None:
        """To the queue at once; from now on by what the plan says it takes, where that is known."""
        with self.records.transaction() as tx:
            held = tx.lock_job(job.id)
            if held is not None and held.lease_owner == owner:
                seconds = held.estimated_seconds if expected_seconds is None else Decimal(str(expected_seconds))
                tx.touch_job(held, lease_owner=None, lease_until=None, estimated_seconds=seconds)
                announce_work(tx, held, "compile")
        self.aftermath.of(job)

    def _begin(self, job_id: UUID, owner: str) -> Job | None:
        with self.records.transaction() as tx:
            # A message may come before the clips have.
            if tx.open_fetches(job_id):
                return None
            inline = owner.startswith(INLINE)
            leased = (tx.take_lease if inline else partial(self.turns.claim, tx))(job_id, owner, self.lease_seconds)
            if leased is None:
                return None
            moved = tx.move_job(leased, JobStatus.PROCESSING, current_step="downloading")
            if moved is not None:
                sources = with_decoded(tx, moved.request["sources"], moved.account_id)
                moved = replace(moved, request={**moved.request, "sources": sources})
        if moved is not None:
            self.aftermath.of(moved)
        return moved

    def _told(self, job: Job, work: FilmWork) -> dict[str, Any]:
        """What a job answers that makes nothing."""
        if job.kind == "probe":
            return shown_probe(work.look_closely())
        planned = work.plan()
        return shown_plan(job.request["sources"], planned, self.estimate(planned))

    def _kept(self, job: Job, told: dict[str, Any]) -> dict[str, Any]:
        """The result as the job's row keeps it: a large one lies in the bucket and is named."""
        if json_bytes(told) <= RESULT_BYTES:
            return told
        key = f"{compiled_folder(job.account_id, job.script_id, job.id)}/{job.kind}.json"
        self.media.replace_text(key, json.dumps(told))
        return {"documentKey": key}

    def _complete(self, job: Job, owner: str, film: Film) -> None:
        self._end(
            job,
            owner,
            film,
            s3_bucket=self.media.bucket,
            s3_key=film.key,
            thumbnail_key=film.thumbnail_key,
            content_type=film.content_type,
            size_bytes=film.size_bytes,
            width=film.width,
            height=film.height,
            duration_seconds=Decimal(str(round(film.seconds, 3))),
            progress=100,
            current_step="storing",
            output_format=film.plan.container,
            result=_result(job, film),
        )
        count(COMPILE_STRATEGY, strategy=film.plan.strategy)

    def _end(self, job: Job, owner: str, film: Film | None = None, **changes: Any) -> None:
        with self.records.transaction() as tx:
            held = tx.lock_job(job.id)
            if held is None or held.lease_owner != owner:
                raise Conflict("Another worker has taken the job over.", code="lease_lost")
            ended = end_job(tx, held, JobStatus.COMPLETED, clock=self.clock, actual_cost_usd=Decimal(0), **changes)
            if ended is not None and film is not None:
                _book(tx, ended, film)
            elif ended is not None and "documentKey" in ended.result:
                key = ended.result["documentKey"]
                tx.log_storage(ended, "upload", key, success=True, size_bytes=None, duration_ms=0)
        if ended is not None:
            self.aftermath.of(ended)

    def _fail(self, job: Job, owner: str, code: str, sentence: str) -> None:
        with self.records.transaction() as tx:
            held = tx.lock_job(job.id)
            ended = None
            if held is not None and held.lease_owner == owner:
                ended = fail_job(tx, held, code, sentence, clock=self.clock)
        if ended is not None:
            self.aftermath.of(ended)


class _Teller:
    """Writes how far a job has come, as long as it is ours; it never runs backwards."""

    def __init__(self, records: Records, aftermath: Aftermath, clock: Clock, job_id: UUID, owner: str) -> None:
        self._records, self._aftermath, self._clock = records, aftermath, clock
        self._job_id, self._owner = job_id, owner
        self._percent, self._told_at = 0, clock.monotonic_seconds()

    def tell(self, step: JobStep, percent: int) -> None:
        now = self._clock.monotonic_seconds()
        if percent <= self._percent or now - self._told_at < TELL_SECONDS:
            return
        self._percent, self._told_at = percent, now
        # Progress is a courtesy: what cannot be told now is told next time.
        with suppress(DependencyDown):
            self._write(step, percent)

    def _write(self, step: JobStep, percent: int) -> None:
        with self._records.transaction() as tx:
            held = tx.lock_job(self._job_id)
            told = None
            if held is not None and held.lease_owner == self._owner and percent > (held.progress or 0):
                told = tx.touch_job(held, progress=percent, current_step=step)
        if told is not None:
            self._aftermath.of(told)


def _book(tx: Transaction, job: Job, film: Film) -> None:
    """What the film left in the bucket, and that it is the script's."""
    upload_ms = int(film.breakdown["upload"] * 1000)
    tx.log_storage(job, "upload", film.key, success=True, size_bytes=film.size_bytes, duration_ms=upload_ms)
    for one in film.derived:
        tx.log_storage(job, "upload", one.key, success=True, size_bytes=one.size_bytes, duration_ms=0)
    if job.script_id is not None:
        tx.set_compiled(job.account_id, job.script_id, film.key, job.id)


def _result(job: Job, film: Film) -> dict[str, Any]:
    spent = film.breakdown
    learnt = {"reckonedSeconds": round(film.reckoning.seconds, 3)} if film.reckoning else {}
    return {
        "strategy": film.plan.strategy,
        "videoCount": len(job.request["sources"]),
        "workMs": int(sum(spent.values()) * 1000),
        "breakdown": {name: f"{seconds:.2f}s" for name, seconds in spent.items()},
        "bytesThrough": film.bytes_through,
        **learnt,
        "reasons": reasons_of(film.plan),
        "notes": notes_of(film.plan),
        "verification": first_items(film.verification),
    }
