"""Lists of objects, of uploads and of parts, page by page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote

from aiohttp import web

from local.s3.calls import Call
from local.s3.documents import Content
from local.s3.errors import Refused
from local.s3.index import StoredObject
from local.s3.objects import NO_VERSION, iso_time
from local.s3.service import Service
from local.s3.upload_rows import Part, UploadRows

MOST_ENTRIES = 1000
_BATCH = 256
_LAST = "\U0010ffff"  # after every other character, so `prefix + _LAST` is after every key of the prefix


@dataclass(frozen=True)
class Entry:
    """An object, or a prefix that stands for all keys beginning with it; `after` is where the next page begins."""

    after: str
    stored: StoredObject | None
    prefix: str = ""


async def list_objects_v2(service: Service, call: Call) -> web.StreamResponse:
    query = call.query
    token = query.get("continuation-token")
    after = _untoken(token) if token is not None else query.get("start-after", "")
    entries, limit, more = _page(service, call, after)
    shown = _encoder(query)
    owner: dict[str, Content] = {"Owner": {"ID": "local"}} if query.get("fetch-owner") == "true" else {}
    content: dict[str, Content] = {
        "Name": call.bucket,
        "Prefix": shown(query.get("prefix", "")),
        "Delimiter": shown(query["delimiter"]) if query.get("delimiter") else None,
        "StartAfter": shown(query["start-after"]) if query.get("start-after") else None,
        "ContinuationToken": token,
        "NextContinuationToken": _token(entries[-1].after) if more else None,
        "KeyCount": len(entries),
        "MaxKeys": limit,
        "EncodingType": query.get("encoding-type"),
        "IsTruncated": more,
        "Contents": [_object(entry.stored, shown) | owner for entry in entries if entry.stored],
        "CommonPrefixes": [{"Prefix": shown(entry.prefix)} for entry in entries if entry.prefix],
    }
    return call.xml("ListBucketResult", content)


async def list_objects(service: Service, call: Call) -> web.StreamResponse:
    """The first version of the list, which boto3's resources still ask for."""
    query = call.query
    entries, limit, more = _page(service, call, query.get("marker", ""))
    shown = _encoder(query)
    content: dict[str, Content] = {
        "Name": call.bucket,
        "Prefix": shown(query.get("prefix", "")),
        "Marker": shown(query.get("marker", "")),
        "NextMarker": shown(_name(entries[-1])) if more and query.get("delimiter") else None,
        "Delimiter": shown(query["delimiter"]) if query.get("delimiter") else None,
        "MaxKeys": limit,
        "EncodingType": query.get("encoding-type"),
        "IsTruncated": more,
        "Contents": [_object(entry.stored, shown) for entry in entries if entry.stored],
        "CommonPrefixes": [{"Prefix": shown(entry.prefix)} for entry in entries if entry.prefix],
    }
    return call.xml("ListBucketResult", content)


async def list_object_versions(service: Service, call: Call) -> web.StreamResponse:
    """The versions of a bucket that keeps none, as all are here: each object is one, called `null`.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
    """
    query = call.query
    if query.get("delimiter") or query.get("version-id-marker"):
        raise Refused("NotImplemented", Header="delimiter" if query.get("delimiter") else "version-id-marker")
    entries, limit, more = _page(service, call, query.get("key-marker", ""))
    shown = _encoder(query)
    content: dict[str, Content] = {
        "Name": call.bucket,
        "Prefix": shown(query.get("prefix", "")),
        "KeyMarker": shown(query.get("key-marker", "")),
        "VersionIdMarker": "",
        "NextKeyMarker": shown(entries[-1].after) if more else None,
        "MaxKeys": limit,
        "EncodingType": query.get("encoding-type"),
        "IsTruncated": more,
        "Version": [
            {**_object(entry.stored, shown), "VersionId": NO_VERSION, "IsLatest": True}
            for entry in entries
            if entry.stored
        ],
    }
    return call.xml("ListVersionsResult", content)


async def list_uploads(service: Service, call: Call) -> web.StreamResponse:
    query, limit = call.query, call.number("max-uploads", MOST_ENTRIES, MOST_ENTRIES)
    if query.get("delimiter"):
        raise Refused("NotImplemented", Header="delimiter")
    after = (query.get("key-marker", ""), query.get("upload-id-marker", "") if query.get("key-marker") else "")
    found = UploadRows(service.index).listed(call.bucket, query.get("prefix", ""), after, limit + 1)
    uploads, more = found[:limit], len(found) > limit > 0
    shown = _encoder(query)
    content: dict[str, Content] = {
        "Bucket": call.bucket,
        "KeyMarker": shown(after[0]),
        "UploadIdMarker": after[1],
        "NextKeyMarker": shown(uploads[-1].key) if more else None,
        "NextUploadIdMarker": uploads[-1].id if more else None,
        "Prefix": shown(query.get("prefix", "")),
        "EncodingType": query.get("encoding-type"),
        "MaxUploads": limit,
        "IsTruncated": more,
        "Upload": [
            {
                "Key": shown(upload.key),
                "UploadId": upload.id,
                "Initiated": iso_time(upload.started_at),
                "StorageClass": "STANDARD",
            }
            for upload in uploads
        ],
    }
    return call.xml("ListMultipartUploadsResult", content)


