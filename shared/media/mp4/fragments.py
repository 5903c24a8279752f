"""Movie fragments (ISO 14496-12, 8.8): the samples they add to a movie, as if they stood in its own tables."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from shared.media.mp4.boxes import Box
from shared.media.mp4.fields import BadMp4, Fields
from shared.media.mp4.movie import Movie, Track
from shared.media.mp4.tables import LARGEST_OFFSET, LARGEST_TICKS, MOST_SAMPLES, Runs, SampleTables, Sizes, run_length

# Of all fragments together: about ten are usual in one.
MOST_BOXES = 128 * 1024
# tfhd
_BASE_DATA_OFFSET, _DESCRIPTION, _DEFAULT_DURATION, _DEFAULT_SIZE, _DEFAULT_FLAGS = 0x1, 0x2, 0x8, 0x10, 0x20
_DURATION_IS_EMPTY, _BASE_IS_MOOF = 0x10000, 0x20000
# trun
_DATA_OFFSET, _FIRST_FLAGS, _DURATION, _SIZE, _FLAGS, _SHIFT = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800
# Flags of a sample: it is none to seek to, or it needs others, which some writers say alone.
_NOT_SYNC = 0x10000 | 0x1000000


@dataclass(frozen=True, slots=True)
class Fragment:
    """A `moof` and where in the file its header begins."""

    start: int
    moof: Box


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What holds for samples that do not say otherwise."""

    description: int
    duration: int
    size: int
    flags: int


@dataclass(frozen=True, slots=True)
class _Run:
    """Samples in a row, in one chunk. `shifts` is None where their composition is their decoding."""

    offset: int
    description: int
    sizes: array[int]
    durations: Runs
    shifts: Runs | None
    sync: array[int]

    @property
    def end(self) -> int:
        """The byte after the last."""
        return self.offset + sum(self.sizes)


def with_fragments(movie: Movie, moov: Box, fragments: Iterable[Fragment]) -> tuple[Movie, str | None]:
    """The movie with the fragments' samples behind its own, and why reading ended early, by name.

    A movie that says it is fragmented and has no sample at all is at fault (`mp4_no_fragments`).
    """
    joined = _Joined(movie, _defaults(moov))
    fault = None
    try:
        for fragment in fragments:
            joined.add(fragment)
    except BadMp4 as error:
        fault = error.code
    whole = replace(movie, tracks=tuple(joined.track(track) for track in movie.tracks))
    if fault is None and not any(track.tables and track.tables.sizes.count for track in whole.tracks):
        fault = "mp4_no_fragments"
    return whole, fault


def _defaults(moov: Box) -> dict[int, _Defaults]:
    """By track (8.8.3)."""
    found: dict[int, _Defaults] = {}
    mvex = moov.child("mvex")
    for box in mvex.children() if mvex else ():
        if box.kind == "trex":
            fields = box.fields()
            fields.version()
            track = fields.unsigned(4)
            found[track] = _Defaults(*(fields.unsigned(4) for _ in range(4)))
    return found


class _Joined:
    """All tracks' samples while fragments are added to them."""

    def __init__(self, movie: Movie, defaults: Mapping[int, _Defaults]) -> None:
        self._defaults = defaults
        self._tables = {track.id: track.tables for track in movie.tracks if track.tables and not track.faults}
        self._samples: dict[int, _Samples] = {}
        self._left, self._boxes_left = MOST_SAMPLES, MOST_BOXES

    def add(self, fragment: Fragment) -> None:
        """Raises BadMp4 for one that makes no sense."""
        data_end = fragment.start
        for traf in self._children(fragment.moof):
            if traf.kind == "traf":
                data_end = self._add_track(self._children(traf), fragment.start, data_end)

    def track(self, track: Track) -> Track:
        """The track with what was added to it."""
        samples = self._samples.get(track.id)
        return replace(track, tables=samples.tables()) if samples else track

    def _children(self, box: Box) -> list[Box]:
        found = list(box.children())
        self._boxes_left -= len(found)
        if self._boxes_left < 0:
            raise BadMp4("mp4_too_many_boxes", f"its fragments have more than {MOST_BOXES} boxes")
        return found

    def _add_track(self, boxes: list[Box], moof: int, data_end: int) -> int:
        """The byte after its data."""
        header = next((box for box in boxes if box.kind == "tfhd"), None)
        if header is None:
            raise BadMp4("mp4_bad_fragment", "a fragment does not say whose it is")
        fields = header.fields()
        flags, number = fields.unsigned(4), fields.unsigned(4)
        if number not in self._defaults:
            raise BadMp4("mp4_bad_fragment", "a fragment belongs to no track")
        at = _base(fields, flags, moof, data_end)
        defaults = _overridden(fields, flags, self._defaults[number])
        samples = self._of_track(number)
        decoded = next((_decode_time(box.fields()) for box in boxes if box.kind == "tfdt"), None)
        if samples is not None:
            samples.move_to(decoded, defaults.duration if flags & _DURATION_IS_EMPTY else 0)
        base = at
        for box in boxes:
            if box.kind != "trun":
                continue
            run = self._run(box.fields(), base, at, defaults)
            at = run.end
            if samples is not None:
                samples.add(run)
        return at

    def _of_track(self, number: int) -> _Samples | None:
        """None for a track whose samples nobody reads."""
        if number not in self._samples and number in self._tables:
            self._take(self._tables[number].sizes.count)
            self._samples[number] = _Samples(self._tables[number])
        return self._samples.get(number)

    def _take(self, samples: int) -> None:
        """Of those that all tracks may have together."""
        self._left -= samples
        if self._left < 0:
            raise BadMp4("mp4_too_many_samples", f"it has more than {MOST_SAMPLES} samples")

    def _run(self, fields: Fields, base: int, after: int, defaults: _Defaults) -> _Run:
        flags, count = fields.unsigned(4), fields.unsigned(4)
        self._take(count)
        offset = base + fields.signed(4) if flags & _DATA_OFFSET else after
        if not 0 <= offset <= LARGEST_OFFSET:
            raise BadMp4("mp4_bad_fragment", "a fragment lies outside any file")
        first_flags = fields.unsigned(4) if flags & _FIRST_FLAGS else None
        kinds = [kind for kind in (_DURATION, _SIZE, _FLAGS, _SHIFT) if flags & kind]
        numbers = fields.table(count * len(kinds), "I")
        columns = {kind: numbers[place :: len(kinds)] for place, kind in enumerate(kinds)}
        durations, shifts = columns.get(_DURATION), columns.get(_SHIFT)
        return _Run(
            offset,
            defaults.description,
            columns.get(_SIZE, array("I", [defaults.size]) * count),
            run_length(durations) if durations else _constant(count, defaults.duration),
            run_length(array("i", shifts.tobytes())) if shifts else None,
            _sync(columns.get(_FLAGS), count, defaults.flags, first_flags),
        )


