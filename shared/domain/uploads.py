"""What callers may upload: kinds, their types and limits, and one request for forms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from shared.domain.content_types import known_as
from shared.domain.errors import Mistake

MIB = 1024 * 1024
MOST_FILES = 100
# Files and bytes that all open forms of an account may bring together.
MOST_OPEN_FILES, MOST_OPEN_BYTES = 2000, 200 * 1024 * MIB
FORM_LIFE = timedelta(minutes=60)
# A file of the largest size that was begun in the form's last second may still be on its way.
ARRIVAL = FORM_LIFE + timedelta(minutes=30)
_PICTURES = ("image/png", "image/jpeg", "image/webp")
# Controls, separators of paths, and what turns the direction of text around.
_BAD_IN_NAME = re.compile("[\x00-\x1f\x7f-\x9f/\\\\\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Kind:
    """Types of a kind of file, and the most bytes one may have."""

    content_types: Sequence[str]
    max_bytes: int


KINDS: Mapping[str, Kind] = {
    "frame": Kind(_PICTURES, 50 * MIB),
    "clip": Kind(("video/mp4", "video/quicktime", "video/webm", "video/x-matroska"), 1024 * MIB),
    "image": Kind((*_PICTURES, "image/gif"), 50 * MIB),
    "music": Kind(("audio/mpeg", "audio/wav", "audio/mp4", "audio/flac", "audio/ogg"), 200 * MIB),
    "captions": Kind(("application/x-subrip", "text/vtt"), 2 * MIB),
    "font": Kind(("font/ttf", "font/otf"), 20 * MIB),
}


@dataclass(frozen=True, slots=True)
class UploadFile:
    """A file as its owner describes it, then where it goes. `job_id`: of the job that looks into it."""

    name: str
    content_type: str
    size_bytes: int
    key: str = ""
    job_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """A row of `vsl.uploads`: forms that were given out together, good until `expires_at`."""

    id: UUID
    account_id: UUID
    user_id: str
    kind: str
    script_id: int | None
    files: Sequence[UploadFile]
    idempotency_key: str | None
    request_hash: str
    created_at: datetime
    expires_at: datetime


def file_name(text: str) -> str:
    """A name to show, never a part of a key. Raises ValueError."""
    if _BAD_IN_NAME.search(text) or text.strip() in ("", ".", ".."):
        raise ValueError("must be a file's name without folders, control characters and marks of text direction")
    return text


def with_known_type(kind: str, file: UploadFile) -> UploadFile:
    """The file of a sound request, its content type under the name that `KINDS` has for it."""
    content_type = known_as(file.content_type, KINDS[kind].content_types)
    assert content_type is not None, "refused by wrong_files"
    return replace(file, content_type=content_type)


def wrong_files(kind: object, files: object) -> list[Mistake]:
    """What a kind has against files as they were sent; fields of a wrong type are not looked at."""
    allowed = KINDS.get(kind) if isinstance(kind, str) else None
    if allowed is None or not isinstance(files, list):
        return []
    mistakes: list[Mistake] = []
    for number, file in enumerate(files[:MOST_FILES]):
        if isinstance(file, Mapping):
            mistakes += _wrong_file(f"files.{number}", allowed, file)
    return mistakes


def _wrong_file(path: str, allowed: Kind, file: Mapping[str, object]) -> list[Mistake]:
    mistakes, given, size_bytes = [], file.get("contentType"), file.get("size")
    if isinstance(given, str) and known_as(given, allowed.content_types) is None:
        mistakes.append(Mistake(f"{path}.contentType", f"must be one of {', '.join(allowed.content_types)}"))
    if isinstance(size_bytes, int) and size_bytes > allowed.max_bytes:
        mistakes.append(Mistake(f"{path}.size", f"must be at most {allowed.max_bytes} bytes"))
    return mistakes
