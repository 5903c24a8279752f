"""Inside: look into what came in or was uploaded, by decoding it, give it its final place and complete the job."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

from shared.domain.errors import BadMedia, Conflict, NoRoom, NotFound, OutOfTime, TooLarge
from shared.domain.jobs import Job, JobStatus
from shared.domain.row_limits import bounded_record
from shared.domain.storage_keys import EXTENSIONS, generated_folder, incoming_folder
from shared.media.clip import Clip, read_clip
from shared.media.heads import MOST_KEYS_KEPT
from shared.media.plain_index import streams_of
from shared.media.presentation import Streams
from shared.media.probe import MediaFacts
from shared.media.second_reading import shown_by_ffmpeg
from shared.media.splice.film import CopiedRange
from shared.media.streams import as_presented, needs_another_index
from shared.observability import job_fields, logger
from shared.ports import Clock, Encoder, MediaStore, Records
from shared.usecases.aftermath import Aftermath
from shared.usecases.ending import MEDIA_THERE, end_job, fail_job
from shared.usecases.giving_up import LEFT_TO_ITS_MESSAGE_SECONDS, lease_given_up
from shared.usecases.object_source import FileSource
from shared.usecases.turns import Turns

Workplace = Callable[[UUID, str], AbstractContextManager["Place"]]
TEXT = "text/plain"
# The bucket keeps `incoming/` for a day.
ROOM_PATIENCE = timedelta(hours=20)
# As FFmpeg names the formats of files that say they are of these types.
FORMAT_OF = {"video/mp4": "mp4", "video/quicktime": "mov", "video/webm": "webm", "video/x-matroska": "matroska"}
MEDIA_OF = {"image": "image/", "video": "video/", "audio": "audio/", "text": "text/"}


@dataclass(frozen=True, slots=True)
class Place:
    """A private folder, and an encoder that stops when the lease is lost; `check` raises Conflict then."""

    folder: Path
    encoder: Encoder
    check: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Inspector:
    """Verifies generated and uploaded media. `workplace(job_id, owner)` keeps the lease alive while it is open."""

    records: Records
    media: MediaStore
    clock: Clock
    aftermath: Aftermath
    workplace: Workplace
    lease_seconds: int
    turns: Turns

    def inspect(self, job_id: UUID) -> None:
        """One job whose media are there; not while another worker has it. What ended ones left is cleared away."""
        if not self._has_come(job_id):
            return
        owner = f"inspect:{uuid4()}"
        with lease_given_up(self.records, job_id, owner, LEFT_TO_ITS_MESSAGE_SECONDS):
            with self.records.transaction() as tx:
                job = self.turns.claim(tx, job_id, owner, self.lease_seconds)
            if job is not None and "incoming" in job.result:
                self._work(job, owner)
            self._clear(job_id)

    def _has_come(self, job_id: UUID) -> bool:
        """False of a job that waits for its file; of one whose file is there now, the row says so from here on."""
        with self.records.transaction() as tx:
            job = tx.lock_job(job_id)
        if job is None or not _waits_for_file(job):
            return True
        if self.media.head(job.request["key"]) is None:
            return False
        incoming = {"outputs": [{"key": job.request["key"], "contentType": job.request["contentType"]}]}
        with self.records.transaction() as tx:
            held = tx.lock_job(job_id)
            if held is not None and _waits_for_file(held):
                moved = tx.move_job(
                    held,
                    JobStatus.PROCESSING,
                    current_step="processing",
                    result={"incoming": incoming},
                    deadline_at=max(held.deadline_at, self.clock.now() + MEDIA_THERE),
                )
                assert moved is not None
                tx.follow_job(moved)
                tx.add_event(moved, "media.uploaded")
        return True

    def _work(self, job: Job, owner: str) -> None:
        incoming = job.result["incoming"]
        try:
            with self.workplace(job.id, owner) as place:
                items = _wanted_first(job, incoming["outputs"], incoming.get("text"))
                outputs = [self._keep_alone(job, place, n, item) for n, item in enumerate(items)]
            if incoming.get("text"):
                outputs.append(self._keep_text(job, incoming["text"]))
            self._complete(job, owner, outputs)
        except NoRoom as error:
            if job.kind != "upload":
                self._wait_for_room(job, owner)
                raise
            self._fail(job, owner, error.code, error.sentence)
        except (BadMedia, NotFound) as error:
            self._fail(job, owner, error.code, error.sentence)
        except TooLarge as error:
            self._fail(job, owner, "internal", error.sentence)
        except Conflict as error:
            if job.kind == "upload" and isinstance(error, OutOfTime):
                self._fail(job, owner, "too_long", "The clip is too long to be looked through: upload it in parts.")
            logger.info("inspection_stopped", extra={**job_fields(job), "reason": error.code})

    def _wait_for_room(self, job: Job, owner: str) -> None:
        """A provider's output is paid for: another worker may have room, or the operator makes some."""
        with self.records.transaction() as tx:
            held = tx.lock_job(job.id)
            if held is not None and held.lease_owner == owner:
                tx.touch_job(held, deadline_at=max(held.deadline_at, held.created_at + ROOM_PATIENCE))

    def _clear(self, job_id: UUID) -> None:
        """What a worker that was killed after its commit, or one that came too late, has left in `incoming/`."""
        with self.records.transaction() as tx:
            job = tx.lock_job(job_id)
        if job is not None and job.status.finished:
            uploaded = [job.request["key"]] if job.kind == "upload" and "key" in job.request else []
            self.media.delete([*self.media.keys(incoming_folder(job_id)), *uploaded])

    def _keep_alone(self, job: Job, place: Place, number: int, item: Mapping[str, Any]) -> dict[str, Any]:
        """One output, of which nothing is left in the folder: there is room for one at a time."""
        with TemporaryDirectory(dir=place.folder) as own:
            return self._keep(job, replace(place, folder=Path(own)), number, item)

    def _keep(self, job: Job, place: Place, number: int, item: Mapping[str, Any]) -> dict[str, Any]:
        content_type = item["contentType"]
        source = place.folder / f"in-{number}"
        size_bytes = self.media.download(item["key"], source)
        if "sha256" in item and _sha256(source) != item["sha256"]:
            raise BadMedia("The stored media differs from what was fetched; retry.", code="checksum_mismatch")
        looked = None if content_type == TEXT else look_through(place.encoder, source)
        facts = looked.facts if looked is not None else None
        if job.kind == "upload" and facts is not None:
            _check_claim(content_type, facts)
        name = "original" if number == 0 else f"original-{number + 1}"
        folder = generated_folder(job.account_id, job.user_id, job.created_at, job.id)
        key = f"{folder}/{name}.{EXTENSIONS.get(content_type, 'bin')}"
        self.media.upload(source, key, content_type)
        kept: dict[str, Any] = {"key": key, "contentType": content_type, "fileSize": size_bytes}
        if looked is None or facts is None:
            return kept
        if facts.video is not None:
            thumbnail = place.folder / f"thumbnail-{number}.jpg"
            place.encoder.thumbnail(looked.path, thumbnail, Streams(facts.video.stream))
            kept["thumbnailKey"] = f"{folder}/{'thumbnail' if number == 0 else f'thumbnail-{number + 1}'}.jpg"
            self.media.upload(thumbnail, kept["thumbnailKey"], "image/jpeg")
            kept |= {"width": facts.video.width, "height": facts.video.height, "frames": facts.video.frames}
        if not content_type.startswith("image/"):
            kept["duration"] = round(float(facts.duration_seconds), 3)
            record = bounded_record({"etag": self._etag(key), **looked.record}) if number == 0 else None
            kept |= {"decoded": record} if record else {}
        return kept

    def _etag(self, key: str) -> str | None:
        """Pins what was decoded to these very bytes."""
        stored = self.media.head(key)
        return stored.etag if stored else None

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
                tx,
                held,
                JobStatus.COMPLETED,
                clock=self.clock,
                s3_bucket=self.media.bucket,
                s3_key=first["key"],
                thumbnail_key=first.get("thumbnailKey"),
                content_type=first["contentType"],
                size_bytes=first["fileSize"],
                width=first.get("width"),
                height=first.get("height"),
                duration_seconds=first.get("duration"),
                progress=100,
                current_step="storing",
                result={"outputs": outputs},
            )
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


