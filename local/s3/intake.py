"""Taking a body in: decoded, digested, held against what the client said of it, written to a segment."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO, Self

from aiohttp import StreamReader

from local.s3.calls import Call
from local.s3.checksums import HEADER_PREFIX, Checksum, Digests, given_checksum, known_algorithm
from local.s3.chunked import decoded
from local.s3.errors import Refused
from local.s3.pace import Throttle
from local.s3.segments import Segments
from local.s3.signatures import STREAMING, UNSIGNED

LARGEST_PUT_BYTES = 5 * 1024**3
_BATCH_BYTES = 1024 * 1024
_IN_PLACE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Received:
    """Bytes that are there and right. `md5` in hex; `checksum` as the client named it, else of the wanted kind."""

    segment: str
    size_bytes: int
    md5: str
    checksum: Checksum | None


class Expected:
    """What a request says of its body, and whether it turned out so."""

    def __init__(self, call: Call, wanted: str | None = None, *, has_sums: bool = True) -> None:
        """`wanted`: a checksum algorithm to compute in any case; `has_sums`: checksum headers are of this body.

        Raises when headers contradict each other.
        """
        self._call = call
        self._payload = call.signature.payload if call.signature else UNSIGNED
        self.trailers: dict[str, str] = {}
        self.is_chunked = self._payload in STREAMING
        self.size_bytes = _declared_size(call, chunked=self.is_chunked)
        self.algorithm = (self._named_algorithm() if has_sums else None) or wanted
        if wanted and self.algorithm != wanted:
            raise Refused(
                "InvalidRequest",
                f"Checksum Type mismatch occurred, expected checksum Type: "
                f"{wanted.lower()}, actual checksum Type: {str(self.algorithm).lower()}",
            )
        sums = {self.algorithm} if self.algorithm else set()
        self.digests = Digests(sums | ({"SHA256"} if len(self._payload) == 64 else set()))

    def check(self, size_bytes: int) -> Checksum | None:
        """The body's checksum. Raises IncompleteBody, BadDigest, InvalidDigest, XAmzContentSHA256Mismatch."""
        if size_bytes != self.size_bytes:
            raise Refused(
                "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header"
            )
        if len(self._payload) == 64 and self.digests.hex("SHA256") != self._payload:
            raise Refused(
                "XAmzContentSHA256Mismatch",
                ClientComputedContentSHA256=self._payload,
                S3ComputedContentSHA256=self.digests.hex("SHA256"),
            )
        self._check_md5()
        return self._checked_sum()

    def _check_md5(self) -> None:
        given = self._call.headers.get("Content-MD5")
        if given is None:
            return
        try:
            is_digest = len(base64.b64decode(given, validate=True)) == 16
        except (binascii.Error, ValueError):
            is_digest = False
        if not is_digest:
            raise Refused("InvalidDigest", **{"Content-MD5": given})
        if given != self.digests.base64("MD5"):
            raise Refused("BadDigest", ExpectedDigest=given, CalculatedDigest=self.digests.base64("MD5"))

    def _checked_sum(self) -> Checksum | None:
        if self.algorithm is None:
            return None
        actual = Checksum(self.algorithm, self.digests.base64(self.algorithm))
        given = given_checksum(self._call.headers) or given_checksum(self.trailers)
        if given is not None and given != actual:
            raise Refused("BadDigest", f"The {actual.algorithm} you specified did not match the calculated checksum.")
        if given is None and self._call.headers.get("X-Amz-Trailer"):
            raise Refused("MalformedTrailerError")
        return actual

    def _named_algorithm(self) -> str | None:
        headers = self._call.headers
        given, trailer = given_checksum(headers), headers.get("X-Amz-Trailer", "").strip().lower()
        if given is not None:
            return given.algorithm
        if trailer.startswith(HEADER_PREFIX):
            return known_algorithm(trailer.removeprefix(HEADER_PREFIX))
        if "X-Amz-Sdk-Checksum-Algorithm" in headers:
            raise Refused(
                "InvalidRequest",
                "x-amz-sdk-checksum-algorithm specified, but no corresponding "
                "x-amz-checksum-* or x-amz-trailer headers were found.",
            )
        return None


