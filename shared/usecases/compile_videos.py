"""Approved clips become one film: a job like any other, done at once when quick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from shared.domain.errors import Conflict, InvalidRequest, Mistake, NotFound
from shared.domain.jobs import Caller, Job
from shared.domain.messages import JobMessage, body_of
from shared.domain.scripts import SectionVideo
from shared.domain.storage_keys import user_of_own_key
from shared.ports import Clock, MediaStore, Records, Transaction
from shared.usecases.aftermath import Aftermath
from shared.usecases.ending import refuse_erased
from shared.usecases.generate_media import RETRY_ROUTE
from shared.usecases.idempotency import earlier_job, hash_of

INLINE_LIMIT_SECONDS = 20
DELAY_OF_INLINE_SECONDS = 30
DEADLINE = timedelta(minutes=30)
MOST_CLIPS = 200
# Until the film is planned: clips of another container may make it another.
DEFAULT_FORMAT = "mp4"
COPY_SECONDS_PER_FILM_SECOND = Decimal("0.1")
ENCODE_SECONDS_PER_FILM_SECOND = Decimal("1.0")
# Of a file nobody has looked into yet, the length is guessed by its size.
FILE_BYTES_PER_SECOND = 500_000
COMPILABLE = ("approved",)
# Of a film made from clips of several users.
NO_ONE_USER = "-"


@dataclass(frozen=True, slots=True)
class ClipSource:
    """One clip as a caller names it: a section video, a finished job or a file of the account."""

    video_id: int | None = None
    job_id: UUID | None = None
    s3_key: str | None = None


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """What to join: exactly one of `script_id`, `video_ids`, `clips`."""

    route: str
    script_id: int | None = None
    video_ids: Sequence[int] = ()
    clips: Sequence[ClipSource] = ()
    output_format: str | None = None
    quality: str = "source"
    reencode: bool = False
    size: tuple[int, int] | None = None
    fps: str | None = None
    webhook_url: str | None = None
    idempotency_key: str | None = None
    retry_of: UUID | None = None

    @classmethod
    def of_stored(cls, asked: Mapping[str, Any], job: Job, idempotency_key: str | None) -> CompileRequest:
        """The request a job's row keeps, to be made again."""
        clips = [
            ClipSource(clip["videoId"], UUID(clip["jobId"]) if clip["jobId"] else None, clip.get("s3Key"))
            for clip in asked["clips"]
        ]
        return cls(
            RETRY_ROUTE, asked["scriptId"], asked["videoIds"], clips, asked["outputFormat"], asked["quality"],
            asked["reencode"], tuple(asked["size"]) if asked.get("size") else None, asked.get("fps"),
            job.webhook_url, idempotency_key, job.id,
        )  # fmt: skip


def request_compile(
    request: CompileRequest, caller: Caller, *, records: Records, media: MediaStore, clock: Clock,
    aftermath: Aftermath,
) -> Job:  # fmt: skip
    """The compile job, written and queued; one that may be done inline is queued with a delay.

    Raises NotFound, OutputGone, InvalidRequest, Conflict (`nothing_approved`, `not_completed`, `idempotency_conflict`).
    """
    with records.transaction() as tx:
        asked_before = (caller.account_id, request.route, request.idempotency_key, request_hash(request))
        earlier = earlier_job(tx, *asked_before)
        if earlier is not None:
            return earlier
        sources = sources_of(tx, request, caller, media)
        written = tx.insert_job(_new_job(request, caller, sources, clock))
        if written is None:
            # Written by another call since it was looked for.
            earlier = earlier_job(tx, *asked_before)
            assert earlier is not None
            return earlier
        inline = may_run_inline(written) and request.retry_of is None
        delay_seconds = DELAY_OF_INLINE_SECONDS if inline else 0
        tx.announce(written, "compile", body_of(JobMessage(str(written.id))), delay_seconds)
        tx.add_event(written, "job.created", {"clips": len(sources)})
    return aftermath.of(written)


def may_run_inline(job: Job) -> bool:
    """Whether the caller can wait for this job."""
    return not job.status.finished and (job.estimated_seconds or 0) <= INLINE_LIMIT_SECONDS


def sources_of(tx: Transaction, request: CompileRequest, caller: Caller, media: MediaStore) -> list[dict[str, Any]]:
    """The clips that a request names, as a job's row keeps them. Raises NotFound, Conflict, InvalidRequest."""
    if request.script_id is not None:
        return _of_script(tx, request.script_id, caller)
    clips = [ClipSource(video_id=video_id) for video_id in request.video_ids] or list(request.clips)
    if not clips or len(clips) > MOST_CLIPS:
        sentence = f"name 1 to {MOST_CLIPS} clips: scriptId, videoIds or clips"
        raise InvalidRequest(f"Nothing to compile: {sentence}.", details=[Mistake("clips", sentence)])
    return [_of_file(clip.s3_key, caller, media) if clip.s3_key else _of_clip(tx, clip, caller) for clip in clips]


