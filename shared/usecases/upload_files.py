"""Forms by which callers bring files; a clip for a script is a job that waits for its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from shared.domain.errors import InvalidRequest, Mistake, OutputGone, RateLimited
from shared.domain.jobs import Caller, Job, iso
from shared.domain.scripts import Script
from shared.domain.storage_keys import EXTENSIONS, frames_folder, upload_folder
from shared.domain.uploads import (
    ARRIVAL,
    FORM_LIFE,
    MOST_OPEN_BYTES,
    MOST_OPEN_FILES,
    Upload,
    UploadFile,
    with_known_type,
    wrong_files,
)
from shared.observability import JOBS_STARTED, count
from shared.ports import Clock, MediaStore, Records, Transaction
from shared.usecases.clips import unknown_script
from shared.usecases.idempotency import hash_of, refuse_other_body
from shared.usecases.pace import check_account

ROUTE = "POST /api/uploads"


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What a caller wants to bring; `files` with neither key nor job yet."""

    user_id: str
    kind: str
    files: Sequence[UploadFile]
    script_id: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Uploads:
    """Gives forms out."""

    records: Records
    clock: Clock

    def begin(self, request: UploadRequest, caller: Caller) -> tuple[Upload, Mapping[UUID, int]]:
        """The forms' row and, by job, the section videos that wait for their files.

        Raises InvalidRequest, NotFound (script), Conflict (key used for another body), RateLimited, OutputGone (forms
        under this key have expired), DependencyDown.
        """
        request = _checked(request)
        upload = _new_upload(request, caller, self.clock.now())
        with self.records.transaction() as tx:
            kept = self._earlier(tx, upload) or self._written(tx, upload, request, caller)
            videos = tx.videos_of_jobs(caller.account_id, [file.job_id for file in kept.files if file.job_id])
        if kept is upload and videos:
            count(JOBS_STARTED, len(videos), kind="upload")
        return kept, {video.job_id: video.id for video in videos if video.job_id}

    def _written(self, tx: Transaction, upload: Upload, request: UploadRequest, caller: Caller) -> Upload:
        """The row of these forms, or of those that another call under the key has given out meanwhile."""
        script = _script(tx, caller, request)
        self._refuse_too_much(tx, upload)
        if not tx.insert_upload(upload):
            earlier = self._earlier(tx, upload)
            assert earlier is not None
            return earlier
        if script is not None:
            _await_files(tx, upload, script, caller)
        return upload

    def _refuse_too_much(self, tx: Transaction, upload: Upload) -> None:
        """Raises RateLimited when the account's open forms and these may bring more than their limits."""
        tx.lock_account(upload.account_id)
        most = tx.account_setting(upload.account_id, "maxOpenUploads") or MOST_OPEN_FILES
        files, size_bytes, expire_at = tx.open_uploads(upload.account_id, upload.created_at)
        size_bytes += sum(file.size_bytes for file in upload.files)
        if files + len(upload.files) > most or size_bytes > MOST_OPEN_BYTES:
            wait_seconds = int((expire_at - upload.created_at).total_seconds()) + 1 if expire_at else 60
            raise RateLimited(
                f"This account's open forms may bring {most} files and {MOST_OPEN_BYTES // 1024**3} GiB in all: "
                "wait until some have expired, an hour after they were given out.",
                retry_after_seconds=wait_seconds,
            )

    def _earlier(self, tx: Transaction, upload: Upload) -> Upload | None:
        """What was given out under the same key."""
        earlier = tx.upload_by_key(upload.account_id, upload.idempotency_key) if upload.idempotency_key else None
        if earlier is None:
            return None
        refuse_other_body(earlier.request_hash, upload.request_hash)
        if earlier.expires_at <= self.clock.now():
            raise OutputGone("These forms have expired: POST /api/uploads with a new Idempotency-Key.", code="expired")
        return earlier


def present_upload(upload: Upload, videos: Mapping[UUID, int], media: MediaStore, now: datetime) -> dict[str, Any]:
    """The forms as callers see them, signed for as long as they are good."""
    seconds = int((upload.expires_at - now).total_seconds())
    return {
        "uploadId": str(upload.id),
        "expiresAt": iso(upload.expires_at),
        "files": [_present_file(file, videos, media, seconds) for file in upload.files],
    }


