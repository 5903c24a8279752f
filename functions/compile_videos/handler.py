"""Compile by script, by videos or by clips; and the worker of the queue `compile`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import Annotated, Any, Literal
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from pydantic import AfterValidator, Field

from shared import bootstrap, config, http, wire
from shared.batches import work_through
from shared.domain.addresses import LONGEST_URL
from shared.domain.errors import InvalidRequest, Mistake, OutOfTime
from shared.domain.fetches import url_problem
from shared.domain.jobs import NOTHING_IS_SENT, Caller, Job, JobStatus, snapshot
from shared.observability import observed
from shared.usecases.compile_film import FilmMaker
from shared.usecases.compile_request import PLAN_ROUTE, ClipSource, CompileRequest, clips_problem, once_of
from shared.usecases.compile_videos import INLINE_LIMIT_SECONDS, may_run_inline, request_compile
from shared.usecases.ending import refuse_ended
from shared.usecases.idempotency import keep_key, refuse_used_key
from shared.usecases.plan_compile import Planner
from shared.usecases.read_status import details_of, present

router = Router()  # type: ignore[no-untyped-call]
RESOLUTION = re.compile(r"([0-9]{2,4})x([0-9]{2,4})")
RATE = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3}|/(?:1|1001))?")


class ClipBody(wire.Wire):
    video_id: int | str | None = None
    job_id: str | None = None
    s3_key: str | None = Field(default=None, min_length=1, max_length=1024)
    url: str | None = Field(default=None, min_length=1, max_length=LONGEST_URL)


class ScriptCompileBody(wire.Wire):
    output_format: Literal["mp4"] | None = None
    quality: Literal["source", "high", "medium", "low"] = "source"
    reencode: bool = False
    resolution: str | None = None
    fps: float | str | None = None
    dry_run: bool = False
    webhook_url: Annotated[str, AfterValidator(wire.public_https_url)] | None = Field(default=None, max_length=2000)


def _not_too_many(clips: list[Any]) -> list[Any]:
    """A field's validator. Raises ValueError; the use case asks again, of a script's clips too."""
    problem = clips_problem(len(clips))
    if problem is not None:
        raise ValueError(problem)
    return clips


class CompileBody(ScriptCompileBody):
    script_id: wire.Serial | None = None
    video_ids: Annotated[list[int | str], AfterValidator(_not_too_many)] | None = Field(default=None, min_length=1)
    clips: Annotated[list[ClipBody], AfterValidator(_not_too_many)] | None = Field(default=None, min_length=1)


@router.post("/api/scripts/<script_id>/compile")
def post_script_compile(script_id: str) -> Response[str]:
    caller = http.caller_of(router, "compile")
    body = http.body_of(router, ScriptCompileBody)
    number = http.path_number(script_id, "script")
    request = _request("POST /api/scripts/{scriptId}/compile", body, script_id=number)
    return _plan(request, caller) if body.dry_run else _compile(request, caller)


@router.post("/compile-videos")
def post_compile() -> Response[str]:
    caller = http.caller_of(router, "compile")
    body = http.body_of(router, CompileBody)
    request = _of_clips(body)
    return _plan(request, caller) if body.dry_run else _compile(request, caller)


@router.post("/compile-videos/plan")
def post_plan() -> Response[str]:
    caller = http.caller_of(router, "compile")
    return _plan(replace(_of_clips(http.body_of(router, CompileBody)), route=PLAN_ROUTE), caller)


@router.post("/probe")
def post_probe() -> Response[str]:
    caller = http.caller_of(router, "read")
    body = http.body_of(router, ClipBody)
    _check_urls([body], lambda _: "url")
    key = http.idempotency_key(router)
    request = CompileRequest("POST /probe", clips=[_clip(body, None)], idempotency_key=key, kind="probe")
    if request.at_home(bootstrap.media()).needs_fetching:
        # Bringing a foreign file here is the work of a compile.
        caller.require("compile")
    return _told(request, caller, lambda place: _planner().probe(request, caller, place))


def _plan(request: CompileRequest, caller: Caller) -> Response[str]:
    planned = replace(request, kind="plan")
    return _told(planned, caller, lambda place: _planner().plan(planned, caller, place))


def _told(request: CompileRequest, caller: Caller, tell: Callable[[Any], dict[str, Any]]) -> Response[str]:
    """Answer a plan or probe at once, or as a job where a clip must be fetched first or there is much to read."""
    once = once_of(request.at_home(bootstrap.media()))
    refuse_used_key(once, caller, records=bootstrap.records())
    if not request.at_home(bootstrap.media()).needs_fetching:
        # A plan that takes longer than a request may becomes a job.
        with suppress(OutOfTime), bootstrap.open_workplace(caller.account_id) as place:
            told = tell(place)
            keep_key(once, caller, records=bootstrap.records())
            return http.answer(200, {"success": True, "data": _noted(told, request)})
    job = _waited_for(_requested(request, caller), caller)
    if job.status is JobStatus.COMPLETED:
        found = details_of(job.result, bootstrap.media())
        return http.answer(200, {"success": True, "data": _noted(found, request)})
    return _under_way(job)


def _noted(told: dict[str, Any], request: CompileRequest) -> dict[str, Any]:
    """What was found, and that it is sent nowhere."""
    return {**told, "notes": [*told.get("notes", []), NOTHING_IS_SENT]} if request.webhook_url else told


def _of_clips(body: CompileBody) -> CompileRequest:
    named = [name for name in ("script_id", "video_ids", "clips") if getattr(body, name) is not None]
    if len(named) != 1:
        problem = "name the clips by exactly one of scriptId, videoIds, clips"
        raise InvalidRequest(f"Please {problem}.", details=[Mistake("clips", problem)])
    _check_urls(body.clips or [], lambda number: f"clips.{number}.url")
    return _request(
        "POST /compile-videos",
        body,
        script_id=body.script_id,
        video_ids=[_serial(v, f"videoIds.{n}") for n, v in enumerate(body.video_ids or [])],
        clips=[_clip(clip, n) for n, clip in enumerate(body.clips or [])],
    )


def _request(route: str, body: ScriptCompileBody, **named: Any) -> CompileRequest:
    return CompileRequest(
        route,
        output_format=body.output_format,
        quality=body.quality,
        reencode=body.reencode,
        size=_size(body.resolution),
        fps=_fps(body.fps),
        webhook_url=body.webhook_url,
        idempotency_key=http.idempotency_key(router),
        **named,
    )


def _compile(request: CompileRequest, caller: Caller) -> Response[str]:
    job = _requested(request, caller)
    if may_run_inline(job):
        with bootstrap.place_for(caller.account_id) as free:
            if free:
                _film_maker().compile(job.id, limit_seconds=INLINE_LIMIT_SECONDS)
            else:
                _film_maker().leave_to_queue(job)
    job = _waited_for(job, caller)
    if job.status is JobStatus.COMPLETED:
        return http.answer(200, {"success": True, "message": "Video compilation completed", "data": _data(job)})
    return _under_way(job)


def _requested(request: CompileRequest, caller: Caller) -> Job:
    return request_compile(
        request,
        caller,
        records=bootstrap.records(),
        media=bootstrap.media(),
        clock=bootstrap.records().clock,
        aftermath=bootstrap.aftermath(),
    )


def _waited_for(job: Job, caller: Caller) -> Job:
    # What was tried at once counts among the seconds that the gateway waits.
    seconds = http.wait_seconds(router)
    bootstrap.status_reader().wait(job.id, caller, seconds)
    with bootstrap.records().transaction() as tx:
        return tx.job(caller.account_id, job.id) or job


def _under_way(job: Job) -> Response[str]:
    refuse_ended(job)
    status_url = f"{http.base_url(router)}/status/{job.id}"
    data = {
        "jobId": str(job.id),
        "status": "processing",
        "statusUrl": status_url,
        "estimatedTime": float(job.estimated_seconds or 0),
        **({"notes": job.notes} if job.notes else {}),
    }
    return http.answer(202, {"success": True, "data": data}, {"Location": status_url})


def _data(job: Job) -> dict[str, Any]:
    shown = present(snapshot(job), bootstrap.media(), bootstrap.records().clock.now())
    result = shown["result"]
    return {
        "scriptId": job.script_id,
        "videoCount": job.result["videoCount"],
        "totalDuration": float(job.duration_seconds or 0),
        "compiledVideoUrl": result["originalUrl"],
        "thumbnailUrl": result["thumbnailUrl"],
        "fileSize": job.size_bytes,
        "jobId": str(job.id),
        "duration": job.result["workMs"],
        "strategy": job.result["strategy"],
        "breakdown": job.result["breakdown"],
        "outputs": [{"url": result["originalUrl"], "format": job.output_format or "mp4", "fileSize": job.size_bytes}],
        "verification": job.result["verification"],
        "notes": [*job.result.get("notes", []), *job.notes],
    }


def _size(resolution: str | None) -> tuple[int, int] | None:
    if resolution is None:
        return None
    found = RESOLUTION.fullmatch(resolution)
    if found is None or not all(16 <= int(side) <= 7680 and int(side) % 2 == 0 for side in found.groups()):
        problem = "must be two even numbers of pixels from 16 to 7680, as 1280x720"
        raise InvalidRequest(f"resolution {problem}.", details=[Mistake("resolution", problem)])
    return int(found[1]), int(found[2])


def _fps(fps: float | str | None) -> str | None:
    if fps is None:
        return None
    text = str(fps)
    if RATE.fullmatch(text) is None or not 1 <= Fraction(text) <= 120:
        problem = "must be 1 to 120 pictures a second, as 25 or 30000/1001"
        raise InvalidRequest(f"fps {problem}.", details=[Mistake("fps", problem)])
    return str(Fraction(text).limit_denominator(1001))


def _check_urls(clips: Sequence[ClipBody], path_of: Callable[[int], str]) -> None:
    """Raises InvalidRequest naming every URL that nothing may be fetched from."""
    origins = frozenset(bootstrap.settings(config.CompileVideos).source_origins.split(","))
    mistakes = [
        Mistake(path_of(number), problem)
        for number, clip in enumerate(clips)
        if clip.url and bootstrap.media().key_of(clip.url) is None and (problem := url_problem(clip.url, origins))
    ]
    if mistakes:
        raise InvalidRequest(f"{mistakes[0].path} {mistakes[0].message}.", details=mistakes)


def _clip(clip: ClipBody, number: int | None) -> ClipSource:
    path = "clips" if number is None else f"clips.{number}"
    named = [name for name in (clip.video_id, clip.job_id, clip.s3_key, clip.url) if name is not None]
    if len(named) != 1:
        problem = "name the clip by exactly one of videoId, jobId, s3Key, url"
        raise InvalidRequest(f"Please {problem}.", details=[Mistake(path, problem)])
    if clip.video_id is not None:
        return ClipSource(video_id=_serial(clip.video_id, f"{path}.videoId"))
    if clip.s3_key is not None or clip.url is not None:
        return ClipSource(s3_key=clip.s3_key, url=clip.url)
    return ClipSource(job_id=http.path_id(str(clip.job_id), "job"))


def _serial(value: int | str, path: str) -> int:
    """The documents give video ids as text; numbers are taken as well."""
    number = wire.serial_of(str(value))
    if number is None:
        raise InvalidRequest(f"{path} is no video id.", details=[Mistake(path, "must be a video id")])
    return number


def _film_maker() -> FilmMaker:
    return FilmMaker(
        records=bootstrap.records(),
        media=bootstrap.media(),
        clock=bootstrap.records().clock,
        aftermath=bootstrap.aftermath(),
        workplace=bootstrap.workplace,
        lease_seconds=bootstrap.LEASE_SECONDS,
        memory_mb=int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]),
        turns=bootstrap.turns("compile"),
    )


def _planner() -> Planner:
    return Planner(bootstrap.records(), bootstrap.media(), bootstrap.records().clock, _film_maker())


def _work(record: Any) -> None:
    _film_maker().compile(UUID(json.loads(record.body)["jobId"]))


_api = http.api_handler(router, lambda: bootstrap.settings(config.CompileVideos).cors_origins)


@observed
def handler(event: dict[str, Any], context: Any) -> Any:
    bootstrap.clear_leftovers()
    if "Records" in event:
        bootstrap.lambda_seconds_left(context)
        return work_through(event, context, _work, bootstrap.hide_message)
    bootstrap.lambda_seconds_left(context, at_most=http.seconds_to_answer(event, context))
    return _api(event, context)
