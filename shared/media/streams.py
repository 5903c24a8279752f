"""A stored file as FFmpeg reads it through a pipe, where nothing can be sought: in one pass, its index first."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Protocol, TypeAlias

from shared.domain.errors import BadMedia
from shared.media.clip import Clip, Picture, Sound
from shared.media.mp4.boxes import Box, ByteSource, FileBox, Window, top_boxes
from shared.media.mp4.fields import BadMp4
from shared.media.mp4.movie import Edit
from shared.media.mp4.writing import LARGEST_32
from shared.media.plain_index import needs_plain_index, plain_index
from shared.media.presentation import plain_edits
from shared.media.splice.film import CopiedRange, Made, Piece

# What a file keeps further apart than this would pile up in memory until its other half comes.
MOST_APART_SECONDS = 5.0
# The boxes around a track's chunk offsets.
# Headers of `elst`, its version and its count.
_EDITS_AT, _BOX_HEADER_BYTES = 16, 8
_AROUND_OFFSETS = ("trak", "mdia", "minf", "stbl")

Write: TypeAlias = Callable[[bytes | memoryview], object]


class Stream(Protocol):
    """Bytes in the order a reader wants them that cannot seek."""

    @property
    def size_bytes(self) -> int:
        """How many."""

    def pour(self, write: Write) -> None:
        """Writes all of them; once more from the start each time it is called. Raises what `write` does."""


# What FFmpeg reads: a file of the workplace, or what comes through its standard input.
MediaInput: TypeAlias = Path | Stream
# Where its result goes: a file of the workplace, or whoever takes the bytes as they come.
MediaResult: TypeAlias = Path | Write


def one_pass(source: ByteSource, read: Clip | BadMedia) -> tuple[Piece, ...] | None:
    """The file's parts in the order of one pass. `read` is what the file is, or why it is no MP4.

    None for a file that can only be read by seeking: an MP4 that is damaged, tells its samples in another order than
    they lie in, or keeps its sound far behind its picture.
    """
    whole = (CopiedRange(0, 0, source.size_bytes),)
    if isinstance(read, BadMedia):
        return whole if read.code == "not_mp4" else None
    if not (_are_in_order(read) and _is_interleaved(read)):
        return None
    plain = read.file.moov_first or needs_plain_index(read)
    pieces = as_presented(source, read) if plain else _index_first(source, read)
    return _ended(source, pieces) if pieces is not None else None


def as_presented(source: ByteSource, read: Clip | BadMedia) -> tuple[Piece, ...]:
    """The file with an index that FFmpeg reads as the clip presents itself."""
    whole = (CopiedRange(0, 0, source.size_bytes),)
    if isinstance(read, BadMedia) or not needs_another_index(read):
        return whole
    if needs_plain_index(read):
        return plain_index(read)
    index = _moov_of(source)
    moov = bytearray(source.read(index.payload, index.end - index.payload))
    _write_plain_edits(Box("moov", memoryview(moov)), read)
    ranges = (
        CopiedRange(0, 0, index.payload),
        Made(bytes(moov)),
        CopiedRange(0, index.end, whole[0].length - index.end),
    )
    return tuple(piece for piece in ranges if piece.length)


def _ended(source: ByteSource, pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """With a length for a last box that says it has none, or more than there is: in a pipe FFmpeg takes that for a cut.

    Whether a sample is missing is seen sample by sample.
    """
    last = list(top_boxes(Window(source), source.size_bytes))[-1]
    says = int.from_bytes(source.read(last.start, 4), "big")
    length = last.end - last.start
    if says == 1 or (says != 0 and not last.past_end) or length > LARGEST_32:
        return pieces
    return tuple(part for piece in pieces for part in _with_length(piece, last.start, length))


def _with_length(piece: Piece, at: int, length: int) -> Iterator[Piece]:
    """The piece with four bytes of the file changed, where they are its own."""
    if isinstance(piece, Made) or not piece.offset <= at <= piece.offset + piece.length - 4:
        yield piece
        return
    before = at - piece.offset
    parts = (
        CopiedRange(0, piece.offset, before),
        Made(length.to_bytes(4, "big")),
        CopiedRange(0, at + 4, piece.length - before - 4),
    )
    yield from (part for part in parts if part.length)


def needs_another_index(clip: Clip) -> bool:
    """Whether FFmpeg would read the file's own index otherwise than the clip presents itself."""
    return needs_plain_index(clip) or any(edits is not None for edits in _plain_edits(clip))


def _plain_edits(clip: Clip) -> list[list[Edit] | None]:
    movie, fragmented = clip.file.movie, clip.file.fragmented
    return [plain_edits(track, movie.timescale, fragmented=fragmented) for track in movie.tracks]


def _moov_of(source: ByteSource) -> FileBox:
    return next(box for box in top_boxes(Window(source), source.size_bytes) if box.kind == "moov")


def _write_plain_edits(moov: Box, clip: Clip) -> None:
    """Writes edit lists in place of those that FFmpeg misreads; a `free` box fills what is left of them."""
    traks = (box for box in moov.children() if box.kind == "trak")
    for trak, edits in zip(traks, _plain_edits(clip), strict=False):
        edts = trak.child("edts")
        if edts is not None and edits is not None:
            _write_edits(edts.payload, edits)


