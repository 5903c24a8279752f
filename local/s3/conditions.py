"""Conditional requests: `If-Match` and its kin, for reading, copying and writing.

RFC 9110, 13; https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from local.s3.errors import Refused
from local.s3.index import StoredObject


def check_read(headers: Mapping[str, str], stored: StoredObject) -> bool:
    """False when the client's copy is still good (304). Raises PreconditionFailed."""
    _check_wanted(headers, stored, "")
    return not _is_known(headers, stored, "")


def check_source(headers: Mapping[str, str], stored: StoredObject) -> None:
    """Of a copy: `x-amz-copy-source-if-...`. Raises PreconditionFailed."""
    prefix = "x-amz-copy-source-"
    _check_wanted(headers, stored, prefix)
    if _is_known(headers, stored, prefix):
        raise Refused("PreconditionFailed", Condition=f"{prefix}If-None-Match")


def check_write(headers: Mapping[str, str], existing: StoredObject | None) -> None:
    """Raises PreconditionFailed, NoSuchKey, NotImplemented (If-None-Match takes `*` only)."""
    unless = headers.get("If-None-Match")
    if unless is not None and unless.strip() != "*":
        raise Refused("NotImplemented", Header="If-None-Match")
    if unless is not None and existing is not None:
        raise Refused("PreconditionFailed", Condition="If-None-Match")
    if "If-Match" not in headers:
        return
    if existing is None:
        raise Refused("NoSuchKey")
    if not _matches(headers["If-Match"], existing.etag):
        raise Refused("PreconditionFailed", Condition="If-Match")


def is_same_range(headers: Mapping[str, str], stored: StoredObject) -> bool:
    """Whether `If-Range`, if any, allows a part of this object to be sent."""
    given = headers.get("If-Range")
    if given is None:
        return True
    return _matches(given, stored.etag) if '"' in given else _seconds(given) == stored.modified_at


def _check_wanted(headers: Mapping[str, str], stored: StoredObject, prefix: str) -> None:
    match, since = headers.get(f"{prefix}If-Match"), _seconds(headers.get(f"{prefix}If-Unmodified-Since"))
    if match is not None and not _matches(match, stored.etag):
        raise Refused("PreconditionFailed", Condition=f"{prefix}If-Match")
    if match is None and since is not None and stored.modified_at > since:
        raise Refused("PreconditionFailed", Condition=f"{prefix}If-Unmodified-Since")


def _is_known(headers: Mapping[str, str], stored: StoredObject, prefix: str) -> bool:
    match, since = headers.get(f"{prefix}If-None-Match"), _seconds(headers.get(f"{prefix}If-Modified-Since"))
    if match is not None:
        return _matches(match, stored.etag)
    return since is not None and stored.modified_at <= since


def _matches(given: str, etag: str) -> bool:
    return any(one in ("*", etag) for one in (item.strip().removeprefix("W/").strip('"') for item in given.split(",")))


def _seconds(date: str | None) -> float | None:
    """Unix time of an HTTP date; None for one that is none, which HTTP ignores."""
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
