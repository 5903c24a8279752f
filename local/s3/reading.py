"""GET and HEAD of an object: ranges, conditions, and bytes straight from the files (sendfile)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aiohttp import web

from local.s3.calls import Call
from local.s3.conditions import check_read, is_same_range
from local.s3.descriptions import shown_headers, validators
from local.s3.errors import Refused
from local.s3.index import Piece, StoredObject
from local.s3.pace import Throttle
from local.s3.service import Service

_READ_WHOLE_BYTES = 64 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


@dataclass(frozen=True)
class Span:
    """`length` bytes of an object from `start`."""

    start: int
    length: int


async def head_object(service: Service, call: Call) -> web.StreamResponse:
    return await _answer(service, call, with_body=False)


async def get_object(service: Service, call: Call) -> web.StreamResponse:
    return await _answer(service, call, with_body=True)


async def _answer(service: Service, call: Call, *, with_body: bool) -> web.StreamResponse:
    stored = await service.existing(call, call.bucket, call.key)
    if not check_read(call.headers, stored):
        return call.response(304, validators(stored))
    span = asked_span(call.headers.get("Range"), stored.size_bytes) if is_same_range(call.headers, stored) else None
    headers = shown_headers(stored, call.query, call.headers)
    status, sent = 200, Span(0, stored.size_bytes)
    if span is not None:
        status, sent = 206, span
        headers["Content-Range"] = f"bytes {span.start}-{span.start + span.length - 1}/{stored.size_bytes}"
        # A checksum is of the whole object: a client would hold it against the part.
        headers = {name: value for name, value in headers.items() if not name.startswith("x-amz-checksum-")}
    headers["Content-Length"] = str(sent.length)
    if not with_body:
        return call.response(status, headers)
    return await _send(service, call, stored, sent, (status, headers))


def asked_span(header: str | None, size_bytes: int) -> Span | None:
    """None for no range, for several and for what is none: then the whole is sent. Raises InvalidRange."""
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size_bytes - int(last))
    end = min(int(last), size_bytes - 1) if first and last else size_bytes - 1
    if first and last and int(last) < int(first):
        return None
    if start >= size_bytes:
        raise Refused("InvalidRange", RangeRequested=header or "", ActualObjectSize=size_bytes)
    return Span(start, end - start + 1)


def cut(pieces: Sequence[Piece], span: Span) -> Iterator[Piece]:
    """The pieces, and parts of pieces, that make up a span of their whole."""
    begins = 0
    for piece in pieces:
        start, end = max(span.start, begins), min(span.start + span.length, begins + piece.length)
        if start < end:
            yield Piece(piece.segment, piece.start + start - begins, end - start)
        begins += piece.length


async def _send(
    service: Service, call: Call, stored: StoredObject, span: Span, head: tuple[int, dict[str, str]]
) -> web.StreamResponse:
    pieces = list(cut(service.index.pieces(stored.content), span))
    throttle = service.pace.throttle("get")
    status, headers = head
    with service.segments.reading(piece.segment for piece in pieces):
        if span.length <= _READ_WHOLE_BYTES:
            await throttle.passed(span.length)
            return call.response(status, headers, b"".join(_read(service, piece) for piece in pieces))
        response = web.StreamResponse(status=status, headers={**call.common_headers, **headers})
        await response.prepare(call.request)
        for piece in pieces:
            await _send_piece(service, call, piece, throttle)
        await response.write_eof()
    return response


def _read(service: Service, piece: Piece) -> bytes:
    with open(service.segments.path(piece.segment), "rb") as file:
        file.seek(piece.start)
        return file.read(piece.length)


async def _send_piece(service: Service, call: Call, piece: Piece, throttle: Throttle) -> None:
    transport = call.request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    sent, step = 0, throttle.slice_bytes or piece.length
    with open(service.segments.path(piece.segment), "rb") as file:
        while sent < piece.length:
            count = min(step, piece.length - sent)
            await asyncio.get_running_loop().sendfile(transport, file, piece.start + sent, count)
            sent += count
            await throttle.passed(count)
