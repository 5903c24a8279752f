"""Where each object lives in the media bucket. Keys are made here alone; a client's file name never is a part."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

EXTENSIONS = {
    "video/mp4": "mp4", "video/quicktime": "mov", "video/webm": "webm", "video/x-matroska": "mkv",
    "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif",
    "audio/mpeg": "mp3", "audio/wav": "wav", "audio/mp4": "m4a", "audio/flac": "flac", "audio/ogg": "ogg",
    "text/plain": "txt",
}  # fmt: skip

# What the providers say of their models; written from outside, read inside.
MODEL_SCHEMAS_KEY = "catalog/models.json"
# Whose second part is the account that owns what lies below.
_OWNED = ("generated", "reference-frames", "video-clips", "compiled", "processed", "storyboards", "uploads")


def is_of_account(key: str, account_id: UUID) -> bool:
    """Whether an object is one of the account's own media."""
    place, _, rest = key.partition("/")
    owner, _, name = rest.partition("/")
    return place in _OWNED and owner == str(account_id) and not {"", ".", ".."} & set(name.split("/"))


def incoming_key(job_id: UUID, attempt_number: int, output: int) -> str:
    """Write-once place of what came from outside, before anything has looked into it."""
    return f"{incoming_folder(job_id)}{attempt_number}/{output}"


def incoming_folder(job_id: UUID) -> str:
    """Prefix of all that came in for a job, with the slash at its end."""
    return f"incoming/{job_id}/"


def generated_folder(account_id: UUID, user_id: str, created_at: datetime, job_id: UUID) -> str:
    """Folder of a generated job's media, with no slash at its end."""
    return f"generated/{account_id}/{user_id}/{created_at:%Y/%m/%d}/{job_id}"


def compiled_folder(account_id: UUID, script_id: int | None, job_id: UUID) -> str:
    """Folder of a compiled film, with no slash at its end."""
    return f"compiled/{account_id}/{script_id if script_id is not None else 'clips'}/{job_id}"