async def list_parts(service: Service, call: Call) -> web.StreamResponse:
    limit, after = call.number("max-parts", MOST_ENTRIES, MOST_ENTRIES), call.number("part-number-marker", 0, 10_000)
    rows = UploadRows(service.index)
    upload = rows.find(call.bucket, call.key, call.query["uploadId"])
    found = rows.parts(upload.id, after, limit + 1)
    parts, more = found[:limit], len(found) > limit > 0
    checksum = upload.description.checksum
    content: dict[str, Content] = {
        "Bucket": call.bucket,
        "Key": call.key,
        "UploadId": upload.id,
        "PartNumberMarker": after,
        "NextPartNumberMarker": parts[-1].number if parts else None,
        "MaxParts": limit,
        "IsTruncated": more,
        "StorageClass": "STANDARD",
        "ChecksumAlgorithm": checksum.algorithm if checksum else None,
        "ChecksumType": checksum.kind if checksum else None,
        "Part": [_part(part) for part in parts],
    }
    return call.xml("ListPartsResult", content)


def _page(service: Service, call: Call, after: str) -> tuple[list[Entry], int, bool]:
    """Entries, the limit in force, and whether more follow."""
    limit = call.number("max-keys", MOST_ENTRIES, MOST_ENTRIES)
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    if call.query.get("encoding-type", "url") != "url":
        raise Refused("InvalidArgument", "Invalid Encoding Method specified in Request", ArgumentName="encoding-type")
    if delimiter and after.endswith(delimiter) and after.startswith(prefix) and after != prefix:
        after += _LAST  # a marker that is a common prefix: all its keys have been told of
    found = list(islice(_entries(service, call.bucket, prefix, delimiter, after), limit + 1)) if limit else []
    return found[:limit], limit, len(found) > limit


def _entries(service: Service, bucket: str, prefix: str, delimiter: str, after: str) -> Iterator[Entry]:
    while rows := service.index.objects_after(bucket, prefix, after, _BATCH):
        plain, common = _until_common(rows, prefix, delimiter)
        yield from (Entry(stored.key, stored) for stored in plain)
        after = common + _LAST if common else rows[-1].key
        if common:
            yield Entry(after, None, common)


def _until_common(rows: list[StoredObject], prefix: str, delimiter: str) -> tuple[list[StoredObject], str]:
    """The objects before the first that has the delimiter behind the prefix, and that one's common prefix."""
    for place, stored in enumerate(rows):
        end = stored.key.find(delimiter, len(prefix)) if delimiter else -1
        if end >= 0:
            return rows[:place], stored.key[: end + len(delimiter)]
    return rows, ""


def _object(stored: StoredObject, shown: Callable[[str], str]) -> dict[str, Content]:
    checksum = stored.description.checksum
    return {
        "Key": shown(stored.key),
        "LastModified": iso_time(stored.modified_at),
        "ETag": f'"{stored.etag}"',
        "ChecksumAlgorithm": checksum.algorithm if checksum else None,
        "ChecksumType": checksum.kind if checksum else None,
        "Size": stored.size_bytes,
        "StorageClass": "STANDARD",
    }


def _part(part: Part) -> dict[str, Content]:
    sums: dict[str, Content] = {part.checksum.element: part.checksum.value} if part.checksum else {}
    return {
        "PartNumber": part.number,
        "LastModified": iso_time(part.modified_at),
        "ETag": f'"{part.etag}"',
        "Size": part.size_bytes,
        **sums,
    }


def _name(entry: Entry) -> str:
    return entry.stored.key if entry.stored else entry.prefix


def _encoder(query: Mapping[str, str]) -> Callable[[str], str]:
    return (lambda text: quote(text, safe="/-_.~*")) if query.get("encoding-type") == "url" else str


def _token(after: str) -> str:
    return base64.urlsafe_b64encode(after.encode()).decode()


def _untoken(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise Refused(
            "InvalidArgument", "The continuation token provided is incorrect", ArgumentName="continuation-token"
        ) from error
