"""The tree of boxes (ISO 14496-12, 4.2): of a file by ranged reads, of a box in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from shared.media.mp4.fields import BadMp4, Fields

LARGEST_MOOV_BYTES = 16 * 1024**2
LARGEST_MOOF_BYTES = 4 * 1024**2
# Of a fragment there are two, and in streams up to four more.
MOST_TOP_BOXES = 32 * 1024
MOST_CHILDREN = 1024
WINDOW_BYTES = 64 * 1024
_HEADER_BYTES, _LONG_HEADER_BYTES = 8, 16


class ByteSource(Protocol):
    """A file that is read in ranges."""

    @property
    def size_bytes(self) -> int:
        """Its length."""

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of the range, which lies inside the file; fewer only where the file is shorter than it said."""


@runtime_checkable
class PrefetchingSource(ByteSource, Protocol):
    """A source whose reads take long, so that it wants to hear of many at once."""

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Offsets and lengths that will be read next, to be fetched side by side."""


@dataclass(frozen=True, slots=True)
class FileBox:
    """Where a top-level box and its payload lie in the file; `end` is cut to the file's own end."""

    kind: str
    start: int
    payload: int
    end: int
    past_end: bool


@dataclass(frozen=True, slots=True)
class Box:
    """A box in memory, without its header."""

    kind: str
    payload: memoryview

    def fields(self) -> Fields:
        """A reader of the payload."""
        return Fields(self.payload, self.kind)

    def children(self) -> Iterator[Box]:
        """The boxes the payload consists of. Raises BadMp4 for one that leaves it."""
        yield from boxes_of(self.payload, self.kind)

    def child(self, kind: str) -> Box | None:
        """The first child of a kind."""
        return next((box for box in self.children() if box.kind == kind), None)


class Window:
    """Ranged reads through one kept block, so that neighbouring headers cost one request."""

    def __init__(self, source: ByteSource, window_bytes: int = WINDOW_BYTES) -> None:
        self._source, self._window_bytes = source, window_bytes
        self._start, self._block = 0, b""

    def read(self, offset: int, length: int) -> bytes:
        """The range. Raises BadMp4 `mp4_cut_off` where it leaves the file."""
        if offset < 0 or length < 0 or offset + length > self._source.size_bytes:
            raise BadMp4("mp4_cut_off", "it ends inside a box")
        at = offset - self._start
        if at < 0 or at + length > len(self._block):
            self._fetch(offset, length)
            at = 0
        return self._block[at : at + length]

    def _fetch(self, offset: int, length: int) -> None:
        wanted = min(max(length, self._window_bytes), self._source.size_bytes - offset)
        self._start, self._block = offset, self._source.read(offset, wanted)
        if len(self._block) < length:
            raise BadMp4("mp4_cut_off", "it is shorter than its store says")


def top_boxes(window: Window, size_bytes: int) -> Iterator[FileBox]:
    """The file's own boxes in order. Raises BadMp4 for a header that makes no sense."""
    offset = 0
    for _ in range(MOST_TOP_BOXES + 1):
        if offset + _HEADER_BYTES > size_bytes:
            return
        length, header = _sizes(window, offset, size_bytes)
        kind = window.read(offset + 4, 4).decode("latin-1")
        end = offset + length
        yield FileBox(kind, offset, offset + header, min(end, size_bytes), end > size_bytes)
        offset = end
    raise BadMp4("mp4_too_many_boxes", f"it has more than {MOST_TOP_BOXES} boxes")


def _sizes(window: Window, offset: int, size_bytes: int) -> tuple[int, int]:
    """Length of the box with its header, and of the header."""
    length = int.from_bytes(window.read(offset, 4), "big")
    header = _HEADER_BYTES
    if length == 0:
        length = size_bytes - offset
    elif length == 1:
        length, header = int.from_bytes(window.read(offset + 8, 8), "big"), _LONG_HEADER_BYTES
    if length < header:
        raise BadMp4("mp4_bad_box", "a box is shorter than its header")
    return length, header


def boxes_of(payload: memoryview, where: str) -> Iterator[Box]:
    """The boxes a payload consists of; what is too short for a header at its end is padding."""
    fields = Fields(payload, where)
    for _ in range(MOST_CHILDREN + 1):
        if fields.left < _HEADER_BYTES:
            return
        length, header = fields.unsigned(4), _HEADER_BYTES
        kind = bytes(fields.take(4)).decode("latin-1")
        if length == 0 and kind == "\0\0\0\0":
            return  # QuickTime ends some containers with 32 zero bits
        if length == 0:
            length = fields.left + header
        elif length == 1:
            length, header = fields.unsigned(8), _LONG_HEADER_BYTES
        if length < header:
            raise BadMp4("mp4_bad_box", f"a box in its {where} is shorter than its header")
        yield Box(kind, fields.take(length - header))
    raise BadMp4("mp4_too_many_boxes", f"its {where} has more than {MOST_CHILDREN} boxes")
