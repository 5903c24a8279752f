"""Scripts and their clips as callers see them."""

from __future__ import annotations

from typing import Any

from shared.domain.jobs import iso
from shared.domain.scripts import Script, SectionVideo
from shared.ports import MediaStore


def present_video(video: SectionVideo, media: MediaStore) -> dict[str, Any]:
    """A clip as callers see it."""
    return {
        "videoId": str(video.id),
        "sectionId": video.section_id,
        "scriptId": video.script_id,
        "userId": video.user_id,
        "jobId": str(video.job_id) if video.job_id else None,
        "position": video.position,
        "status": video.status,
        "version": video.version,
        "supersededBy": str(video.superseded_by) if video.superseded_by else None,
        "prompt": video.prompt,
        "modelId": video.model_id,
        "duration": None if video.duration_seconds is None else float(video.duration_seconds),
        "resultUrl": media.signed_url(video.key) if video.key else None,
        "thumbnailUrl": media.signed_url(video.thumbnail_key) if video.thumbnail_key else None,
        "errorMessage": video.error_message,
        "rejectReason": video.reject_reason,
        "reviewedBy": str(video.reviewed_by) if video.reviewed_by else None,
        "reviewedAt": iso(video.reviewed_at),
        "createdAt": iso(video.created_at),
        "updatedAt": iso(video.updated_at),
    }


def present_script(script: Script, media: MediaStore) -> dict[str, Any]:
    """A script as callers see it."""
    return {**present_listed_script(script, media), "scriptContent": script.script_content}


def present_listed_script(script: Script, media: MediaStore) -> dict[str, Any]:
    """A script as lists have it: its content may be megabytes, and is read with the script alone."""
    return {
        "scriptId": script.id,
        "sectionId": script.section_id,
        "compiledVideoUrl": media.signed_url(script.compiled_key) if script.compiled_key else None,
        "compiledAt": iso(script.compiled_at),
        "createdAt": iso(script.created_at),
        "updatedAt": iso(script.updated_at),
    }
