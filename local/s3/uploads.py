"""Operations on uploads in parts. Joining them writes rows, one for each part, and no bytes.

Limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from xml.etree.ElementTree import Element

from aiohttp import web

from local.s3.calls import Call
from local.s3.checksums import ALGORITHMS, COMPOSITE, Checksum, Digests, given_checksum, kind_for, known_algorithm
from local.s3.checksums import of_parts as checksum_of_parts
from local.s3.descriptions import describe, written_headers
from local.s3.documents import Content, parse, text
from local.s3.errors import Refused
from local.s3.index import Piece, StoredObject
from local.s3.intake import LARGEST_PUT_BYTES, read_document, receive
from local.s3.objects import copied_etag, copy_result, copy_source, opaque_etag
from local.s3.reading import Span, asked_span, cut
from local.s3.service import Service
from local.s3.upload_rows import Part, Upload, UploadRows

SMALLEST_PART_BYTES = 5 * 1024**2
MOST_PARTS = 10_000
_DOCUMENT_BYTES = 4 * 1024 * 1024
_READ_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Named:
    """A part as the request to complete names it."""

    number: int
    etag: str
    checksum: str | None


async def create_upload(service: Service, call: Call) -> web.StreamResponse:
    description = describe(call.headers)
    if description.tags:
        await service.permits.require(call, "s3:PutObjectTagging", f"{call.bucket}/{call.key}")
    name, headers = call.headers.get("x-amz-checksum-algorithm"), {}
    if name is not None:
        algorithm = known_algorithm(name)
        kind = kind_for(algorithm, call.headers.get("x-amz-checksum-type"))
        description = replace(description, checksum=Checksum(algorithm, "", kind))
        headers = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}
    upload = Upload(call.bucket, call.key, description)
    UploadRows(service.index).start(upload)
    content = {"Bucket": call.bucket, "Key": call.key, "UploadId": upload.id}
    return call.xml("InitiateMultipartUploadResult", content, headers)


async def upload_part(service: Service, call: Call) -> web.StreamResponse:
    upload, number = _addressed(service, call), _part_number(call)
    wanted = upload.description.checksum
    body = await receive(
        call,
        service.segments,
        service.pace.throttle("put"),
        wanted=wanted.algorithm if wanted else None,
        fsync=service.config.fsync,
    )
    part = Part(number, body.size_bytes, body.md5, body.checksum)
    _keep_part(service, upload, part, [Piece(body.segment, 0, body.size_bytes)])
    sums = {body.checksum.header: body.checksum.value} if body.checksum else {}
    return call.response(200, {"ETag": f'"{part.etag}"', "x-amz-server-side-encryption": "AES256", **sums})


async def copy_part(service: Service, call: Call) -> web.StreamResponse:
    upload, number = _addressed(service, call), _part_number(call)
    source = await copy_source(service, call)
    span = _copied_span(call.headers.get("x-amz-copy-source-range"), source)
    all_pieces = service.index.pieces(source.content)
    pieces = list(cut(all_pieces, span))
    whole = span.length == source.size_bytes
    etag = copied_etag(source, pieces) if whole else opaque_etag(pieces)
    with service.segments.reading(piece.segment for piece in pieces):
        checksum = await _computed(service, pieces, upload.description.checksum)
        await service.pace.throttle("copy").passed(span.length)
        part = Part(number, span.length, etag, checksum)
        _keep_part(service, upload, part, pieces)
    sums: dict[str, Content] = {checksum.element: checksum.value} if checksum else {}
    return call.xml("CopyPartResult", copy_result(part.etag, part.modified_at) | sums)


async def complete_upload(service: Service, call: Call) -> web.StreamResponse:
    rows, upload = UploadRows(service.index), _addressed(service, call)
    # Checksum headers of this request are of the object to be, not of the list of parts.
    document = await read_document(call, _DOCUMENT_BYTES, has_sums=False)
    named = _named_parts(document, upload.description.checksum)
    await service.check_conditions(call)
    upload = rows.find(upload.bucket, upload.key, upload.id)  # the body took time to arrive
    parts = _chosen(rows.parts(upload.id), named, upload.description.checksum)
    stored = _joined(call, upload, parts)
    pieces = [piece for part in parts for piece in service.index.pieces(part.content)]
    service.commit(call, stored, pieces, "CompleteMultipartUpload", call.headers, ending=lambda: rows.end(upload.id))
    content: dict[str, Content] = {
        "Location": f"http://{call.headers.get('Host', '')}{call.request.rel_url.raw_path}",
        "Bucket": stored.bucket,
        "Key": stored.key,
        "ETag": f'"{stored.etag}"',
    }
    if stored.description.checksum:
        checksum = stored.description.checksum
        content |= {checksum.element: checksum.value, "ChecksumType": checksum.kind}
    headers = {name: value for name, value in written_headers(stored).items() if name != "ETag"}
    return call.xml("CompleteMultipartUploadResult", content, headers)


async def abort_upload(service: Service, call: Call) -> web.StreamResponse:
    upload = _addressed(service, call)
    service.segments.remove(UploadRows(service.index).abort(upload.id))
    return call.response(204)


def _joined(call: Call, upload: Upload, parts: Sequence[Part]) -> StoredObject:
    digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
    size_bytes = sum(part.size_bytes for part in parts)
    if call.headers.get("x-amz-mp-object-size", str(size_bytes)) != str(size_bytes):
        raise Refused(
            "InvalidRequest", "The provided 'x-amz-mp-object-size' header value does not match what was computed"
        )
    checksum, wanted, given = None, upload.description.checksum, given_checksum(call.headers)
    if wanted:
        sums = [(part.checksum.value, part.size_bytes) for part in parts if part.checksum]
        checksum = checksum_of_parts(wanted.algorithm, wanted.kind, sums)
    if given and (checksum is None or given.value != checksum.value.partition("-")[0]):
        raise Refused("BadDigest", f"The {given.algorithm} you specified did not match the calculated checksum.")
    return StoredObject(upload.bucket, upload.key, size_bytes, etag, replace(upload.description, checksum=checksum))


def _named_parts(body: bytes, wanted: Checksum | None) -> list[Named]:
    """Raises MalformedXML, InvalidPartOrder."""
    named = [_named(entry) for entry in parse(body, "CompleteMultipartUpload").findall("Part")]
    if not 0 < len(named) <= MOST_PARTS:
        raise Refused("MalformedXML")
    if any(later.number <= earlier.number for earlier, later in pairwise(named)):
        raise Refused("InvalidPartOrder")
    bare = next((part.number for part in named if part.checksum is None), None)
    if wanted and wanted.kind == COMPOSITE and bare is not None:
        raise Refused(
            "InvalidRequest",
            f"The upload was created using a {wanted.algorithm.lower()} checksum. The "
            "complete request must include the checksum for each part. It was missing for part "
            f"{bare} in the request.",
        )
    return named


def _named(entry: Element) -> Named:
    number, etag = text(entry, "PartNumber") or "", text(entry, "ETag")
    if not number.isdigit() or etag is None:
        raise Refused("MalformedXML")
    sums = [value for name in ALGORITHMS if (value := text(entry, f"Checksum{name}"))]
    return Named(int(number), etag.strip('"'), sums[0] if sums else None)


def _chosen(parts: Sequence[Part], named: Sequence[Named], wanted: Checksum | None) -> list[Part]:
    """Raises InvalidPart, EntityTooSmall."""
    there = {part.number: part for part in parts}
    for name in named:
        part = there.get(name.number)
        sum_fits = part and (name.checksum is None or (part.checksum and part.checksum.value == name.checksum))
        if part is None or part.etag != name.etag or not sum_fits or (wanted and not part.checksum):
            raise Refused("InvalidPart", PartNumber=name.number, ETag=name.etag)
    chosen = [there[name.number] for name in named]
    for part in chosen[:-1]:
        if part.size_bytes < SMALLEST_PART_BYTES:
            raise Refused(
                "EntityTooSmall",
                ProposedSize=part.size_bytes,
                MinSizeAllowed=SMALLEST_PART_BYTES,
                PartNumber=part.number,
                ETag=part.etag,
            )
    return chosen


def _addressed(service: Service, call: Call) -> Upload:
    return UploadRows(service.index).find(call.bucket, call.key, call.query["uploadId"])


def _part_number(call: Call) -> int:
    value = call.query.get("partNumber", "")
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= MOST_PARTS:
        raise Refused(
            "InvalidArgument",
            f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=value,
        )
    return int(value)


def _copied_span(header: str | None, source: StoredObject) -> Span:
    """Unlike a read's, a copy's range has both ends, inside its source, which must have more than 5 MiB."""
    span: Span | None = Span(0, source.size_bytes)
    if header is not None:
        exact = re.fullmatch(r"bytes=\d+-(\d+)", header, re.ASCII)
        span = asked_span(header, source.size_bytes) if exact and int(exact[1]) < source.size_bytes else None
    if span is None:
        raise Refused(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last "
            "where first and last are the zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    if header is not None and source.size_bytes <= SMALLEST_PART_BYTES:
        raise Refused("InvalidRequest", "The specified copy source is not supported as a byte-range copy source")
    if span.length > LARGEST_PUT_BYTES:
        raise Refused("EntityTooLarge", ProposedSize=span.length, MaxSizeAllowed=LARGEST_PUT_BYTES)
    return span


def _keep_part(service: Service, upload: Upload, part: Part, pieces: Sequence[Piece]) -> None:
    try:
        service.segments.remove(UploadRows(service.index).put_part(upload, part, pieces))
        service.segments.keep(piece.segment for piece in pieces)
    except Refused:
        service.segments.remove(service.index.unused(piece.segment for piece in pieces))
        raise


async def _computed(service: Service, pieces: Sequence[Piece], wanted: Checksum | None) -> Checksum | None:
    """Only an upload that asks for checksums has its copied bytes read."""
    if wanted is None:
        return None
    digests = Digests([wanted.algorithm])
    async for data in _contents(service, pieces):
        await asyncio.to_thread(digests.update, data)
    return Checksum(wanted.algorithm, digests.base64(wanted.algorithm))


async def _contents(service: Service, pieces: Sequence[Piece]) -> AsyncIterator[bytes]:
    for piece in pieces:
        with open(service.segments.path(piece.segment), "rb") as file:
            file.seek(piece.start)
            for offset in range(0, piece.length, _READ_BYTES):
                yield await asyncio.to_thread(file.read, min(_READ_BYTES, piece.length - offset))