class _Samples:
    """One track's samples in the order they are decoded; those of the `moov` come first."""

    def __init__(self, tables: SampleTables) -> None:
        count = tables.sizes.count
        self._first = 0
        self._clock = tables.deltas.total
        self._deltas = Runs(tables.deltas.counts[:], tables.deltas.values[:])
        self._shifts = [tables.shifts or _constant(count, 0)]
        self._sync = array("I", range(1, count + 1)) if tables.sync is None else tables.sync[:]
        self._sizes = tables.sizes.expanded()[:]
        self._offsets, self._ends = tables.chunk_offsets[:], tables.chunk_ends[:]
        self._chunk_samples = tables.chunk_samples[:]
        self._descriptions = set(tables.descriptions_used) if count else set()

    def move_to(self, decoded: int | None, empty: int) -> None:
        """The next sample is decoded then, or `empty` ticks late; the one before it lasts until then.

        Raises BadMp4 where that was no later than the last one.
        """
        late = (self._clock if decoded is None else decoded) + empty - self._clock
        self._clock += late
        if not late:
            return
        if not self._sizes:
            self._first = self._clock
            return
        last = _taken_last(self._deltas) + late
        if not 0 < last <= LARGEST_TICKS:
            raise BadMp4("mp4_fragment_times", "its fragments go back in time or are far apart")
        self._deltas.counts.append(1)
        self._deltas.values.append(last)

    def add(self, run: _Run) -> None:
        """Behind the others."""
        count = len(run.sizes)
        if not count:
            return
        self._sync.extend(map(len(self._sizes).__add__, run.sync))
        self._sizes.extend(run.sizes)
        self._deltas.counts.extend(run.durations.counts)
        self._deltas.values.extend(run.durations.values)
        self._clock += run.durations.total
        self._shifts.append(run.shifts or _constant(count, 0))
        self._offsets.append(run.offset)
        self._ends.append(run.end)
        self._chunk_samples.append(count)
        self._descriptions.add(run.description)

    def tables(self) -> SampleTables:
        """As if all of them stood in the `moov`."""
        count = len(self._sizes)
        shifts = Runs(array("I"), array("i"))
        for runs in self._shifts:
            shifts.counts.extend(runs.counts)
            shifts.values.extend(array("i", runs.values))
        return SampleTables(
            deltas=self._deltas,
            shifts=shifts if any(shifts.values) else None,
            sync=self._sync if len(self._sync) < count else None,
            sizes=Sizes(count, 0, self._sizes),
            chunk_offsets=self._offsets,
            chunk_ends=self._ends,
            chunk_samples=self._chunk_samples,
            descriptions_used=frozenset(self._descriptions),
            first_decoded=self._first,
        )


def _base(fields: Fields, flags: int, moof: int, data_end: int) -> int:
    """What a track's data offsets count from (8.8.7): by the old rule where the data of the track before it end."""
    if flags & _BASE_DATA_OFFSET:
        return fields.unsigned(8)
    return moof if flags & _BASE_IS_MOOF else data_end


def _overridden(fields: Fields, flags: int, of_track: _Defaults) -> _Defaults:
    bits = (_DESCRIPTION, _DEFAULT_DURATION, _DEFAULT_SIZE, _DEFAULT_FLAGS)
    usual = (of_track.description, of_track.duration, of_track.size, of_track.flags)
    return _Defaults(*(fields.unsigned(4) if flags & bit else value for bit, value in zip(bits, usual, strict=True)))


def _decode_time(fields: Fields) -> int:
    return fields.unsigned(8 if fields.version() == 1 else 4)


def _constant(count: int, value: int) -> Runs:
    return Runs(array("I", [count]), array("I", [value])) if count else Runs(array("I"), array("I"))


def _taken_last(deltas: Runs) -> int:
    """How long the last sample lasts, which is taken away."""
    while not deltas.counts[-1]:
        deltas.counts.pop()
        deltas.values.pop()
    value = deltas.values[-1]
    deltas.counts[-1] -= 1
    return value


def _sync(flags: array[int] | None, count: int, usual: int, first: int | None) -> array[int]:
    """Numbers of the samples to seek to, from 1."""
    if not count:
        return array("I")
    rest = _keys(flags[1:], 2) if flags is not None else range(2, count + 1 if not usual & _NOT_SYNC else 2)
    of_first = first if first is not None else flags[0] if flags is not None else usual
    return array("I", [*(() if of_first & _NOT_SYNC else (1,)), *rest])


def _keys(flags: Iterable[int], number: int) -> Iterator[int]:
    return (place for place, one in enumerate(flags, start=number) if not one & _NOT_SYNC)