def _present_file(file: UploadFile, videos: Mapping[UUID, int], media: MediaStore, seconds: int) -> dict[str, Any]:
    form = media.upload_form(file.key, file.content_type, file.size_bytes, seconds)
    shown: dict[str, Any] = {"name": file.name, "key": file.key, "url": form.url, "fields": dict(form.fields)}
    if file.job_id is not None:
        shown |= {"jobId": str(file.job_id), "videoId": str(videos[file.job_id]) if file.job_id in videos else None}
    return shown


def _checked(request: UploadRequest) -> UploadRequest:
    """The request with content types under their known names. Raises InvalidRequest naming every wrong field."""
    named: object = [{"contentType": file.content_type, "size": file.size_bytes} for file in request.files]
    mistakes = wrong_files(request.kind, named)
    if request.script_id is not None and request.kind != "clip":
        mistakes.append(Mistake("scriptId", "only a clip becomes part of a script: leave it out"))
    if mistakes:
        raise InvalidRequest("Some fields are wrong; `details` names each.", details=mistakes)
    return replace(request, files=[with_known_type(request.kind, file) for file in request.files])


def _new_upload(request: UploadRequest, caller: Caller, now: datetime) -> Upload:
    body: dict[str, Any] = {
        "userId": request.user_id,
        "kind": request.kind,
        "scriptId": request.script_id,
        "files": [(file.name, file.content_type, file.size_bytes) for file in request.files],
    }
    upload_id = uuid4()
    folder = upload_folder(caller.account_id, request.user_id, upload_id)
    if request.kind == "frame":
        folder = frames_folder(caller.account_id, request.user_id, now, upload_id)
    return Upload(
        upload_id,
        caller.account_id,
        request.user_id,
        request.kind,
        request.script_id,
        [_placed(request, folder, file, number, now) for number, file in enumerate(request.files, 1)],
        request.idempotency_key,
        hash_of(body),
        now,
        now + FORM_LIFE,
    )


def _placed(request: UploadRequest, folder: str, file: UploadFile, number: int, now: datetime) -> UploadFile:
    """The file with its key. Frames keep their order and the names of the documents; a clip's is its job's id."""
    job_id = uuid4() if request.script_id is not None else None
    name = f"frame_{number:02d}_{int(now.timestamp())}" if request.kind == "frame" else f"{number:03d}"
    key = f"{folder}/{job_id or name}.{EXTENSIONS[file.content_type]}"
    return UploadFile(file.name, file.content_type, file.size_bytes, key, job_id)


def _script(tx: Transaction, caller: Caller, request: UploadRequest) -> Script | None:
    if request.script_id is None:
        return None
    script = tx.lock_script(caller.account_id, request.script_id)
    if script is None:
        raise unknown_script(request.script_id)
    return script


def _await_files(tx: Transaction, upload: Upload, script: Script, caller: Caller) -> None:
    """A job and a section video for each clip that is to come."""
    jobs = [_new_job(upload, file, script, caller) for file in upload.files]
    for job in jobs:
        written = tx.insert_job(job)
        assert written is not None
        tx.insert_video(written, section_id=script.section_id, script_id=script.id)
        tx.add_event(written, "job.created")
    check_account(tx, jobs[-1])


def _new_job(upload: Upload, file: UploadFile, script: Script, caller: Caller) -> Job:
    assert file.job_id is not None
    request = {
        "uploadId": str(upload.id),
        "key": file.key,
        "name": file.name,
        "contentType": file.content_type,
        "size": file.size_bytes,
    }
    return Job(
        id=file.job_id,
        account_id=upload.account_id,
        user_id=upload.user_id,
        kind="upload",
        route=ROUTE,
        request=request,
        request_hash=upload.request_hash,
        created_at=upload.created_at,
        deadline_at=upload.created_at + ARRIVAL,
        media_type="video",
        script_id=script.id,
        section_id=script.section_id,
        client_ip=caller.client_ip,
        user_agent=caller.user_agent,
    )
