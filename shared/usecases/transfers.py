"""What goes to and from the bucket: several requests at once, and bytes that are passed on as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from threading import Lock
from typing import TypeVar

from shared.domain.errors import BadMedia, DependencyDown
from shared.media.splice.film import CopiedRange, Made, Piece
from shared.media.streams import Write
from shared.ports import MediaStore, OpenUpload, Part
from shared.usecases.object_source import ObjectSource

AT_ONCE = 16
MOST_LEFT = 100
# Each of these holds up to 13 MiB.
BYTE_PARTS_AT_ONCE = 3
READ_BYTES = 8 * 1024**2
# A reader of a stream finds so many reads done or under way.
READ_AHEAD = 3
SENT_BYTES = 8 * 1024**2
T = TypeVar("T")
R = TypeVar("R")


def side_by_side(work: Callable[[T], R], items: Iterable[T], after_each: Callable[[], None] = lambda: None) -> list[R]:
    """Results in order. The first error ends it once what has begun is done; nothing new begins."""
    futures = [threads().submit(work, item) for item in items]
    results: list[R] = []
    try:
        for future in futures:
            results.append(future.result())
            after_each()
    except BaseException:
        for future in futures:
            future.cancel()
        wait(futures)
        raise
    return results


@cache
def threads() -> ThreadPoolExecutor:
    """Kept from film to film, as connections are."""
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bucket")


def bytes_of(sources: Sequence[ObjectSource], piece: Piece) -> bytes | memoryview:
    """A piece's bytes, not fetched again where the clip is in memory.

    Raises BadMedia (`source_changed`) where it comes short, and as `ObjectSource.read` does.
    """
    if isinstance(piece, Made):
        return piece.data
    source = sources[piece.clip]
    held = source.held(piece.offset, piece.length)
    data = held if held is not None and len(held) == piece.length else source.read(piece.offset, piece.length)
    if len(data) != piece.length:
        raise BadMedia("A file was replaced while it was read: compile again.", code="source_changed")
    return data


def reads_of(piece: Piece) -> Iterable[Piece]:
    """In reads that many threads can share."""
    if isinstance(piece, Made):
        return (piece,)
    starts = range(0, piece.length, READ_BYTES)
    return (CopiedRange(piece.clip, piece.offset + at, min(READ_BYTES, piece.length - at)) for at in starts)


@dataclass(frozen=True, slots=True)
class ObjectStream:
    """An object's parts in order, fetched ahead of whoever reads them; no file is made. A `Stream`."""

    source: ObjectSource
    pieces: Sequence[Piece]

    @property
    def size_bytes(self) -> int:
        """The object's length."""
        return self.source.size_bytes

    def pour(self, write: Write) -> None:
        """Raises as `ObjectSource.read` does, and what `write` raises."""
        ahead: deque[Future[bytes | memoryview]] = deque()
        reads = iter([read for piece in self.pieces for read in reads_of(piece)])
        try:
            while self._fetch_ahead(ahead, reads):
                write(ahead.popleft().result())
        finally:
            for future in ahead:
                future.cancel()

    def _fetch_ahead(self, ahead: deque[Future[bytes | memoryview]], reads: Iterator[Piece]) -> bool:
        """Whether anything is still to come."""
        for read in islice(reads, READ_AHEAD - len(ahead)):
            ahead.append(threads().submit(bytes_of, [self.source], read))
        return bool(ahead)


@contextmanager
def upload_in_parts(media: MediaStore, key: str) -> Iterator[OpenUpload]:
    """An upload in parts that is not left open, however the block ends."""
    upload = _begun(media, key)
    try:
        yield upload
    except BaseException:
        # What cannot be given up now is given up by the minute sweep.
        with suppress(DependencyDown):
            media.abort_upload(upload)
        raise


def _begun(media: MediaStore, key: str) -> OpenUpload:
    # Of an earlier worker on this job that was killed: nobody else writes here while the lease is ours.
    for left in media.open_uploads(key, "", MOST_LEFT):
        media.abort_upload(left)
    return media.start_upload(key, "video/mp4")


def write_stream(media: MediaStore, key: str, produce: Callable[[Write], None]) -> None:
    """What `produce` writes becomes the object at `key`, all of it or nothing; parts are sent as they fill up.

    Raises what `produce` does, DependencyDown.
    """
    outgoing = _Outgoing(media, key)
    try:
        produce(outgoing.write)
        outgoing.complete()
    except BaseException:
        outgoing.give_up()
        raise


class _Outgoing:
    """Bytes on their way into an object, their number unknown."""

    def __init__(self, media: MediaStore, key: str) -> None:
        self._media, self._key = media, key
        self._waiting = bytearray()
        self._upload: OpenUpload | None = None
        self._given_up, self._sending = False, Lock()
        self._sent: list[Future[Part]] = []

    def write(self, data: bytes | memoryview) -> None:
        """Waits while enough parts are on their way. Nothing is taken any more once it was given up."""
        with self._sending:
            if self._given_up:
                return
            self._waiting += data
            if len(self._waiting) >= SENT_BYTES:
                self._send()

    def complete(self) -> None:
        """Small ones go in one request."""
        if self._upload is None:
            self._media.put(self._key, bytes(self._waiting), "video/mp4")
            return
        if self._waiting:
            self._send()
        self._media.complete_upload(self._upload, [part.result() for part in self._sent])

    def give_up(self) -> None:
        """Nothing stays open. What cannot be given up now is given up by the minute sweep."""
        with self._sending:
            self._given_up = True
        wait(self._sent)
        if self._upload is not None:
            with suppress(DependencyDown):
                self._media.abort_upload(self._upload)

    def _send(self) -> None:
        if self._upload is None:
            self._upload = _begun(self._media, self._key)
        if len(self._sent) >= BYTE_PARTS_AT_ONCE:
            self._sent[-BYTE_PARTS_AT_ONCE].result()
        data, self._waiting = bytes(self._waiting), bytearray()
        self._sent.append(threads().submit(self._media.upload_part, self._upload, len(self._sent) + 1, data))
