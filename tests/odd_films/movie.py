"""A movie as the judge models it: tracks of samples that can be changed at will, read from a file's boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import accumulate

from tests.odd_films.boxes import at_path, boxes, children, expanded, number, signed

VIDEO, AUDIO = b"vide", b"soun"
UPRIGHT = (1, 0, 0, 1)
ENABLED = 1
EMPTY = -1
Edit = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """`duration` and `shift` (composition minus decoding time) in ticks; `number` is the frame's, None of no frame."""

    data: bytes
    duration: int
    shift: int = 0
    sync: bool = True
    number: int | None = None


@dataclass
class Track:
    """`source` is the clip number its frames bear, or the number of its noise; the noise begins at tick `zero`.

    `edits` are (length in the movie's units, first tick or EMPTY); None is no list at all. `marks` are the sample
    numbers of stss, where they are not what the samples say; an empty tuple is no stss. `block` is how many samples of
    a constant size each Sample holds (PCM). `turn` are a, b, c, d of the matrix, `shift` its x and y, in pixels;
    `shown` width and height of tkhd, in pixels.
    """

    handler: bytes
    timescale: int
    entry: bytes
    samples: list[Sample]
    header: bytes
    source: int = -1
    zero: int = 0
    edits: list[Edit] | None = None
    flags: int = 3
    turn: tuple[int, int, int, int] = UPRIGHT
    shift: tuple[Fraction, Fraction] | None = None
    shown: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))
    marks: tuple[int, ...] | None = None
    compact_sizes: bool = False
    signed_shifts: bool = False
    wide_edits: bool = False
    block: int = 0

    @property
    def ticks(self) -> int:
        """How long all samples last."""
        return sum(sample.duration for sample in self.samples)

    @property
    def enabled(self) -> bool:
        """Whether its header says so (ISO 14496-12, 8.3.2)."""
        return bool(self.flags & ENABLED)

    def composed(self) -> list[int]:
        """Composition time of each sample in decoding order."""
        decoded = accumulate((sample.duration for sample in self.samples), initial=0)
        return [at + sample.shift for at, sample in zip(decoded, self.samples, strict=False)]


@dataclass
class Movie:
    """`timescale` is that of edit lists."""

    timescale: int
    tracks: list[Track] = field(default_factory=list)


def read_movie(data: bytes) -> Movie:
    """Of a file with one index and no fragments."""
    moov = next(data[start:end] for kind, start, end in boxes(data) if kind == b"moov")
    parts = children(moov)
    header = parts[b"mvhd"][0]
    return Movie(number(header, 20 if header[0] else 12), [_track(data, trak) for trak in parts[b"trak"]])


def handlers(data: bytes) -> list[bytes]:
    """What each track of a file is for; none of a file that has no index."""
    moov = next((data[start:end] for kind, start, end in boxes(data) if kind == b"moov"), b"")
    return [(at_path(trak, b"mdia", b"hdlr") or b"")[8:12] for trak in children(moov).get(b"trak", [])]


def _track(data: bytes, trak: bytes) -> Track:
    media, tkhd = at_path(trak, b"mdia"), at_path(trak, b"tkhd")
    assert media is not None
    assert tkhd is not None
    mdhd, hdlr, minf = (at_path(media, kind) or b"" for kind in (b"mdhd", b"hdlr", b"minf"))
    table = children(at_path(minf, b"stbl") or b"")
    header = next(kind_and_payload(minf, kind) for kind in (b"vmhd", b"smhd", b"nmhd", b"gmhd") if at_path(minf, kind))
    samples = _samples(data, table)
    track = Track(
        handler=hdlr[8:12],
        timescale=number(mdhd, 20 if mdhd[0] else 12),
        entry=table[b"stsd"][0][8:],
        samples=samples,
        header=header,
        edits=_edits(at_path(trak, b"edts", b"elst")),
        flags=number(tkhd, 0) & 0xFFFFFF,
        turn=tuple(signed(tkhd, len(tkhd) - 44 + at) >> 16 for at in (0, 4, 12, 16)),  # type: ignore[arg-type]
        shown=(Fraction(number(tkhd, len(tkhd) - 8), 65536), Fraction(number(tkhd, len(tkhd) - 4), 65536)),
    )
    return _numbered(track) if track.handler == VIDEO else track


def kind_and_payload(data: bytes, kind: bytes) -> bytes:
    """A child box as it stands, header and all."""
    return next(data[start - 8 : end] for found, start, end in boxes(data) if found == kind)


def _numbered(track: Track) -> Track:
    """Frames are numbered in the order they are shown in."""
    order = sorted(range(len(track.samples)), key=track.composed().__getitem__)
    for place, index in enumerate(order):
        track.samples[index] = replace(track.samples[index], number=place)
    return track


def _samples(data: bytes, table: dict[bytes, list[bytes]]) -> list[Sample]:
    sizes = _sizes(table[b"stsz"][0])
    durations = expanded(table[b"stts"][0])
    shifts = expanded(table[b"ctts"][0], negative=True) if b"ctts" in table else [0] * len(sizes)
    marked = _marks(table[b"stss"][0]) if b"stss" in table else range(1, len(sizes) + 1)
    places = _places(table, sizes)
    return [
        Sample(data[at : at + size], duration, shift, index in marked)
        for index, (at, size, duration, shift) in enumerate(zip(places, sizes, durations, shifts, strict=True), 1)
    ]


def _sizes(table: bytes) -> list[int]:
    constant, count = number(table, 4), number(table, 8)
    return [constant] * count if constant else [number(table, 12 + 4 * index) for index in range(count)]


def _marks(table: bytes) -> set[int]:
    return {number(table, 8 + 4 * index) for index in range(number(table, 4))}


def _places(table: dict[bytes, list[bytes]], sizes: Sequence[int]) -> list[int]:
    """Where each sample lies in the file."""
    wide = 8 if b"co64" in table else 4
    offsets = table[b"co64" if wide == 8 else b"stco"][0]
    chunks = [number(offsets, 8 + wide * index, wide) for index in range(number(offsets, 4))]
    found: list[int] = []
    for chunk, count in zip(chunks, _per_chunk(table[b"stsc"][0], len(chunks)), strict=True):
        first = len(found)
        found += list(accumulate(sizes[first : first + count - 1], initial=chunk))
    return found


def _per_chunk(table: bytes, chunks: int) -> list[int]:
    """How many samples each chunk holds."""
    rows = [(number(table, at), number(table, at + 4)) for at in range(8, 8 + 12 * number(table, 4), 12)]
    ends = [first for first, _ in rows[1:]] + [chunks + 1]
    return [count for (first, count), end in zip(rows, ends, strict=True) for _ in range(first, end)]


def _edits(table: bytes | None) -> list[Edit] | None:
    if table is None:
        return None
    wide = 8 if table[0] else 4
    rows = range(8, 8 + (2 * wide + 4) * number(table, 4), 2 * wide + 4)
    return [(number(table, at, wide), signed(table, at + wide, wide)) for at in rows]
