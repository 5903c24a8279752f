"""What a client says of an object when it writes it, and what it is told of it when it reads it."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import parse_qsl

from local.s3.checksums import COMPOSITE
from local.s3.errors import Refused
from local.s3.index import Description, StoredObject

META_PREFIX = "x-amz-meta-"
_KEPT = (
    "Content-Type",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Expires",
    "x-amz-website-redirect-location",
)
_OVERRIDES = {
    f"response-{name.lower()}": name
    for name in (
        "Content-Type",
        "Content-Language",
        "Expires",
        "Cache-Control",
        "Content-Disposition",
        "Content-Encoding",
    )
}
_MAX_METADATA_BYTES = 2048
_MAX_TAGS, _MAX_TAG_KEY, _MAX_TAG_VALUE = 10, 128, 256
_PRIVATE_ACLS = ("private", "bucket-owner-full-control")
_UNKNOWN_HERE = (
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-legal-hold",
    "x-amz-write-offset-bytes",
)


def describe(headers: Mapping[str, str]) -> Description:
    """From a write's headers, or a form's fields in lower case.

    Raises AccessControlListNotSupported, NotImplemented, MetadataTooLarge, InvalidTag.
    """
    _check_supported(headers)
    kept = {name: headers[name] for name in _KEPT if headers.get(name)}
    kept |= {name.lower(): value for name, value in headers.items() if name.lower().startswith(META_PREFIX)}
    metadata = [(name, value) for name, value in kept.items() if name.startswith(META_PREFIX)]
    if sum(len(name) - len(META_PREFIX) + len(value.encode()) for name, value in metadata) > _MAX_METADATA_BYTES:
        raise Refused("MetadataTooLarge", MaxSizeAllowed=_MAX_METADATA_BYTES)
    encodings = [one.strip() for one in kept.pop("Content-Encoding", "").split(",")]
    if encoding := ",".join(one for one in encodings if one not in ("", "aws-chunked")):
        kept["Content-Encoding"] = encoding
    kept.setdefault("Content-Type", "binary/octet-stream")
    return Description(kept, check_tags(parse_qsl(headers.get("x-amz-tagging", ""), keep_blank_values=True)))


def check_tags(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Tags by key. Raises InvalidTag, BadRequest for more than ten."""
    tags = dict(pairs)
    if len(pairs) > _MAX_TAGS:
        raise Refused("BadRequest", "Object tags cannot be greater than 10")
    too_long = any(not 0 < len(key) <= _MAX_TAG_KEY or len(value) > _MAX_TAG_VALUE for key, value in pairs)
    if too_long or len(tags) < len(pairs):
        raise Refused("InvalidTag")
    return tags


def shown_headers(stored: StoredObject, query: Mapping[str, str], request: Mapping[str, str]) -> dict[str, str]:
    """Headers of GET and HEAD, with the `response-...` parameters of the query in place of the stored ones."""
    shown = {
        **stored.description.headers,
        **{header: query[name] for name, header in _OVERRIDES.items() if query.get(name)},
        **validators(stored),
        "Accept-Ranges": "bytes",
        "x-amz-server-side-encryption": "AES256",
    }
    if stored.description.tags:
        shown["x-amz-tagging-count"] = str(len(stored.description.tags))
    if request.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        shown |= checksum_headers(stored)
    return shown


def validators(stored: StoredObject) -> dict[str, str]:
    """What a client may make its next request conditional on."""
    return {"ETag": f'"{stored.etag}"', "Last-Modified": formatdate(stored.modified_at, usegmt=True)}


def checksum_headers(stored: StoredObject) -> dict[str, str]:
    checksum = stored.description.checksum
    return {} if checksum is None else {checksum.header: checksum.value, "x-amz-checksum-type": checksum.kind}


def written_headers(stored: StoredObject) -> dict[str, str]:
    """Headers of the answer to a write."""
    checksum = stored.description.checksum
    whole = {} if checksum and checksum.kind == COMPOSITE else checksum_headers(stored)
    return {"ETag": f'"{stored.etag}"', "x-amz-server-side-encryption": "AES256", **whole}


def _check_supported(headers: Mapping[str, str]) -> None:
    names = {name.lower() for name in headers}
    grants = any(name.startswith("x-amz-grant-") for name in names)
    if grants or headers.get("x-amz-acl", headers.get("acl", "private")) not in _PRIVATE_ACLS:
        raise Refused("AccessControlListNotSupported")
    unknown = [name for name in _UNKNOWN_HERE if name in names]
    if headers.get("x-amz-server-side-encryption", "AES256") != "AES256":
        unknown.append("x-amz-server-side-encryption")
    if unknown:
        raise Refused("NotImplemented", Header=unknown[0])
