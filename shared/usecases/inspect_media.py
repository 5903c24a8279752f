"""Inside: look into what came in, by decoding it, give it its final place and complete the job."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from shared.domain.errors import BadMedia, Conflict, NotFound
from shared.domain.jobs import Job, JobStatus
from shared.domain.storage_keys import EXTENSIONS, generated_folder, incoming_folder
from shared.observability import job_fields, logger
from shared.ports import Clock, Encoder, MediaStore, Records
from shared.usecases.aftermath import Aftermath
from shared.usecases.ending import end_job, fail_job

Workplace = Callable[[UUID, str], AbstractContextManager["Place"]]
TEXT = "text/plain"
MEDIA_OF = {"image": "image/", "video": "video/", "audio": "audio/", "text": "text/"}


@dataclass(frozen=True, slots=True)
class Place:
    """A private folder and an encoder that stops when the lease is lost."""

    folder: Path
    encoder: Encoder


@dataclass(frozen=True, slots=True)
class Inspector:
    """Verifies generated media. `workplace(job_id, owner)` keeps the lease alive while it is open."""

    records: Records
    media: MediaStore
    clock: Clock
    aftermath: Aftermath
    workplace: Workplace
    lease_seconds: int

    def inspect(self, job_id: UUID) -> None:
        """One message of queue `inspect`; not while another worker has the job. Ended ones are cleared away."""
        owner = f"inspect:{uuid4()}"
        with self.records.transaction() as tx:
            job = tx.take_lease(job_id, owner, self.lease_seconds)
        if job is not None and "incoming" in job.result:
            self._work(job, owner)
        self._clear(job_id)

    def _work(self, job: Job, owner: str) -> None:
        incoming = job.result["incoming"]
        try:
            with self.workplace(job.id, owner) as place:
                items = _wanted_first(job, incoming["outputs"], incoming.get("text"))
                outputs = [self._keep(job, place, n, item) for n, item in enumerate(items)]
            if incoming.get("text"):
                outputs.append(self._keep_text(job, incoming["text"]))
            self._complete(job, owner, outputs)
        except (BadMedia, NotFound) as error:
            self._fail(job, owner, error.code, error.sentence)
        except Conflict as error:
            logger.info("inspection_stopped", extra={**job_fields(job), "reason": error.code})

    def _clear(self, job_id: UUID) -> None:
        """What a worker that was killed after its commit, or one that came too late, has left in `incoming/`."""
        with self.records.transaction() as tx:
            job = tx.lock_job(job_id)
        if job is not None and job.status.finished:
            self.media.delete(self.media.keys(incoming_folder(job_id)))

    def _keep(self, job: Job, place: Place, number: int, item: Mapping[str, Any]) -> dict[str, Any]:
        content_type = item["contentType"]
        source = place.folder / f"in-{number}"
        size_bytes = self.media.download(item["key"], source)
        if _sha256(source) != item["sha256"]:
            raise BadMedia("The stored media differs from what was fetched; retry.", code="checksum_mismatch")
        facts = None if content_type == TEXT else place.encoder.verify(source)
        name = "original" if number == 0 else f"original-{number + 1}"
        folder = generated_folder(job.account_id, job.user_id, job.created_at, job.id)
        key = f"{folder}/{name}.{EXTENSIONS.get(content_type, 'bin')}"
        self.media.upload(source, key, content_type)
        kept: dict[str, Any] = {"key": key, "contentType": content_type, "fileSize": size_bytes}
        if facts is None:
            return kept
        if facts.video is not None:
            thumbnail = place.folder / f"thumbnail-{number}.jpg"
            place.encoder.thumbnail(source, thumbnail)
            kept["thumbnailKey"] = f"{folder}/{'thumbnail' if number == 0 else f'thumbnail-{number + 1}'}.jpg"
            self.media.upload(thumbnail, kept["thumbnailKey"], "image/jpeg")
            kept |= {"width": facts.video.width, "height": facts.video.height, "frames": facts.video.frames}
        if not content_type.startswith("image/"):
            kept["duration"] = round(float(facts.duration_seconds), 3)
        return kept

    def _keep_text(self, job: Job, text: str) -> dict[str, Any]:
        folder = generated_folder(job.account_id, job.user_id, job.created_at, job.id)
        key, body = f"{folder}/original.txt", text.encode()
        self.media.write_text(key, text)
        return {"key": key, "contentType": "text/plain", "fileSize": len(body), "text": text}

    def _complete(self, job: Job, owner: str, outputs: list[dict[str, Any]]) -> None:
        first = outputs[0]
        with self.records.transaction() as tx:
            held = tx.lock_job(job.id)
            if held is None or held.lease_owner != owner:
                raise Conflict("Another worker has taken the job over.", code="lease_lost")
            for output in outputs:
                tx.log_storage(
                    held, "upload", output["key"], success=True, size_bytes=output["fileSize"], duration_ms=0
                )
            ended = end_job(
                tx, held, JobStatus.COMPLETED, clock=self.clock, s3_bucket=self.media.bucket,
                s3_key=first["key"], thumbnail_key=first.get("thumbnailKey"),
                content_type=first["contentType"], size_bytes=first["fileSize"], width=first.get("width"),
                height=first.get("height"), duration_seconds=first.get("duration"), progress=100,
                current_step="storing", result={"outputs": outputs},
            )  # fmt: skip
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


def _wanted_first(job: Job, items: Sequence[Mapping[str, Any]], text: str | None) -> list[Mapping[str, Any]]:
    """What was asked for before what comes with it, such as a clip's thumbnail. Raises BadMedia without any of it."""
    wanted = [item for item in items if item["contentType"].startswith(MEDIA_OF[job.media_type or "text"])]
    if not wanted and not (text and job.media_type == "text"):
        sent = ", ".join(item["contentType"] for item in items) or "text"
        raise BadMedia(f"The provider sent {sent} where {job.media_type} was asked for; POST /jobs/{{jobId}}/retry.")
    return wanted + [item for item in items if item not in wanted]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
