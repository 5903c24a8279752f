"""A film as parts of one S3 upload: ranges the store copies by itself, and bytes that pass through memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from shared.domain.errors import BadMedia
from shared.media.splice.film import CopiedRange, Made, Piece

MIB = 1024**2
SMALLEST_PART_BYTES = 5 * MIB
LARGEST_PART_BYTES = 5 * 1024 * MIB
MOST_PARTS = 10_000
ONE_REQUEST_BYTES = 64 * MIB
FULL_BYTE_PART = 8 * MIB


@dataclass(frozen=True, slots=True)
class CopyPart:
    """A range of a clip's object, or of the whole sound's behind them, that the store copies."""

    clip: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class BytePart:
    """Bytes to send, some of them to fetch first."""

    pieces: tuple[Piece, ...]

    @property
    def length(self) -> int:
        """How many."""
        return sum(piece.length for piece in self.pieces)


Part = CopyPart | BytePart


def in_memory(size_bytes: int) -> bool:
    """Whether a film is so small that fetching its clips and sending it in one request is the quickest."""
    return size_bytes <= ONE_REQUEST_BYTES


def plan_parts(head: bytes, pieces: Iterable[Piece], source_sizes: Sequence[int]) -> tuple[Part, ...]:
    """In order. `source_sizes`: bytes of each clip's object, and of the whole sound's behind them; only those above
    5 MiB can be copied from by range.

    All parts but the last have 5 MiB to 5 GiB. Raises BadMedia `too_many_parts` beyond 10,000.
    """
    parts = tuple(_parts(chain([Made(head)], pieces), source_sizes))
    if len(parts) > MOST_PARTS:
        raise BadMedia("The film would be too large for one upload: compile it in parts.", code="too_many_parts")
    return parts


def _parts(pieces: Iterable[Piece], source_sizes: Sequence[int]) -> Iterator[Part]:
    """A piece gives what the bytes before it lack to a whole part; what then remains is copied if it is enough."""
    waiting = _Waiting()
    for piece in pieces:
        lent = min(max(SMALLEST_PART_BYTES - waiting.length, 0), piece.length) if waiting.length else 0
        can_copy = isinstance(piece, CopiedRange) and source_sizes[piece.clip] > SMALLEST_PART_BYTES
        if isinstance(piece, CopiedRange) and can_copy and piece.length - lent >= SMALLEST_PART_BYTES:
            waiting.add(CopiedRange(piece.clip, piece.offset, lent))
            yield from waiting.flushed()
            yield from _copies(piece.clip, piece.offset + lent, piece.length - lent)
            continue
        for slice_ in _slices(piece):
            waiting.add(slice_)
            yield from waiting.flushed() if waiting.length >= FULL_BYTE_PART else ()
    yield from waiting.flushed()


class _Waiting:
    """Pieces of the next byte part."""

    def __init__(self) -> None:
        self.length = 0
        self._pieces: list[Piece] = []

    def add(self, piece: Piece) -> None:
        if piece.length:
            self._pieces.append(piece)
            self.length += piece.length

    def flushed(self) -> Iterator[BytePart]:
        if self._pieces:
            yield BytePart(tuple(self._pieces))
        self._pieces, self.length = [], 0


def _slices(piece: Piece) -> Iterator[Piece]:
    """Small enough for memory."""
    for at in range(0, piece.length, FULL_BYTE_PART):
        length = min(FULL_BYTE_PART, piece.length - at)
        if isinstance(piece, Made):
            yield Made(memoryview(piece.data)[at : at + length])
        else:
            yield CopiedRange(piece.clip, piece.offset + at, length)


def _copies(clip: int, offset: int, length: int) -> Iterator[CopyPart]:
    """As few as the largest part allows, all as long but for a byte: none becomes too small."""
    count = -(-length // LARGEST_PART_BYTES)
    ends = [length * number // count for number in range(count + 1)]
    yield from (CopyPart(clip, offset + start, end - start) for start, end in pairwise(ends))
