"""Images a request starts from, as a caller may name them: a URL, a small `data:` URI, or what is stored here."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

# The name that means every model's own field for the picture a clip starts from.
FIRST_FRAME = "firstFrame"
# What is stored here: a key of the account's own, or the first output of one of its jobs.
STORED_FORMS = ("s3Key", "jobId")
# Replicate's documentation advises files beyond 256 KiB to be sent by URL (Input files).
LARGEST_DATA_URI_BYTES = 256 * 1024
LONGEST_URL = 4000
# RFC 2397: parameters may follow the type, as they do where a browser reads a file of such a type.
_DATA_URI = re.compile(
    r"data:(image/[a-z0-9.+-]{1,40})(?:;[a-z0-9!#$&^_.+-]+=[a-z0-9!#$&^_.+-]*)*;base64,", re.ASCII | re.IGNORECASE
)
_LONGEST_DATA_PREFIX = 200
_FORMS = "an https URL, a base64 data: URI of an image, {s3Key: ...} or {jobId: ...}"


def image_problem(value: Any) -> str | None:
    """What is wrong with how a picture is named; whether it exists is not asked."""
    if isinstance(value, Mapping):
        return _stored_problem(value)
    if not isinstance(value, str):
        return f"must be {_FORMS}"
    return _data_problem(value) if value[:5].lower() == "data:" else _url_problem(value)


def plain_data_uri(value: str) -> str:
    """A `data:` URI without `image_problem`, its type in lower case and without parameters, as providers know it."""
    match = _DATA_URI.match(value[:_LONGEST_DATA_PREFIX])
    assert match is not None, "refused by image_problem"
    return f"data:{match[1].lower()};base64,{value[match.end() :]}"


def image_of(data_uri: str) -> tuple[str, bytes]:
    """Content type and bytes of a `data:` URI without `image_problem`."""
    kind, _, encoded = data_uri.removeprefix("data:").partition(";base64,")
    return kind, base64.b64decode(encoded)


def data_uri_of(content_type: str, image: bytes) -> str:
    """The image as a `data:` URI."""
    return f"data:{content_type};base64,{base64.b64encode(image).decode()}"


def _stored_problem(value: Mapping[str, Any]) -> str | None:
    if len(value) != 1 or not value.keys() <= set(STORED_FORMS):
        return f"must be {_FORMS}"
    ((form, name),) = value.items()
    if not isinstance(name, str) or not 0 < len(name) <= 1024:
        return f"{form} must be a text of 1 to 1024 characters"
    return "jobId must be a job's id: GET /jobs lists yours" if form == "jobId" and not _is_uuid(name) else None


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _data_problem(value: str) -> str | None:
    match = _DATA_URI.match(value[:_LONGEST_DATA_PREFIX])
    if match is None:
        return f"must be {_FORMS}"
    if len(value) - match.end() > LARGEST_DATA_URI_BYTES // 3 * 4 + 4:
        return f"must be at most {LARGEST_DATA_URI_BYTES} bytes as a data: URI: store the file and name its s3Key"
    try:
        base64.b64decode(value[match.end() :], validate=True)
    except binascii.Error:
        return "must be valid base64 after the comma"
    return None


def _url_problem(value: str) -> str | None:
    try:
        url = urlsplit(value)
        host = url.hostname
    except ValueError:
        host = None
    if not host or url.scheme not in ("https", "http") or url.username is not None or len(value) > LONGEST_URL:
        return f"must be {_FORMS}"
    return None
