"""Clips become one film, or the plan of one: a job like any other, done at once when quick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from shared.domain.errors import Conflict, InvalidRequest, Mistake, NotFound
from shared.domain.fetches import FetchState, SourceFetch
from shared.domain.jobs import NO_ONE_USER, Caller, Job
from shared.domain.messages import JobMessage, body_of
from shared.domain.scripts import SectionVideo
from shared.domain.storage_keys import fetched_folder, user_of_own_key
from shared.observability import JOBS_STARTED, count
from shared.ports import Clock, MediaStore, Records, StoredObject, Transaction
from shared.usecases.aftermath import Aftermath
from shared.usecases.clips import hold_clips
from shared.usecases.compile_request import (
    MOST_CLIPS,
    ClipSource,
    CompileRequest,
    clips_problem,
    request_hash,
    stored_body,
)
from shared.usecases.ending import refuse_erased
from shared.usecases.idempotency import earlier_job
from shared.usecases.pace import check_account
from shared.usecases.source_fetches import begin_fetches
from shared.usecases.transfers import side_by_side

# By key, what lies there; None where nothing does.
Files = Mapping[str, StoredObject | None]

INLINE_LIMIT_SECONDS = 20
DELAY_OF_INLINE_SECONDS = 30
DEADLINE = timedelta(minutes=30)
FETCH_PATIENCE = timedelta(minutes=30)
# Of a file whose host and size nobody knows yet.
SECONDS_OF_FETCH = 5
# Until the film is planned: clips of another container may make it another.
DEFAULT_FORMAT = "mp4"
COPY_SECONDS_PER_FILM_SECOND = Decimal("0.1")
ENCODE_SECONDS_PER_FILM_SECOND = Decimal("1.0")
# Of a file nobody has looked into yet, the length is guessed by its size.
FILE_BYTES_PER_SECOND = 500_000
COMPILABLE = ("approved",)


def request_compile(
    request: CompileRequest,
    caller: Caller,
    *,
    records: Records,
    media: MediaStore,
    clock: Clock,
    aftermath: Aftermath,
) -> Job:
    """The job, written and queued; one that may be done inline is queued with a delay, one whose clips are still to be
    fetched when they are there.

    Raises NotFound, OutputGone, InvalidRequest, Conflict (`nothing_approved`, `not_completed`, `idempotency_conflict`),
    RateLimited.
    """
    request, job_id = request.at_home(media), uuid4()
    asked_before = (caller.account_id, request.route, request.idempotency_key, request_hash(request))
    if request.idempotency_key is not None:
        with records.transaction() as tx:
            earlier = earlier_job(tx, *asked_before)
        if earlier is not None:
            return earlier
    files = files_of(request, caller, media)
    with records.transaction() as tx:
        sources, fetches = placed(sources_of(tx, request, caller, files), request, caller, job_id, files)
        written = tx.insert_job(_new_job(request, caller, job_id, sources, fetches, clock))
        if written is None:
            # Written by another call since it was looked for.
            earlier = earlier_job(tx, *asked_before)
            assert earlier is not None
            return earlier
        hold_clips(tx, caller, sources)
        tx.add_event(written, "job.created", {"clips": len(sources)})
        begin_fetches(tx, written, fetches)
        check_account(tx, written)
        if not tx.open_fetches(job_id):
            inline = may_run_inline(written) and request.retry_of is None
            delay_seconds = DELAY_OF_INLINE_SECONDS if inline else 0
            tx.announce(written, "compile", body_of(JobMessage(str(job_id))), delay_seconds)
    count(JOBS_STARTED, kind=written.kind)
    return aftermath.of(written)


def may_run_inline(job: Job) -> bool:
    """Whether the caller can wait for this job."""
    named = job.request.get("clips", ())
    quick = (job.estimated_seconds or 0) <= INLINE_LIMIT_SECONDS and not any("fetch" in clip for clip in named)
    return quick and job.kind == "compile" and not job.status.finished


def files_of(request: CompileRequest, caller: Caller, media: MediaStore) -> Files:
    """The objects under the keys that a request names, read before its transaction, which must not wait for the bucket.

    Raises DependencyDown.
    """
    own = {clip.s3_key for clip in request.clips if clip.s3_key and user_of_own_key(clip.s3_key, caller.account_id)}
    keys = sorted(own | set(request.fetched.values()))
    return dict(zip(keys, side_by_side(media.head, keys), strict=True))


def sources_of(tx: Transaction, request: CompileRequest, caller: Caller, files: Files) -> list[dict[str, Any]]:
    """The clips that a request names, as a job's row keeps them.

    Raises NotFound, Conflict, OutputGone (erased), InvalidRequest.
    """
    if request.script_id is not None:
        return _of_script(tx, request.script_id, caller)
    clips = [ClipSource(video_id=video_id) for video_id in request.video_ids] or list(request.clips)
    if not clips:
        sentence = f"name 1 to {MOST_CLIPS} clips: scriptId, videoIds or clips"
        raise InvalidRequest(f"Nothing to compile: {sentence}.", details=[Mistake("clips", sentence)])
    _refuse_too_many("videoIds" if request.video_ids else "clips", len(clips))
    return [_of_named(tx, clip, caller, files) for clip in clips]


def with_decoded(tx: Transaction, sources: Sequence[Mapping[str, Any]], account_id: UUID) -> list[dict[str, Any]]:
    """The sources with what was found when their clips were decoded, which the clips' own rows keep."""
    jobs = {UUID(source["decodedBy"]) for source in sources if source.get("decodedBy")}
    found = tx.decoded_of(account_id, sorted(jobs)) if jobs else {}
    return [
        {**source, "decoded": found.get(UUID(source["decodedBy"]))} if source.get("decodedBy") else dict(source)
        for source in sources
    ]


