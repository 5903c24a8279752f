"""What a caller asks of a film, and how a job's row keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from shared.domain.fetches import SourceFetch
from shared.domain.jobs import Job
from shared.ports import MediaStore
from shared.usecases.generate_media import RETRY_ROUTE
from shared.usecases.idempotency import Once, hash_of

PLAN_ROUTE = "POST /compile-videos/plan"
MOST_CLIPS = 200


def clips_problem(count: int) -> str | None:
    """The objection to so many clips in one film, however they are named."""
    if count <= MOST_CLIPS:
        return None
    return (
        f"has {count} clips, and a film has at most {MOST_CLIPS}: compile parts of it by videoIds or clips, "
        "then join the films of the parts by their jobIds in clips"
    )


@dataclass(frozen=True, slots=True)
class ClipSource:
    """One clip as a caller names it: a section video, a finished job, a file of the account, or a URL."""

    video_id: int | None = None
    job_id: UUID | None = None
    s3_key: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """What to join: exactly one of `script_id`, `video_ids`, `clips`. `kind` as in `vsl.jobs`.

    `fetched` has, by URL, the keys that the job which is retried had it brought to.
    """

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
    kind: str = "compile"
    fetched: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs_fetching(self) -> bool:
        """Whether a clip lies elsewhere; of a request that is `at_home`."""
        return any(clip.url for clip in self.clips)

    def at_home(self, media: MediaStore) -> CompileRequest:
        """The same with keys for the URLs of our own bucket, which are read there."""
        keys = [media.key_of(clip.url) if clip.url else None for clip in self.clips]
        clips = [ClipSource(s3_key=key) if key else clip for clip, key in zip(self.clips, keys, strict=True)]
        return replace(self, clips=clips)

    @classmethod
    def of_stored(cls, job: Job, urls: Mapping[int, str], idempotency_key: str | None) -> CompileRequest:
        """The request a job's row keeps, to be made again; `urls` by the numbers of its fetches."""
        asked = job.request
        clips = [_stored_clip(clip, urls) for clip in asked["clips"]]
        fetched = {clip.url: source["key"] for clip, source in zip(clips, asked["sources"], strict=False) if clip.url}
        return cls(
            RETRY_ROUTE,
            asked["scriptId"],
            asked["videoIds"],
            clips,
            asked["outputFormat"],
            asked["quality"],
            asked["reencode"],
            tuple(asked["size"]) if asked.get("size") else None,
            asked.get("fps"),
            job.webhook_url,
            idempotency_key,
            job.id,
            job.kind,
            fetched,
        )


def body_asked(request: CompileRequest) -> dict[str, Any]:
    """What was asked for, as a job's row keeps it."""
    return {
        "scriptId": request.script_id,
        "videoIds": list(request.video_ids),
        "clips": [_named(clip) for clip in request.clips],
        "webhookUrl": request.webhook_url,
        "outputFormat": request.output_format,
        "quality": request.quality,
        "reencode": request.reencode,
        "size": list(request.size) if request.size else None,
        "fps": request.fps,
    }


def stored_body(request: CompileRequest, fetches: Sequence[SourceFetch]) -> dict[str, Any]:
    """The body in the job's row: a URL, which may be long, stands in its fetch and is named by its number."""
    numbers = {fetch.url: fetch.number for fetch in fetches}
    body = body_asked(request)
    body["clips"] = [
        {**{name: value for name, value in clip.items() if name != "url"}, "fetch": numbers[clip["url"]]}
        if "url" in clip
        else clip
        for clip in body["clips"]
    ]
    return body


def request_hash(request: CompileRequest) -> str:
    """By which the same request is known again: a dry run of a route is another body than a film by it."""
    dry_run = request.kind == "plan" and request.route not in (PLAN_ROUTE, RETRY_ROUTE)
    return hash_of(body_asked(request) | ({"dryRun": True} if dry_run else {}), request.retry_of)


def once_of(request: CompileRequest) -> Once:
    """The request with its key; of a request that is `at_home`."""
    return Once(request.route, request.idempotency_key, request_hash(request))


def _named(clip: ClipSource) -> dict[str, Any]:
    named = {"videoId": clip.video_id, "jobId": str(clip.job_id) if clip.job_id else None}
    return named | ({"s3Key": clip.s3_key} if clip.s3_key else {}) | ({"url": clip.url} if clip.url else {})


def _stored_clip(clip: Mapping[str, Any], urls: Mapping[int, str]) -> ClipSource:
    # Rows that an earlier release wrote have the URL itself.
    url = urls[clip["fetch"]] if "fetch" in clip else clip.get("url")
    return ClipSource(clip["videoId"], UUID(clip["jobId"]) if clip["jobId"] else None, clip.get("s3Key"), url)
