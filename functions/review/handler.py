"""Uploads, scripts, section videos, approve and reject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from pydantic import AfterValidator, Field

from shared import bootstrap, config, http, wire
from shared.domain.errors import Mistake
from shared.domain.jobs import Caller, Job
from shared.domain.scripts import SectionVideo
from shared.domain.uploads import MOST_FILES, UploadFile, file_name, wrong_files
from shared.observability import observed
from shared.usecases import review_clips
from shared.usecases.clips import Seen
from shared.usecases.generate_media import GenerateRequest, generate_media
from shared.usecases.idempotency import Once, hash_of
from shared.usecases.shown_clips import present_listed_script, present_script, present_video
from shared.usecases.upload_files import UploadRequest, Uploads, present_upload

router = Router()  # type: ignore[no-untyped-call]


class FileBody(wire.Wire):
    name: Annotated[str, AfterValidator(file_name)] = Field(min_length=1, max_length=255)
    content_type: str
    size: int = Field(ge=1)


class UploadBody(wire.Wire):
    user_id: Annotated[str, AfterValidator(wire.user_id)]
    kind: Literal["frame", "clip", "image", "music", "captions", "font"]
    files: list[FileBody] = Field(min_length=1, max_length=MOST_FILES)
    script_id: wire.Serial | None = None


class ScriptBody(wire.Wire):
    section_id: wire.Serial
    script_content: str | None = Field(default=None, max_length=500_000)


class PlaceBody(wire.Wire):
    position: int


class ApproveBody(wire.Wire):
    pass


class RejectBody(wire.Wire):
    reason: str | None = Field(default=None, max_length=2000)
    regenerate: bool = False
    parameters: dict[str, Any] | None = None


class ScriptsQuery(wire.Query):
    cursor: wire.Serial | None = None
    limit: int = Field(default=100, ge=1, le=500)


class VideosQuery(wire.Query):
    script_id: wire.Serial | None = None
    section_id: wire.Serial | None = None
    user_id: str | None = None
    status: Literal["pending", "generating", "completed", "approved", "rejected", "failed", "cancelled"] | None = None
    cursor: int = Field(default=0, ge=0, le=1_000_000)
    limit: int = Field(default=100, ge=1, le=500)


@router.post("/api/uploads")
def post_uploads() -> Response[str]:
    caller = http.caller_of(router, "generate")
    body = http.body_of(router, UploadBody, _wrong_files)
    request = UploadRequest(
        body.user_id,
        body.kind,
        [UploadFile(file.name, file.content_type, file.size) for file in body.files],
        body.script_id,
        http.idempotency_key(router),
    )
    upload, videos = Uploads(bootstrap.records(), bootstrap.records().clock).begin(request, caller)
    data = present_upload(upload, videos, bootstrap.media(), bootstrap.records().clock.now())
    return http.answer(201, {"success": True, "data": data})


def _wrong_files(body: Mapping[str, Any]) -> Sequence[Mistake]:
    """So that a body with a wrong field hears of its wrong files in the same answer."""
    return wrong_files(body.get("kind"), body.get("files"))


@router.post("/api/scripts")
def post_script() -> Response[str]:
    caller = http.caller_of(router, "review")
    body = http.body_of(router, ScriptBody)
    script = review_clips.create_script(
        body.section_id,
        body.script_content,
        caller,
        records=bootstrap.records(),
        key=http.idempotency_key(router),
    )
    return http.answer(201, {"success": True, "data": present_script(script, bootstrap.media())})


@router.get("/api/scripts")
def get_scripts() -> Response[str]:
    caller = http.caller_of(router, "read")
    asked = http.query_of(router, ScriptsQuery)
    with bootstrap.records().transaction() as tx:
        found = tx.scripts(caller.account_id, asked.cursor, asked.limit + 1)
    listed = [present_listed_script(script, bootstrap.media()) for script in found[: asked.limit]]
    shown = http.page_of(listed)
    cursor = str(found[len(shown) - 1].id) if len(found) > len(shown) else None
    return http.answer(200, {"success": True, "data": shown, "nextCursor": cursor})


@router.get("/api/scripts/<script_id>")
def get_script(script_id: str) -> Response[str]:
    caller = http.caller_of(router, "read")
    script, videos, count = review_clips.read_script(
        http.path_number(script_id, "script"), caller, records=bootstrap.records()
    )
    data = present_script(script, bootstrap.media())
    shown = http.page_of([_shown(video) for video in videos], beside=data)
    data |= {"videoCount": count, "videos": shown}
    # The page of GET /api/section-videos?scriptId= that goes on from here.
    cursor = str(len(shown)) if len(shown) < count else None
    return http.answer(200, {"success": True, "data": data, "nextCursor": cursor})


@router.get("/api/section-videos")
def get_videos() -> Response[str]:
    caller = http.caller_of(router, "read")
    asked = http.query_of(router, VideosQuery)
    with bootstrap.records().transaction() as tx:
        videos = tx.videos(
            caller.account_id,
            script_id=asked.script_id,
            section_id=asked.section_id,
            user_id=asked.user_id,
            status=asked.status,
            after=asked.cursor,
            limit=asked.limit + 1,
        )
    shown = http.page_of([_shown(video) for video in videos[: asked.limit]])
    cursor = str(asked.cursor + len(shown)) if len(videos) > len(shown) else None
    return http.answer(200, {"success": True, "data": shown, "nextCursor": cursor})


@router.patch("/api/section-videos/<video_id>")
def patch_video(video_id: str) -> Response[str]:
    caller = http.caller_of(router, "review")
    body = http.body_of(router, PlaceBody)
    number = http.path_number(video_id, "section video")
    video = review_clips.place(number, body.position, caller, records=bootstrap.records(), seen=_seen())
    return http.answer(200, {"success": True, "data": _shown(video)}, http.version_tag(video.version))


@router.post("/api/section-videos/<video_id>/approve")
def post_approve(video_id: str) -> Response[str]:
    caller = http.caller_of(router, "review")
    http.body_of(router, ApproveBody)
    number = http.path_number(video_id, "section video")
    video = review_clips.approve(
        number, caller, records=bootstrap.records(), clock=bootstrap.records().clock, seen=_seen()
    )
    body = {"success": True, "message": "Video approved successfully", "data": review_clips.present_verdict(video)}
    return http.answer(200, body, http.version_tag(video.version))


@router.post("/api/section-videos/<video_id>/reject")
def post_reject(video_id: str) -> Response[str]:
    caller = http.caller_of(router, "review")
    body = http.body_of(router, RejectBody)
    if body.regenerate:
        caller.require("generate")
    number = http.path_number(video_id, "section video")
    asked = hash_of({"videoId": number, **body.model_dump()})
    once = Once("POST /api/section-videos/{videoId}/reject", http.idempotency_key(router), asked)
    video, job = review_clips.reject(
        review_clips.Rejection(number, body.reason, once, _seen()),
        caller,
        records=bootstrap.records(),
        clock=bootstrap.records().clock,
        regenerate=partial(_regenerate, body=body, caller=caller) if body.regenerate else None,
    )
    data = review_clips.present_verdict(video)
    if job is not None:
        data |= {"notes": job.notes} if job.notes else {}
        data |= {"jobId": str(job.id), "supersededBy": str(video.superseded_by) if video.superseded_by else None}
    answer = {"success": True, "message": "Video rejected", "data": data}
    return http.answer(200, answer, http.version_tag(video.version))


def _seen() -> Seen:
    """What the caller can have seen of the clip that the call is about."""
    return Seen(http.versions_seen(router), http.arrived_at(router, bootstrap.records().clock.now()))


def _request(old: Job, body: RejectBody) -> GenerateRequest:
    asked = old.request
    return GenerateRequest(
        user_id=old.user_id,
        media_type="video",
        model_id=asked["modelId"],
        parameters={**asked["parameters"], **(body.parameters or {})},
        webhook_url=old.webhook_url,
        metadata=old.metadata,
        retry_of=old.id,
        fallback=asked.get("fallback", False),
    )


def _regenerate(clip: SectionVideo, old: Job, also: review_clips.Also, *, body: RejectBody, caller: Caller) -> Job:
    request = replace(
        _request(old, body),
        user_id=clip.user_id,
        script_id=clip.script_id,
        section_id=clip.section_id,
        replaces=clip.id,
    )
    return generate_media(
        request,
        caller,
        records=bootstrap.records(),
        catalog=bootstrap.catalog(),
        schemas=bootstrap.schemas(),
        media=bootstrap.media(),
        clock=bootstrap.records().clock,
        aftermath=bootstrap.aftermath(),
        also=also,
    )


def _shown(video: SectionVideo) -> dict[str, Any]:
    return present_video(video, bootstrap.media())


handler = observed(http.api_handler(router, lambda: bootstrap.settings(config.Review).cors_origins))