@dataclass(frozen=True, slots=True)
class LookedThrough:
    """A file that was decoded whole: its facts, what a film that copies it is held against, and the file as FFmpeg
    was given it.
    """

    facts: MediaFacts
    record: Mapping[str, Any]
    path: Path


def look_through(encoder: Encoder, path: Path) -> LookedThrough:
    """Reads a file's index, if it has one, and has FFmpeg decode it. Raises BadMedia (`encrypted`)."""
    clip = _read(path)
    if clip is not None and clip.encrypted:
        raise encrypted()
    shown = _as_presented(path, clip)
    facts = encoder.verify(shown, streams_of(clip) if clip else None)
    return LookedThrough(facts, {**decoded_of(facts), **_heads(clip)}, shown)


def decoded_of(facts: MediaFacts) -> dict[str, Any]:
    """What decoding a clip found: dark and silent stretches, and what is shown of it. A film that copies it is held
    against that and needs no second decode.
    """
    found, shown = facts.decoded, shown_by_ffmpeg(facts)
    return {
        "black": [[one.start_seconds, one.end_seconds] for one in found.black] if found else [],
        "silent": [[one.start_seconds, one.end_seconds] for one in found.silent] if found else [],
        **({"shown": shown.to_json()} if shown else {}),
    }


def encrypted() -> BadMedia:
    """Why an encrypted file is no clip."""
    return BadMedia(
        "The file is encrypted (DRM), and nobody here has its key: bring it without encryption.", code="encrypted"
    )


