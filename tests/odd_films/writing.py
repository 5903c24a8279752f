"""A movie written as an MP4 or MOV file, laid out in as many ways as the format allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, cycle
from math import ceil

from tests.odd_films.boxes import box, full_box, run_table, runs, word
from tests.odd_films.movie import EMPTY, VIDEO, Movie, Track

ONE = 0x10000
UNIT_MATRIX = b"".join(map(word, (ONE, 0, 0, 0, ONE, 0, 0, 0, 0x40000000)))
Chunk = tuple[int, int, int]


@dataclass
class Layout:
    """How a file lies on the disk.

    `chunks` are samples a chunk, taken in turn; `payloads` how many mdat boxes; `apart`: each track's chunks together,
    not in the order of time; `free` bytes of free boxes between; `stale`: a second, older index at the end; `garbage`
    bytes that are no box behind all. `fragments`: frames a fragment, 0 of none.
    """

    brand: bytes = b"isom"
    index_first: bool = True
    chunks: tuple[int, ...] = (6,)
    payloads: int = 1
    wide_offsets: bool = False
    wide_payload: bool = False
    apart: bool = False
    free: int = 0
    stale: bool = False
    garbage: bytes = b""
    fragments: int = 0


def file_head(brand: bytes) -> bytes:
    """The box that begins a file."""
    return box(b"ftyp", brand, word(512), brand, b"mp42")


def written(movie: Movie, layout: Layout) -> bytes:
    """The file."""
    chunks = _chunks(movie, layout)
    head, free = file_head(layout.brand), box(b"free", bytes(layout.free)) if layout.free else b""
    first = len(head) + len(free)
    if layout.index_first:
        first += len(_index(movie, layout, chunks, {}))
    payloads, offsets = _payloads(movie, layout, chunks, first, free)
    index = _index(movie, layout, chunks, offsets)
    parts = [index, free, *payloads] if layout.index_first else [free, *payloads, index]
    stale = [_index(_older(movie), layout, chunks, offsets)] if layout.stale else []
    return b"".join([head, *parts, *stale, layout.garbage])


def _older(movie: Movie) -> Movie:
    """An index as a recorder might have left it: it shows the first sample alone."""
    return Movie(movie.timescale, [replace(track, edits=[(1, 0)]) for track in movie.tracks])


def _chunks(movie: Movie, layout: Layout) -> list[Chunk]:
    """(track, first sample, sample after the last), as they follow one another in the file."""
    timed = []
    for place, track in enumerate(movie.tracks):
        counts, first = cycle(layout.chunks), 0
        starts = list(accumulate((sample.duration for sample in track.samples), initial=0))
        while first < len(track.samples):
            end = min(first + next(counts), len(track.samples))
            timed.append((Fraction(starts[first], track.timescale), (place, first, end)))
            first = end
    if layout.apart:
        return [chunk for _, chunk in timed]
    return [chunk for _, chunk in sorted(timed, key=lambda one: one[0])]


def _payloads(
    movie: Movie, layout: Layout, chunks: Sequence[Chunk], at: int, free: bytes
) -> tuple[list[bytes], dict[Chunk, int]]:
    """The mdat boxes with what stands between them, the first at this offset, and where each chunk lies."""
    parts: list[bytes] = []
    offsets: dict[Chunk, int] = {}
    share = -(-len(chunks) // layout.payloads)
    for first in range(0, len(chunks), share):
        own = chunks[first : first + share]
        data = [b"".join(sample.data for sample in movie.tracks[t].samples[a:b]) for t, a, b in own]
        size = sum(map(len, data))
        head = word(1) + b"mdat" + word(size + 16, 8) if layout.wide_payload else word(size + 8) + b"mdat"
        starts = accumulate(map(len, data[:-1]), initial=at + len(head))
        offsets |= dict(zip(own, starts, strict=True))
        parts += [head, *data, free]
        at += len(head) + size + len(free)
    return parts, offsets


def _index(movie: Movie, layout: Layout, chunks: Sequence[Chunk], offsets: dict[Chunk, int]) -> bytes:
    tables = []
    for place, track in enumerate(movie.tracks):
        own = [chunk for chunk in chunks if chunk[0] == place]
        wide = 8 if layout.wide_offsets else 4
        listed = b"".join(word(offsets.get(chunk, 0), wide) for chunk in own)
        kind = b"co64" if layout.wide_offsets else b"stco"
        counts = [(end - first) * max(track.block, 1) for _, first, end in own]
        tables.append([*sample_tables(track), _chunk_table(counts), full_box(kind, 0, 0, word(len(own)), listed)])
    return box(b"moov", movie_header(movie), *(trak(movie, n, table) for n, table in enumerate(tables)))


def _chunk_table(counts: Sequence[int]) -> bytes:
    rows, first = [], 1
    for chunks, count in runs(counts):
        rows.append(word(first) + word(count) + word(1))
        first += chunks
    return full_box(b"stsc", 0, 0, word(len(rows)), *rows)


def sample_tables(track: Track) -> list[bytes]:
    """Times, marks and sizes."""
    samples = track.samples
    if track.block:
        count = len(samples) * track.block
        size = len(samples[0].data) // track.block
        return [run_table(b"stts", [1] * count), full_box(b"stsz", 0, 0, word(size), word(count))]
    tables = [run_table(b"stts", [sample.duration for sample in samples])]
    if any(sample.shift for sample in samples):
        tables.append(run_table(b"ctts", [sample.shift for sample in samples], int(track.signed_shifts)))
        tables += [_range_of_shifts(track)] if track.signed_shifts else []
    marks = track.marks
    if marks is None and not all(sample.sync for sample in samples):
        marks = tuple(n for n, sample in enumerate(samples, 1) if sample.sync)
    if marks:
        tables.append(full_box(b"stss", 0, 0, word(len(marks)), *map(word, marks)))
    return [*tables, _size_table(track)]


def _range_of_shifts(track: Track) -> bytes:
    """`cslg` (ISO 14496-12, 8.6.1.4)."""
    shifts, shown = [sample.shift for sample in track.samples], track.composed()
    end = max(at + sample.duration for at, sample in zip(shown, track.samples, strict=True))
    return full_box(b"cslg", 0, 0, *map(word, (-min(shifts), min(shifts), max(shifts), min(shown), end)))


def _size_table(track: Track) -> bytes:
    sizes = [len(sample.data) for sample in track.samples]
    if track.compact_sizes and max(sizes) < ONE:
        return full_box(b"stz2", 0, 0, word(16), word(len(sizes)), *(word(size, 2) for size in sizes))
    if len(set(sizes)) == 1:
        return full_box(b"stsz", 0, 0, word(sizes[0]), word(len(sizes)))
    return full_box(b"stsz", 0, 0, word(0), word(len(sizes)), *map(word, sizes))


def movie_header(movie: Movie, *, timed: bool = True) -> bytes:
    """`mvhd`; without times where fragments hold the samples."""
    seconds = max(Fraction(_length(movie, track), movie.timescale) for track in movie.tracks)
    length = ceil(seconds * movie.timescale) if timed else 0
    return full_box(
        b"mvhd",
        0,
        0,
        bytes(8),
        word(movie.timescale),
        word(length),
        word(ONE),
        word(0x100, 2),
        bytes(10),
        UNIT_MATRIX,
        bytes(24),
        word(len(movie.tracks) + 1),
    )


def _length(movie: Movie, track: Track) -> int:
    """In the movie's units."""
    if track.edits is not None:
        return sum(length for length, _ in track.edits)
    return ceil(Fraction(track.ticks, track.timescale) * movie.timescale)