def _write_edits(edts: memoryview, edits: Sequence[Edit]) -> None:
    """In the first box of `edts`, which has room for at least as many. FFmpeg goes by a list's size, not its count."""
    size = int.from_bytes(edts[:4], "big")
    if bytes(edts[4:8]) != b"elst" or size > len(edts):
        return
    width = 8 if edts[8] == 1 else 4
    if any(edit.duration >> (8 * width) for edit in edits):
        return
    rows = b"".join(
        edit.duration.to_bytes(width, "big")
        + edit.media_time.to_bytes(width, "big", signed=True)
        + edit.rate.to_bytes(4, "big")
        for edit in edits
    )
    end = _EDITS_AT + len(rows)
    gap = size - end
    if gap < 0 or 0 < gap < _BOX_HEADER_BYTES:
        return
    edts[:4] = (end).to_bytes(4, "big")
    edts[12:_EDITS_AT] = len(edits).to_bytes(4, "big")
    edts[_EDITS_AT:end] = rows
    if gap:
        edts[end : end + _BOX_HEADER_BYTES] = gap.to_bytes(4, "big") + b"free"


def _are_in_order(clip: Clip) -> bool:
    """Whether each track's samples lie as they follow: what a pipe has passed is gone, and FFmpeg says nothing."""
    tables = (track.tables for track in clip.file.movie.tracks if track.tables is not None)
    return all(before <= after for one in tables for before, after in pairwise(one.chunk_offsets))


def _is_interleaved(clip: Clip) -> bool:
    """Whether sound comes soon enough behind the pictures of its time; before them it may lie as early as it likes,
    as it takes little room.
    """
    if clip.picture is None or clip.sound is None or not clip.sound.tables.chunk_offsets:
        return True
    reached = [0.0, 0.0]
    for _, number, seconds in sorted([*_chunk_ends(0, clip.picture), *_chunk_ends(1, clip.sound)]):
        reached[number] = seconds
        if reached[0] - reached[1] > MOST_APART_SECONDS and reached[1] < _seconds(clip.sound):
            return False
    return True


def _seconds(part: Picture | Sound) -> float:
    return part.tables.deltas.total / part.track.timescale


def _chunk_ends(number: int, part: Picture | Sound) -> Iterator[tuple[int, int, float]]:
    """Where each chunk lies, whose it is, and the time at its end in seconds."""
    tables = part.tables
    samples = list(accumulate(tables.deltas.counts))
    ticks = list(accumulate(count * delta for count, delta in tables.deltas))
    for offset, last in zip(tables.chunk_offsets, accumulate(tables.chunk_samples), strict=True):
        run = min(bisect_left(samples, last), len(samples) - 1)
        at = ticks[run] - (samples[run] - last) * tables.deltas.values[run] if samples else 0
        yield offset, number, at / part.track.timescale


def _index_first(source: ByteSource, read: Clip) -> tuple[Piece, ...] | None:
    """The file with its `moov` behind its `ftyp`, all chunk offsets moved by as much."""
    boxes = list(top_boxes(Window(source), source.size_bytes))
    at = next(number for number, box in enumerate(boxes) if box.kind == "moov")
    begin, end = boxes[at - 1].end, boxes[at].end
    first = boxes[0].end if boxes[0].kind == "ftyp" else 0
    moov = bytearray(source.read(begin, end - begin))
    try:
        _write_plain_edits(Box("moov", memoryview(moov)[boxes[at].payload - begin :]), read)
        movable = _moved_offsets(Box("moov", memoryview(moov)[boxes[at].payload - begin :]), first, begin, len(moov))
    except BadMp4:
        return None
    if not movable:
        return None
    ranges = (
        CopiedRange(0, 0, first),
        Made(bytes(moov)),
        CopiedRange(0, first, begin - first),
        CopiedRange(0, end, source.size_bytes - end),
    )
    return tuple(piece for piece in ranges if piece.length)


def _moved_offsets(moov: Box, first: int, begin: int, length: int) -> bool:
    """Changes chunk offsets in place; what lies from `first` to `begin` moves by `length`. False: no room."""
    for table in _offset_tables(moov, 0):
        fields = table.fields()
        fields.version()
        typecode = "Q" if table.kind == "co64" else "I"
        offsets = fields.table(fields.unsigned(4), typecode)
        moved = [offset + length if first <= offset < begin else offset for offset in offsets]
        if typecode == "I" and max(moved, default=0) > LARGEST_32:
            return False
        table.payload[8 : 8 + len(moved) * offsets.itemsize] = b"".join(
            offset.to_bytes(offsets.itemsize, "big") for offset in moved
        )
    return True


def _offset_tables(box: Box, depth: int) -> Iterator[Box]:
    if depth == len(_AROUND_OFFSETS):
        yield from (child for child in box.children() if child.kind in ("stco", "co64"))
        return
    for child in box.children():
        if child.kind == _AROUND_OFFSETS[depth]:
            yield from _offset_tables(child, depth + 1)