def _of_script(tx: Transaction, script_id: int, caller: Caller) -> list[dict[str, Any]]:
    if tx.script(caller.account_id, script_id) is None:
        raise NotFound(f"There is no script {script_id}: POST /api/scripts makes one.")
    videos = tx.videos(caller.account_id, script_id=script_id, status="approved")
    if not videos:
        raise Conflict(
            "No clip of this script is approved: POST /api/section-videos/{videoId}/approve first.",
            code="nothing_approved",
        )
    return [_of_video(tx, video) for video in videos]


def _of_clip(tx: Transaction, clip: ClipSource, caller: Caller) -> dict[str, Any]:
    if clip.video_id is not None:
        video = tx.video(caller.account_id, clip.video_id)
        if video is None:
            raise NotFound(f"There is no section video {clip.video_id}: GET /api/section-videos lists yours.")
        if video.status not in COMPILABLE:
            raise Conflict(
                f"Section video {video.id} is {video.status}: only approved clips are compiled.",
                code="not_approved",
            )
        return _of_video(tx, video)
    assert clip.job_id is not None
    job = tx.job(caller.account_id, clip.job_id)
    if job is None:
        raise NotFound(f"There is no job {clip.job_id}: GET /jobs lists yours.")
    refuse_erased(job)
    if job.s3_key is None or not (job.content_type or "").startswith("video/"):
        raise Conflict(f"Job {job.id} is {job.status.value} and has no video to compile.", code="not_completed")
    return _of_job(job, None)


def _of_file(key: str, caller: Caller, media: MediaStore) -> dict[str, Any]:
    user_id = user_of_own_key(key, caller.account_id)
    stored = media.head(key) if user_id is not None else None
    if stored is None:
        raise NotFound(f"There is no file {key[:200]!r} of yours: send the file to the form POST /api/uploads gives.")
    seconds = max(10.0, stored.size_bytes / FILE_BYTES_PER_SECOND)
    return {"videoId": None, "key": key, "userId": user_id, "seconds": seconds, "format": None}


def _of_video(tx: Transaction, video: SectionVideo) -> dict[str, Any]:
    job = tx.job(video.account_id, video.job_id) if video.job_id else None
    if job is not None:
        return _of_job(job, video.id)
    return {"videoId": video.id, "key": video.key, "userId": video.user_id, "seconds": 10.0, "format": None}


def _of_job(job: Job, video_id: int | None) -> dict[str, Any]:
    return {
        "videoId": video_id,
        "key": job.s3_key,
        "userId": job.user_id,
        "seconds": float(job.duration_seconds or 0),
        "format": [job.width, job.height, job.content_type, job.model_id],
        "thumbnailKey": job.thumbnail_key,
        "sizeBytes": job.size_bytes,
        "decoded": _decoded(job),
    }


def _decoded(job: Job) -> Mapping[str, Any] | None:
    """What was found when the clip was decoded whole, pinned by its ETag."""
    outputs = job.result.get("outputs") or [{}]
    found: Mapping[str, Any] | None = outputs[0].get("decoded")
    return found


def _new_job(request: CompileRequest, caller: Caller, sources: Sequence[Mapping[str, Any]], clock: Clock) -> Job:
    alike = len({str(source["format"]) for source in sources}) == 1 and not request.reencode
    pace = COPY_SECONDS_PER_FILM_SECOND if alike else ENCODE_SECONDS_PER_FILM_SECOND
    film_seconds = Decimal(str(sum(source["seconds"] for source in sources)))
    users = {source["userId"] for source in sources}
    now = clock.now()
    return Job(
        id=uuid4(),
        account_id=caller.account_id,
        user_id=users.pop() if len(users) == 1 else NO_ONE_USER,
        kind="compile",
        route=request.route,
        idempotency_key=request.idempotency_key,
        request={**body_asked(request), "sources": [dict(source) for source in sources]},
        request_hash=request_hash(request),
        media_type="video",
        script_id=request.script_id,
        output_format=request.output_format or DEFAULT_FORMAT,
        estimated_seconds=1 + film_seconds * pace,
        webhook_url=request.webhook_url,
        retry_of=request.retry_of,
        client_ip=caller.client_ip,
        user_agent=caller.user_agent,
        created_at=now,
        deadline_at=now + DEADLINE,
    )


def body_asked(request: CompileRequest) -> dict[str, Any]:
    """What was asked for, as a job's row keeps it."""
    return {
        "scriptId": request.script_id, "videoIds": list(request.video_ids),
        "clips": [_named(clip) for clip in request.clips], "webhookUrl": request.webhook_url,
        "outputFormat": request.output_format, "quality": request.quality, "reencode": request.reencode,
        "size": list(request.size) if request.size else None, "fps": request.fps,
    }  # fmt: skip


def request_hash(request: CompileRequest) -> str:
    """By which the same request is known again."""
    return hash_of(body_asked(request), request.retry_of)


def _named(clip: ClipSource) -> dict[str, Any]:
    named = {"videoId": clip.video_id, "jobId": str(clip.job_id) if clip.job_id else None}
    return named | ({"s3Key": clip.s3_key} if clip.s3_key else {})