def trak(movie: Movie, place: int, tables: Sequence[bytes], *, timed: bool = True) -> bytes:
    """A track with these tables."""
    track = movie.tracks[place]
    wide = 8 if track.wide_edits else 4
    edits = []
    if track.edits is not None:
        rows = [word(length, wide) + word(first, wide) + word(ONE) for length, first in track.edits]
        edits = [box(b"edts", full_box(b"elst", int(track.wide_edits), 0, word(len(rows)), *rows))]
    ticks = track.ticks if timed else 0
    mdhd = full_box(b"mdhd", 0, 0, bytes(8), word(track.timescale), word(ticks), word(0x55C4, 2), bytes(2))
    hdlr = full_box(b"hdlr", 0, 0, bytes(4), track.handler, bytes(12), b"odd\0")
    url = full_box(b"dref", 0, 0, word(1), full_box(b"url ", 0, 1))
    table = box(b"stbl", full_box(b"stsd", 0, 0, word(1), track.entry), *tables)
    minf = box(b"minf", track.header, box(b"dinf", url), table)
    return box(b"trak", _track_header(movie, place, timed=timed), *edits, box(b"mdia", mdhd, hdlr, minf))


def _track_header(movie: Movie, place: int, *, timed: bool) -> bytes:
    track = movie.tracks[place]
    length = _length(movie, track) if timed else 0
    volume = 0 if track.handler == VIDEO else 0x100
    return full_box(
        b"tkhd",
        0,
        track.flags,
        bytes(8),
        word(place + 1),
        bytes(4),
        word(length),
        bytes(8),
        bytes(4),
        word(volume, 2),
        bytes(2),
        _matrix(track),
        *(word(round(side * ONE)) for side in track.shown),
    )


def _matrix(track: Track) -> bytes:
    """With the translation that keeps the frame in the first quadrant, unless another is asked for."""
    a, b, c, d = track.turn
    width, height = track.shown
    x = width * (a < 0) + height * (c < 0)
    y = width * (b < 0) + height * (d < 0)
    x, y = track.shift if track.shift is not None else (x, y)
    fields = (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, round(x * ONE), round(y * ONE), 0x40000000)
    return b"".join(map(word, fields))


def empty(length: int) -> tuple[int, int]:
    """An entry of an edit list that shows nothing for so long."""
    return length, EMPTY