def _read(path: Path) -> Clip | None:
    """The clip's index; None for what is no MP4 that can be read."""
    try:
        return read_clip(FileSource(path))
    except BadMedia:
        return None


def _as_presented(path: Path, clip: Clip | None) -> Path:
    """The file, or a copy beside it that FFmpeg reads as the clip presents itself."""
    if clip is None or not needs_another_index(clip):
        return path
    source, copy = FileSource(path), path.with_name(f"{path.name}-as-presented")
    with copy.open("wb") as file:
        for piece in as_presented(source, clip):
            file.write(source.read(piece.offset, piece.length) if isinstance(piece, CopiedRange) else piece.data)
    return copy


def _heads(clip: Clip | None) -> dict[str, Any]:
    """What stands at the head of an MP4's key pictures: a film that is made of the clip need not look again."""
    scan = clip.picture.scan if clip and clip.picture else None
    return {"heads": scan.kept()} if scan and len(scan.keys or ()) <= MOST_KEYS_KEPT else {}


def _wanted_first(job: Job, items: Sequence[Mapping[str, Any]], text: str | None) -> list[Mapping[str, Any]]:
    """What was asked for before what comes with it, such as a clip's thumbnail. Raises BadMedia without any of it."""
    wanted = [item for item in items if item["contentType"].startswith(MEDIA_OF[job.media_type or "text"])]
    if not wanted and not (text and job.media_type == "text"):
        sent = ", ".join(item["contentType"] for item in items) or "text"
        raise BadMedia(f"The provider sent {sent} where {job.media_type} was asked for; POST /jobs/{{jobId}}/retry.")
    return wanted + [item for item in items if item not in wanted]


def _waits_for_file(job: Job) -> bool:
    return job.kind == "upload" and not job.status.finished and "incoming" not in job.result


def _check_claim(content_type: str, facts: MediaFacts) -> None:
    if facts.video is None:
        raise BadMedia("The file holds no picture: upload a clip.", code="no_picture")
    if FORMAT_OF[content_type] not in facts.container.split(","):
        raise BadMedia(f"The file is no {content_type}: upload it under its own type.", code="wrong_type")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
