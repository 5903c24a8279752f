"""Bodies in `aws-chunked` encoding: sizes, chunk signatures and trailers.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and sigv4-streaming-trailers.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import StreamReader

from local.s3.errors import Refused
from local.s3.signatures import Signature, check_value

_READ_BYTES = 256 * 1024
_LONGEST_LINE_BYTES = 8192
_MOST_TRAILERS = 16
_OF_NOTHING = hashlib.sha256(b"").hexdigest()


@dataclass
class _Chain:
    """Each chunk's signature covers the one before; the request's own is the first. Unsigned streams pass."""

    signature: Signature
    previous: str

    @property
    def is_signed(self) -> bool:
        return "UNSIGNED" not in self.signature.payload

    @property
    def has_trailers(self) -> bool:
        return self.signature.payload.endswith("-TRAILER")

    def check_chunk(self, digest: str, claimed: str) -> None:
        self._check("PAYLOAD", (_OF_NOTHING, digest), claimed)

    def check_trailers(self, trailers: dict[str, str], claimed: str) -> None:
        lines = "".join(f"{name}:{value}\n" for name, value in sorted(trailers.items()))
        self._check("TRAILER", (hashlib.sha256(lines.encode()).hexdigest(),), claimed)

    def _check(self, kind: str, digests: tuple[str, ...], claimed: str) -> None:
        if not self.is_signed:
            return
        signer, timestamp = self.signature.signer, self.signature.timestamp
        head = (f"AWS4-HMAC-SHA256-{kind}", timestamp, signer.scope_at(timestamp), self.previous)
        expected = signer.sign_text("\n".join((*head, *digests)), timestamp)
        check_value(expected, claimed)
        self.previous = expected


async def decoded(stream: StreamReader, signature: Signature, trailers: dict[str, str]) -> AsyncIterator[bytes]:
    """The bytes inside the chunks; fills `trailers` (names in lower case) at the end.

    Raises IncompleteBody, SignatureDoesNotMatch. Bytes of a chunk come before its signature is checked.
    """
    chain = _Chain(signature, signature.value)
    size_bytes = -1
    while size_bytes != 0:
        size_bytes, claimed = _header(await _line(stream))
        digest = hashlib.sha256()
        async for data in _exactly(stream, size_bytes):
            digest.update(data)
            yield data
        chain.check_chunk(digest.hexdigest(), claimed)
        if size_bytes > 0:
            await _blank(stream)
    if chain.has_trailers:
        await _read_trailers(stream, chain, trailers)
    else:
        await _blank(stream)


async def _read_trailers(stream: StreamReader, chain: _Chain, trailers: dict[str, str]) -> None:
    for _ in range(_MOST_TRAILERS):
        line = (await _line(stream)).decode("latin-1")
        if not line:
            claimed = trailers.pop("x-amz-trailer-signature", "")
            chain.check_trailers(trailers, claimed)
            return
        name, _, value = line.partition(":")
        trailers[name.strip().lower()] = value.strip()
    raise Refused("MalformedTrailerError")


def _header(line: bytes) -> tuple[int, str]:
    size, _, extension = line.partition(b";")
    if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", size):
        raise Refused("IncompleteBody")
    return int(size, 16), extension.decode("latin-1").removeprefix("chunk-signature=")


async def _exactly(stream: StreamReader, size_bytes: int) -> AsyncIterator[bytes]:
    while size_bytes > 0:
        data = await stream.read(min(size_bytes, _READ_BYTES))
        if not data:
            raise Refused("IncompleteBody")
        size_bytes -= len(data)
        yield data


async def _line(stream: StreamReader) -> bytes:
    try:
        line = await stream.readuntil(b"\n")
    except ValueError as error:  # longer than the stream's buffer
        raise Refused("IncompleteBody") from error
    if not line.endswith(b"\r\n") or len(line) > _LONGEST_LINE_BYTES:
        raise Refused("IncompleteBody")
    return line[:-2]


async def _blank(stream: StreamReader) -> None:
    if await _line(stream):
        raise Refused("IncompleteBody")