async def receive(
    call: Call, segments: Segments, throttle: Throttle, *, wanted: str | None = None, fsync: bool
) -> Received:
    """Writes the body to a new segment. Raises what `Expected` does; then no segment is left."""
    expected = Expected(call, wanted)
    _check_size(expected.size_bytes)
    body = _bytes(call, expected)
    segment, size_bytes = await write_segment(body, segments, expected.digests, throttle, fsync=fsync)
    try:
        return Received(segment, size_bytes, expected.digests.hex("MD5"), expected.check(size_bytes))
    except Refused:
        segments.remove([segment])
        raise


async def read_document(call: Call, limit_bytes: int, *, has_sums: bool = True) -> bytes:
    """A small body whole. Raises MaxMessageLengthExceeded and what `Expected` does."""
    expected = Expected(call, has_sums=has_sums)
    if expected.size_bytes > limit_bytes:
        raise Refused("MaxMessageLengthExceeded", MaxMessageLengthBytes=limit_bytes)
    body = b"".join([data async for data in _bytes(call, expected)])
    expected.digests.update(body)
    expected.check(len(body))
    return body


async def write_segment(
    body: AsyncIterator[bytes], segments: Segments, digests: Digests, throttle: Throttle, *, fsync: bool
) -> tuple[str, int]:
    """Name and size of a new segment with the bytes; there is none when this raises."""
    name, file = segments.create()
    size_bytes = 0
    try:
        with file:
            async with _Writer(file, digests) as writer:
                async for data in body:
                    size_bytes += len(data)
                    await writer.add(data)
                    await throttle.passed(len(data))
            if fsync:
                # The folder's entry goes with it on ext4, XFS and Btrfs.
                await asyncio.to_thread(os.fdatasync, file.fileno())
    except BaseException:
        segments.remove([name])
        raise
    return name, size_bytes


class _Writer:
    """Digests and writes a batch in a thread while the next one arrives."""

    def __init__(self, file: BinaryIO, digests: Digests) -> None:
        self._file, self._digests = file, digests
        self._held = bytearray()
        self._behind: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, failure: type[BaseException] | None, *_: object) -> None:
        await self._settle()
        if failure is None and len(self._held) > _IN_PLACE_BYTES:
            await asyncio.to_thread(self._absorb, bytes(self._held))
        elif failure is None:
            self._absorb(bytes(self._held))

    async def add(self, data: bytes) -> None:
        self._held += data
        if len(self._held) >= _BATCH_BYTES:
            await self._settle()
            self._behind = asyncio.create_task(asyncio.to_thread(self._absorb, bytes(self._held)))
            self._held.clear()

    async def _settle(self) -> None:
        if self._behind is not None:
            await self._behind

    def _absorb(self, data: bytes) -> None:
        self._digests.update(data)
        self._file.write(data)


async def _bytes(call: Call, expected: Expected) -> AsyncIterator[bytes]:
    await say_continue(call)
    stream = call.request.content
    chunks = _plain(stream)
    if expected.is_chunked and call.signature:
        chunks = decoded(stream, call.signature, expected.trailers)
    left_bytes = expected.size_bytes
    async for data in chunks:
        left_bytes -= len(data)
        if left_bytes < 0:
            raise Refused("IncompleteBody")
        yield data


async def _plain(stream: StreamReader) -> AsyncIterator[bytes]:
    while data := await stream.readany():
        yield data


async def say_continue(call: Call) -> None:
    """The body is wanted; the server says so only once the caller may send it."""
    transport = call.request.transport
    if call.waits_to_continue and transport is not None:
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _declared_size(call: Call, *, chunked: bool) -> int:
    text = call.headers.get("X-Amz-Decoded-Content-Length" if chunked else "Content-Length")
    if text is None and call.request.body_exists:
        raise Refused("MissingContentLength")
    if not (text or "0").isdigit():
        raise Refused("InvalidArgument", "The body's length is not a number of bytes")
    return int(text or "0")


def _check_size(size_bytes: int) -> None:
    if size_bytes > LARGEST_PUT_BYTES:
        raise Refused("EntityTooLarge", ProposedSize=size_bytes, MaxSizeAllowed=LARGEST_PUT_BYTES)
