"""Where each object lives in the media bucket. Keys are made here alone; a client's file name never is a part."""

from __future__ import annotations

import re
from datetime import datetime
from uuid import UUID

# Roots under which the account and then the user stand.
USER_ROOTS = ("generated", "reference-frames", "video-clips", "uploads")

EXTENSIONS = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-matroska": "mkv",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/mp4": "m4a",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "text/plain": "txt",
    "application/x-subrip": "srt",
    "text/vtt": "vtt",
    "font/ttf": "ttf",
    "font/otf": "otf",
}

_ATTEMPT_AND_OUTPUT = re.compile(r"[0-9]{1,9}/[0-9]{1,9}", re.ASCII)
_INLINE = "inline-"
# Of UTF-8 (Amazon S3 User Guide, object key names).
LONGEST_KEY_BYTES = 1024
# What the providers say of their models; written from outside, read inside.
MODEL_SCHEMAS_KEY = "catalog/models.json"
# Whose second part is the account that owns what lies below.
_OWNED = (*USER_ROOTS, "compiled", "processed", "storyboards")


def is_of_account(key: str, account_id: UUID) -> bool:
    """Whether an object is one of the account's own media."""
    place, _, rest = key.partition("/")
    owner, _, name = rest.partition("/")
    is_plain = not {"", ".", ".."} & set(name.split("/")) and len(key.encode(errors="replace")) <= LONGEST_KEY_BYTES
    return place in _OWNED and owner == str(account_id) and is_plain


def incoming_key(job_id: UUID, attempt_number: int, output: int) -> str:
    """Write-once place of what came from outside, before anything has looked into it."""
    return f"{incoming_folder(job_id)}{attempt_number}/{output}"


def incoming_folder(job_id: UUID) -> str:
    """Prefix of all that came in for a job, with the slash at its end."""
    return f"incoming/{job_id}/"


def is_incoming_key(key: str, job_id: UUID) -> bool:
    """Whether a key is one that `incoming_key` makes for the job."""
    folder = incoming_folder(job_id)
    return key.startswith(folder) and _ATTEMPT_AND_OUTPUT.fullmatch(key[len(folder) :]) is not None


def fetched_folder(account_id: UUID, job_id: UUID) -> str:
    """Prefix of what was fetched from elsewhere for a job, with the slash at its end."""
    return f"fetched/{account_id}/{job_id}/"


def generated_folder(account_id: UUID, user_id: str, created_at: datetime, job_id: UUID) -> str:
    """Folder of a generated job's media, with no slash at its end."""
    return f"generated/{account_id}/{user_id}/{created_at:%Y/%m/%d}/{job_id}"


def compiled_folder(account_id: UUID, script_id: int | None, job_id: UUID) -> str:
    """Folder of a compiled film, with no slash at its end."""
    return f"compiled/{account_id}/{script_id if script_id is not None else 'clips'}/{job_id}"


def upload_folder(account_id: UUID, user_id: str, upload_id: UUID) -> str:
    """Folder of files that were uploaded together, with no slash at its end."""
    return f"uploads/{account_id}/{user_id}/{upload_id}"


def inline_image_key(account_id: UUID, user_id: str, job_id: UUID, sha256: str) -> str:
    """Where an image lies that came inside the request for a job. Small enough to be sent on inside one."""
    return f"{upload_folder(account_id, user_id, job_id)}/{_INLINE}{sha256}"


def is_inline_image(key: str) -> bool:
    """Whether a key is one that `inline_image_key` makes."""
    parts = key.split("/")
    return len(parts) == 5 and parts[0] == "uploads" and parts[4].startswith(_INLINE)


def frames_folder(account_id: UUID, user_id: str, created_at: datetime, upload_id: UUID) -> str:
    """Folder of a set of frames, with no slash at its end; a newer set of the user sorts behind an older one."""
    return f"reference-frames/{account_id}/{user_id}/{created_at:%Y%m%dT%H%M%S%f}-{upload_id}"


def job_of_upload(key: str) -> UUID | None:
    """The job that waits for what came to this key, if one does."""
    parts = key.split("/")
    if len(parts) != 5 or parts[0] != "uploads":
        return None
    try:
        return UUID(parts[4].partition(".")[0])
    except ValueError:
        return None


def user_of_own_key(key: str, account_id: UUID) -> str | None:
    """Whose file of the account a key names; None when it is another account's or no file of a user's."""
    parts = key.split("/")
    is_of_user = len(parts) > 3 and parts[0] in USER_ROOTS and is_of_account(key, account_id)
    return parts[2] if is_of_user else None
