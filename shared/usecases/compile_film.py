"""Inside: fetch the clips, join them (or bring them to one format first), prove the film, store it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from shared.domain.errors import BadMedia, Conflict, NotFound
from shared.domain.jobs import Job, JobStatus
from shared.domain.storage_keys import compiled_folder
from shared.media.plan import CompilePlan, plan_compile
from shared.media.probe import MediaFacts
from shared.media.sound import joins_drift, sound_of_film
from shared.media.verification import Verification, verify_film
from shared.observability import COMPILE_STRATEGY, count, job_fields, logger
from shared.ports import Clock, MediaStore, Records
from shared.usecases.aftermath import Aftermath
from shared.usecases.ending import end_job, fail_job
from shared.usecases.inspect_media import Place

PARALLEL_DOWNLOADS = 8


@dataclass(frozen=True, slots=True)
class Film:
    """What came of the work: a verified file and how it was made."""

    path: Path
    thumbnail: Path
    plan: CompilePlan
    facts: MediaFacts
    verification: Verification
    download_seconds: float
    ffmpeg_seconds: float


@dataclass(frozen=True, slots=True)
class FilmMaker:
    """Compiles films. `workplace(job_id, owner)` keeps the lease alive while it is open."""

    records: Records
    media: MediaStore
    clock: Clock
    aftermath: Aftermath
    workplace: Callable[[UUID, str], AbstractContextManager[Place]]
    lease_seconds: int

    def compile(self, job_id: UUID) -> None:
        """One message of queue `compile`; nothing when the job has ended or another worker has it."""
        owner = f"compile:{uuid4()}"
        job = self._begin(job_id, owner)
        if job is None:
            return
        try:
            with self.workplace(job_id, owner) as place:
                film = self._make(job, place)
                self._store(job, owner, film)
        except (BadMedia, NotFound) as error:
            self._fail(job, owner, error.code, error.sentence)
        except Conflict as error:
            logger.info("compile_stopped", extra={**job_fields(job), "reason": error.code})

    def _begin(self, job_id: UUID, owner: str) -> Job | None:
        with self.records.transaction() as tx:
            leased = tx.take_lease(job_id, owner, self.lease_seconds)
            if leased is None:
                return None
            moved = tx.move_job(leased, JobStatus.PROCESSING, current_step="downloading")
        if moved is not None:
            self.aftermath.of(moved)
        return moved

    def _make(self, job: Job, place: Place) -> Film:
        started = self.clock.monotonic_seconds()
        clips = self._download(job.request["sources"], place.folder)
        downloaded = self.clock.monotonic_seconds()
        facts = [place.encoder.probe(clip) for clip in clips]
        plan = plan_compile(facts, reencode=bool(job.request.get("reencode")))
        like = [self._conformed(place, clip, number, facts[number], plan) for number, clip in enumerate(clips)]
        target = place.folder / f"film.{job.output_format}"
        like_facts = facts if plan.strategy == "copy" else [place.encoder.probe(clip) for clip in like]
        # Re-encoded pictures get the originals' sound, so that it is encoded once and cut to them.
        encode = plan.strategy == "encode" or joins_drift(facts)
        whole = sound_of_film(clips, facts, like_facts, plan.target) if encode else None
        place.encoder.join(like, target, whole_audio=whole)
        film_facts = place.encoder.verify(target)
        verification = verify_film(like_facts, film_facts, whole_audio=whole is not None)
        if not verification.ok:
            raise BadMedia(
                f"The film did not pass its verification: {'; '.join(verification.problems)}.",
                code="verification_failed",
            )
        thumbnail = place.folder / "thumbnail.jpg"
        place.encoder.thumbnail(target, thumbnail)
        return Film(
            target,
            thumbnail,
            plan,
            film_facts,
            verification,
            downloaded - started,
            self.clock.monotonic_seconds() - downloaded,
        )

    def _download(self, sources: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
        paths = [folder / f"clip-{number:04d}.mp4" for number in range(len(sources))]
        with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            list(
                pool.map(
                    lambda pair: self.media.download(pair[0]["key"], pair[1]),
                    zip(sources, paths, strict=True),
                )
            )
        return paths

    def _conformed(self, place: Place, clip: Path, number: int, facts: MediaFacts, plan: CompilePlan) -> Path:
        if not plan.clips[number].conform:
            return clip
        target = place.folder / f"like-{number:04d}.mp4"
        place.encoder.conform(clip, facts, plan.target, target)
        return target

    def _store(self, job: Job, owner: str, film: Film) -> None:
        started = self.clock.monotonic_seconds()
        folder = compiled_folder(job.account_id, job.script_id, job.id)
        name = job.script_id if job.script_id is not None else "clips"
        key, thumbnail_key = f"{folder}/final-{name}.{job.output_format}", f"{folder}/thumbnail.jpg"
        size_bytes = self.media.upload(film.path, key, "video/mp4")
        self.media.upload(film.thumbnail, thumbnail_key, "image/jpeg")
        upload_seconds = self.clock.monotonic_seconds() - started
        work_seconds = film.download_seconds + film.ffmpeg_seconds + upload_seconds
        result = _result(job, film, upload_seconds, work_seconds)
        video = film.facts.video
        with self.records.transaction() as tx:
            held = tx.lock_job(job.id)
            if held is None or held.lease_owner != owner:
                raise Conflict("Another worker has taken the job over.", code="lease_lost")
            ended = end_job(
                tx, held, JobStatus.COMPLETED, clock=self.clock, s3_bucket=self.media.bucket, s3_key=key,
                thumbnail_key=thumbnail_key, content_type="video/mp4", size_bytes=size_bytes,
                width=video.width if video else None, height=video.height if video else None,
                duration_seconds=Decimal(str(round(float(film.facts.duration_seconds), 3))), progress=100,
                current_step="storing", actual_cost_usd=Decimal(0), result=result,
            )  # fmt: skip
            if ended is not None:
                tx.log_storage(
                    ended, "upload", key, success=True, size_bytes=size_bytes,
                    duration_ms=int(upload_seconds * 1000),
                )  # fmt: skip
                if job.script_id is not None:
                    tx.set_compiled(job.account_id, job.script_id, key, job.id)
        count(COMPILE_STRATEGY, strategy=film.plan.strategy)
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


def _result(job: Job, film: Film, upload_seconds: float, work_seconds: float) -> dict[str, Any]:
    return {
        "strategy": film.plan.strategy,
        "videoCount": len(job.request["sources"]),
        "workMs": int(work_seconds * 1000),
        "breakdown": {
            "download": f"{film.download_seconds:.2f}s",
            "ffmpeg": f"{film.ffmpeg_seconds:.2f}s",
            "upload": f"{upload_seconds:.2f}s",
        },
        "reasons": [list(clip.reasons) for clip in film.plan.clips],
        "verification": {name: _plain(value) for name, value in asdict(film.verification).items()},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, int, str)):
        return value
    return list(value) if isinstance(value, tuple) else round(float(value), 6)
