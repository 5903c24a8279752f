"""Fragments written by hand from a clip in one piece, in each way the book allows to tell the same (14496-12, 8.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate, pairwise

from shared.media.clip import Clip, Picture, Sound, read_clip
from shared.media.mp4.tables import expanded
from shared.media.mp4.writing import box, full_box
from tests.unit.media.cases import X264_MEDIUM
from tests.unit.media.films import FileSource, clip

PICTURES, SOUND = 1, 2
KEY, NO_KEY = 0x2000000, 0x1010000
CODING = f"{X264_MEDIUM} -g 6 -keyint_min 6"


@dataclass(frozen=True)
class Sample:
    """One sample as a run tells of it."""

    data: bytes
    duration: int
    shift: int
    flags: int


@dataclass(frozen=True)
class Telling:
    """How a file says where and when its samples are.

    `base`: what offsets count from: `moof`, `file` (a base data offset) or `old` (the end of the data before). `alone`:
    one sample a track fragment, told of by its header alone. `runs`: track runs a fragment, of which only the first
    has an offset unless `offsets`. `times`: whether fragments say when they are decoded. `of_movie`: the movie says how
    long samples last. `*_by`: what is added to every offset and base to make them wrong.
    """

    base: str = "moof"
    alone: bool = False
    runs: int = 1
    offsets: bool = True
    times: bool = True
    wide: bool = True
    version: int = 1
    first_flags: bool = False
    of_movie: bool = False
    description: int = 1
    offset_by: int = 0
    base_by: int = 0


@dataclass
class Track:
    """A track's samples that are not yet written, and when the next one is decoded."""

    number: int
    samples: list[Sample]
    decoded: int = 0
    fragments: list[list[Sample]] = field(default_factory=list)

    def split(self, fragments: int) -> None:
        """So many fragments, as even as can be."""
        borders = [len(self.samples) * place // fragments for place in range(fragments + 1)]
        self.fragments = [self.samples[a:b] for a, b in pairwise(borders)]


def word(value: int, length: int = 4) -> bytes:
    return (value % (1 << 8 * length)).to_bytes(length, "big")


@cache
def start_of_file() -> bytes:
    """All that stands before the first fragment: a movie without samples, its tracks behind edit lists."""
    data = clip(options=f"{CODING} -movflags frag_keyframe+delay_moov").read_bytes()
    return data[: data.index(b"moof") - 4]


def in_one_piece() -> Clip:
    return read_clip(FileSource(clip(options=CODING)))


def tracks() -> list[Track]:
    """Of the clip in one piece, split in two fragments."""
    one, data = in_one_piece(), clip(options=CODING).read_bytes()
    assert one.picture is not None
    assert one.sound is not None
    found = [Track(PICTURES, samples_of(one.picture, data)), Track(SOUND, samples_of(one.sound, data))]
    for track in found:
        track.split(2)
    return found


def samples_of(part: Picture | Sound, data: bytes) -> list[Sample]:
    tables = part.tables
    count, sizes = tables.sizes.count, tables.sizes.expanded()
    shifts = list(expanded(tables.shifts)) if tables.shifts else [0] * count
    keys = set(range(1, count + 1) if tables.sync is None else tables.sync)
    places: list[int] = []
    for offset, samples in zip(tables.chunk_offsets, tables.chunk_samples, strict=True):
        own = sizes[len(places) : len(places) + samples]
        places += list(accumulate(own, initial=offset))[:-1]
    # The last packet of a clip in one piece is told to be shorter than it is.
    durations = [1024] * count if isinstance(part, Sound) else list(expanded(tables.deltas))
    return [
        Sample(data[places[n] : places[n] + sizes[n]], durations[n], shifts[n], KEY if n + 1 in keys else NO_KEY)
        for n in range(count)
    ]


def in_fragments(how: Telling, written: Sequence[Track] | None = None) -> bytes:
    """The whole file."""
    pieces = [with_durations(start_of_file()) if how.of_movie else start_of_file()]
    at, chosen = len(pieces[0]), list(written or tracks())
    for number in range(len(chosen[0].fragments)):
        pieces.append(fragment(at, how, [(track, track.fragments[number]) for track in chosen]))
        at += len(pieces[-1])
    return b"".join(pieces)


def with_durations(data: bytes) -> bytes:
    """The movie says how long the samples of its tracks last."""
    for number, duration in ((PICTURES, 512), (SOUND, 1024)):
        at = data.index(b"trex" + word(0) + word(number)) + 16
        data = data[:at] + word(duration) + data[at + 4 :]
    return data


def fragment(at: int, how: Telling, parts: Sequence[tuple[Track, Sequence[Sample]]]) -> bytes:
    """A `moof` that begins at a place in the file, and its `mdat`; the tracks' clocks go on."""
    data = b"".join(sample.data for _, samples in parts for sample in samples)
    begun = [track.decoded for track, _ in parts]
    length = len(_moof(at, 0, how, parts))
    for (track, _), decoded in zip(parts, begun, strict=True):
        track.decoded = decoded
    return _moof(at, length + 8, how, parts) + box("mdat", data)


def _moof(at: int, media: int, how: Telling, parts: Sequence[tuple[Track, Sequence[Sample]]]) -> bytes:
    """`media`: where its media begin, counted from the `moof`."""
    trafs, place = [], media
    for track, samples in parts:
        for group in [[one] for one in samples] if how.alone else [samples]:
            trafs.append(_traf(at, place, media if place == media else None, how, track, group))
            place += sum(len(one.data) for one in group)
            track.decoded += sum(one.duration for one in group)
    return box("moof", full_box("mfhd", 0, 0, word(1)), *trafs)


def _traf(at: int, place: int, first: int | None, how: Telling, track: Track, samples: Sequence[Sample]) -> bytes:
    flags = {"moof": 0x20000, "file": 1, "old": 0}[how.base]
    base = word(at + place + how.base_by, 8) if how.base == "file" else b""
    told = b""
    if how.description != 1:
        flags, told = flags | 2, word(how.description)
    if how.alone:
        flags |= 0x30 if how.of_movie else 0x38
        told += b"" if how.of_movie else word(samples[0].duration)
        told += word(len(samples[0].data)) + word(samples[0].flags)
    elif how.first_flags:
        flags |= 0x20
        told += word(NO_KEY if track.number == PICTURES else KEY)
    wide = 8 if how.wide else 4
    time = full_box("tfdt", int(how.wide), 0, word(track.decoded, wide)) if how.times else b""
    borders = [len(samples) * number // how.runs for number in range(how.runs + 1)]
    truns = []
    for number, (a, b) in enumerate(pairwise(borders)):
        begin = place + sum(len(one.data) for one in samples[:a])
        offset = {"moof": begin, "file": begin - place, "old": first}[how.base]
        is_told = how.offsets or number == 0
        told_offset = offset + how.offset_by if is_told and offset is not None else None
        truns.append(_trun(told_offset, how, samples[a:b]))
    return box("traf", full_box("tfhd", 0, flags, word(track.number), base, told), time, *truns)


def _trun(offset: int | None, how: Telling, samples: Sequence[Sample]) -> bytes:
    flags = 0x800 | (0 if offset is None else 1) | (0 if how.alone else 0x300)
    first = b""
    if how.first_flags:
        flags, first = flags | 4, word(samples[0].flags)
    elif not how.alone:
        flags |= 0x400
    rows = b""
    for one in samples:
        rows += b"" if how.alone else word(one.duration) + word(len(one.data))
        rows += (word(one.flags) if flags & 0x400 else b"") + word(one.shift)
    return full_box(
        "trun", how.version, flags, word(len(samples)), word(offset) if offset is not None else b"", first, rows
    )