def placed(
    sources: Sequence[dict[str, Any]], request: CompileRequest, caller: Caller, job_id: UUID, files: Files
) -> tuple[list[dict[str, Any]], list[SourceFetch]]:
    """The sources with a key each, and what of them is to be fetched: each URL once, unless it is still there."""
    fetches: dict[str, SourceFetch] = {}
    for number, source in enumerate(sources):
        url = source.get("url")
        if url and url not in fetches:
            kept = request.fetched.get(url)
            there = kept is not None and files.get(kept) is not None
            key = kept if kept and there else f"{fetched_folder(caller.account_id, job_id)}{number}"
            state: FetchState = "fetched" if there else "waiting"
            fetches[url] = SourceFetch(job_id, caller.account_id, number, url, key, state)
    keyed = [{**source, "key": fetches[source["url"]].key} if source.get("url") else source for source in sources]
    return [{name: source[name] for name in source if name != "url"} for source in keyed], list(fetches.values())


def _of_script(tx: Transaction, script_id: int, caller: Caller) -> list[dict[str, Any]]:
    if tx.script(caller.account_id, script_id) is None:
        raise NotFound(f"There is no script {script_id}: POST /api/scripts makes one.")
    # One more than a film may have: that there are too many is seen, however many there are.
    videos = tx.videos(caller.account_id, script_id=script_id, status="approved", limit=MOST_CLIPS + 1)
    if not videos:
        raise Conflict(
            "No clip of this script is approved: POST /api/section-videos/{videoId}/approve first.",
            code="nothing_approved",
        )
    if len(videos) > MOST_CLIPS:
        _refuse_too_many("scriptId", tx.count_videos(caller.account_id, script_id, "approved"))
    return [_of_video(tx, video) for video in videos]


def _refuse_too_many(field: str, count: int) -> None:
    problem = clips_problem(count)
    if problem is not None:
        raise InvalidRequest(f"{field} {problem}.", details=[Mistake(field, problem)])


def _of_named(tx: Transaction, clip: ClipSource, caller: Caller, files: Files) -> dict[str, Any]:
    if clip.s3_key is not None:
        return _of_file(clip.s3_key, caller, files)
    if clip.url is not None:
        # Its key is known with the job that has it fetched; whose it is nobody says.
        return {"videoId": None, "url": clip.url, "userId": None, "seconds": 10.0, "format": None, "fetched": True}
    return _of_clip(tx, clip, caller)


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


def _of_file(key: str, caller: Caller, files: Files) -> dict[str, Any]:
    user_id = user_of_own_key(key, caller.account_id)
    stored = files.get(key)
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
        "decodedBy": str(job.id),
    }


def _new_job(
    request: CompileRequest,
    caller: Caller,
    job_id: UUID,
    sources: Sequence[Mapping[str, Any]],
    fetches: Sequence[SourceFetch],
    clock: Clock,
) -> Job:
    alike = len({str(source["format"]) for source in sources}) == 1 and not request.reencode
    pace = COPY_SECONDS_PER_FILM_SECOND if alike else ENCODE_SECONDS_PER_FILM_SECOND
    film_seconds = Decimal(str(sum(source["seconds"] for source in sources)))
    users = {source["userId"] for source in sources if source["userId"]}
    now = clock.now()
    return Job(
        id=job_id,
        account_id=caller.account_id,
        user_id=users.pop() if len(users) == 1 else NO_ONE_USER,
        kind=request.kind,
        route=request.route,
        idempotency_key=request.idempotency_key,
        request={**stored_body(request, fetches), "sources": [dict(source) for source in sources]},
        request_hash=request_hash(request),
        media_type="video",
        script_id=request.script_id,
        output_format=request.output_format or DEFAULT_FORMAT,
        estimated_seconds=1
        + film_seconds * (pace if request.kind == "compile" else 0)
        + SECONDS_OF_FETCH * len(fetches),
        webhook_url=request.webhook_url,
        retry_of=request.retry_of,
        client_ip=caller.client_ip,
        user_agent=caller.user_agent,
        created_at=now,
        deadline_at=now + DEADLINE + (FETCH_PATIENCE if fetches else timedelta()),
    )
