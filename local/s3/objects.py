"""Operations on one object: put, copy, delete, tags; and the deletion of many."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import unquote

from aiohttp import web

from local.s3.calls import Call
from local.s3.conditions import check_source, check_write
from local.s3.descriptions import check_tags, describe, written_headers
from local.s3.documents import Content, parse, text
from local.s3.errors import Refused
from local.s3.index import Description, Piece, StoredObject
from local.s3.intake import LARGEST_PUT_BYTES, read_document, receive
from local.s3.service import Service

_DOCUMENT_BYTES = 2 * 1024 * 1024
_MOST_DELETED = 1000
# The version of an object in a bucket without versions.
NO_VERSION = "null"


async def put_object(service: Service, call: Call) -> web.StreamResponse:
    description = describe(call.headers)
    if description.tags:
        await service.permits.require(call, "s3:PutObjectTagging", f"{call.bucket}/{call.key}")
    await service.check_conditions(call)
    body = await receive(call, service.segments, service.pace.throttle("put"), fsync=service.config.fsync)
    described = replace(description, checksum=body.checksum)
    stored = StoredObject(call.bucket, call.key, body.size_bytes, body.md5, described)
    service.commit(call, stored, [Piece(body.segment, 0, body.size_bytes)], "Put", call.headers)
    return call.response(200, written_headers(stored))


async def copy_object(service: Service, call: Call) -> web.StreamResponse:
    source = await copy_source(service, call)
    if source.size_bytes > LARGEST_PUT_BYTES:
        raise Refused(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a "
            f"copy source: {LARGEST_PUT_BYTES}",
        )
    pieces = service.index.pieces(source.content)
    with service.segments.reading(piece.segment for piece in pieces):
        description = await _copied_description(service, call, source)
        await service.check_conditions(call)
        await service.pace.throttle("copy").passed(source.size_bytes)
        stored = StoredObject(call.bucket, call.key, source.size_bytes, copied_etag(source, pieces), description)
        service.commit(call, stored, pieces, "Copy", call.headers)
    return call.xml("CopyObjectResult", copy_result(stored.etag, stored.modified_at))


async def copy_source(service: Service, call: Call) -> StoredObject:
    """The object that `x-amz-copy-source` names. Raises AccessDenied, NoSuchKey, PreconditionFailed."""
    name, _, version = call.headers["x-amz-copy-source"].partition("?versionId=")
    bucket, _, key = unquote(name).removeprefix("/").partition("/")
    if not bucket or not key:
        raise Refused("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
    if version not in ("", "null"):
        raise Refused("NotImplemented", Header="x-amz-copy-source")
    await service.permits.require(call, "s3:GetObject", f"{bucket}/{key}")
    source = await service.existing(call, bucket, key)
    check_source(call.headers, source)
    return source


def copied_etag(source: StoredObject, pieces: Iterable[Piece]) -> str:
    """The MD5 where it is known. A copy of joined parts moves no bytes, so its ETag is only a name for them."""
    if "-" not in source.etag:
        return source.etag
    return opaque_etag(pieces)


def opaque_etag(pieces: Iterable[Piece]) -> str:
    """32 hex digits that are the same for the same bytes of the same segments."""
    named = "".join(f"{piece.segment}:{piece.start}+{piece.length};" for piece in pieces)
    return hashlib.md5(named.encode(), usedforsecurity=False).hexdigest()


def copy_result(etag: str, modified_at: float) -> dict[str, Content]:
    return {"LastModified": iso_time(modified_at), "ETag": f'"{etag}"'}


def iso_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


async def delete_object(service: Service, call: Call) -> web.StreamResponse:
    existing = service.index.find(call.bucket, call.key)
    if existing is not None and "If-Match" in call.headers:
        check_write({"If-Match": call.headers["If-Match"]}, existing)
    service.remove(call, call.bucket, call.key)
    return call.response(204)


async def delete_objects(service: Service, call: Call) -> web.StreamResponse:
    root = parse(await read_document(call, _DOCUMENT_BYTES), "Delete")
    named = [(text(entry, "Key") or "", text(entry, "VersionId")) for entry in root.findall("Object")]
    if not 0 < len(named) <= _MOST_DELETED or not all(key for key, _ in named):
        raise Refused("MalformedXML")
    errors = {one: code for one in named if (code := await _undeletable(service, call, *one))}
    for key, version in named:
        if (key, version) not in errors:
            service.remove(call, call.bucket, key)
    quiet = text(root, "Quiet") == "true"
    deleted = [{"Key": key, "VersionId": version} for key, version in named if (key, version) not in errors]
    failed = [{"Key": k, "VersionId": v, "Code": code, "Message": code} for (k, v), code in errors.items()]
    return call.xml("DeleteResult", {"Deleted": [] if quiet else deleted, "Error": failed})


async def _undeletable(service: Service, call: Call, key: str, version: str | None) -> str | None:
    """Why an object cannot be deleted: its code."""
    if version not in (None, NO_VERSION):
        return "NoSuchVersion"
    action = "s3:DeleteObjectVersion" if version else "s3:DeleteObject"
    return None if await service.permits.allows(call, action, f"{call.bucket}/{key}") else "AccessDenied"


async def get_object_tagging(service: Service, call: Call) -> web.StreamResponse:
    stored = await service.existing(call, call.bucket, call.key)
    tags: list[Content] = [{"Key": key, "Value": value} for key, value in stored.description.tags.items()]
    return call.xml("Tagging", {"TagSet": {"Tag": tags}})


async def put_object_tagging(service: Service, call: Call) -> web.StreamResponse:
    root = parse(await read_document(call, _DOCUMENT_BYTES), "Tagging")
    entries = root.findall("TagSet/Tag")
    _set_tags(service, call, check_tags([(text(tag, "Key") or "", text(tag, "Value") or "") for tag in entries]))
    return call.response(200)


async def delete_object_tagging(service: Service, call: Call) -> web.StreamResponse:
    _set_tags(service, call, {})
    return call.response(204)


def _set_tags(service: Service, call: Call, tags: dict[str, str]) -> None:
    stored = service.index.find(call.bucket, call.key)
    if stored is None:
        raise Refused("NoSuchKey", Key=call.key)
    service.index.describe(stored, replace(stored.description, tags=tags))


async def _copied_description(service: Service, call: Call, source: StoredObject) -> Description:
    given, old = describe(call.headers), source.description
    replaces = call.headers.get("x-amz-metadata-directive", "COPY") == "REPLACE"
    tags_replaced = call.headers.get("x-amz-tagging-directive", "COPY") == "REPLACE"
    if (source.bucket, source.key) == (call.bucket, call.key) and not (replaces or tags_replaced):
        raise Refused(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself "
            "without changing the object's metadata, storage class, website redirect location or encryption "
            "attributes.",
        )
    if old.tags and not tags_replaced:
        await service.permits.require(call, "s3:GetObjectTagging", f"{source.bucket}/{source.key}")
    described = Description((given if replaces else old).headers, (given if tags_replaced else old).tags, old.checksum)
    if described.tags:
        await service.permits.require(call, "s3:PutObjectTagging", f"{call.bucket}/{call.key}")
    return described
