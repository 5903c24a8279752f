"""When a clip's pictures and packets are shown, from its tables and edit list, never from a header's duration."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from itertools import accumulate, chain, islice, repeat
from math import ceil, gcd
from operator import add

from shared.media.mp4.movie import Edit, Track
from shared.media.mp4.tables import MOST_SAMPLES, Runs, SampleTables

AAC_FRAME_SAMPLES = 1024
RATE_JITTER = 0.02
_NORMAL_RATE = 0x10000


@dataclass(frozen=True, slots=True)
class PictureTimes:
    """Of all pictures: ticks of `timescale` decoded, first and last tick shown, second the first is shown at.

    `coarsest_timescale` is the least one in which all of them are whole numbers.
    `trimmed` names the edit's end that hides pictures, `start` or `end`; `odd_edits` says the list is of another
    kind than one that shows everything, and then nothing is known of when pictures are shown.
    """

    timescale: int
    coarsest_timescale: int
    pictures: int
    ticks: int
    first_shown: int
    last_shown: int
    start_seconds: Fraction
    constant_rate: bool
    odd_edits: bool = False
    trimmed: str | None = None

    @property
    def seconds(self) -> Fraction:
        """From the first picture to the end of the last."""
        return Fraction(self.ticks, self.timescale)

    @property
    def end_seconds(self) -> Fraction:
        """When the last picture ends, as the clip counts its time."""
        return self.start_seconds + self.seconds

    @property
    def fps(self) -> Fraction:
        """Pictures by their time; 0 where they have none."""
        return self.pictures / self.seconds if self.ticks else Fraction(0)


@dataclass(frozen=True, slots=True)
class SoundTimes:
    """Of all packets. `priming` is the sample first heard, at `start_seconds`; `on_grid`: each is 1024 samples.

    `heard_end` is the sample after the last one heard, at most `samples`. The first packet is told as if it stood right
    before the others; where it does not, it is heard `lead_seconds` earlier.
    """

    timescale: int
    packets: int
    samples: int
    priming: int
    heard_end: int
    start_seconds: Fraction
    on_grid: bool
    odd_edits: bool = False
    lead_seconds: Fraction = Fraction(0)

    @property
    def end_seconds(self) -> Fraction:
        """When the last sample is heard, as the clip counts its time."""
        return self.start_seconds + Fraction(max(0, self.heard_end - self.priming), self.timescale)


def has_times(tables: SampleTables) -> bool:
    """Whether every sample has one, and there are not too many to look at one by one."""
    count = tables.sizes.count
    shifts = count if tables.shifts is None else tables.shifts.samples
    return 0 < count <= MOST_SAMPLES and tables.deltas.samples == count == shifts


def picture_times(track: Track, tables: SampleTables, movie_timescale: int) -> PictureTimes:
    """Of a track for which `has_times` holds."""
    shown = array("q", shown_at(tables))
    first, last, ticks = min(shown), max(shown), tables.deltas.total
    frame = Fraction(ticks, len(shown))
    edit = _one_edit(track.edits)
    at, trimmed = Fraction(first + tables.first_decoded, track.timescale), None
    if edit is not None:
        at += Fraction(_delay(track), movie_timescale) - Fraction(edit.media_time, track.timescale)
        edit_ticks = Fraction(edit.duration * track.timescale, movie_timescale)
        trimmed = _trimmed(edit, edit_ticks, first + tables.first_decoded, ticks, frame)
    return PictureTimes(
        timescale=track.timescale,
        coarsest_timescale=_coarsest(track.timescale, tables),
        pictures=len(shown),
        ticks=ticks,
        first_shown=first,
        last_shown=last,
        start_seconds=at,
        constant_rate=_is_constant(tables.deltas),
        odd_edits=edit is None and bool(track.edits),
        trimmed=trimmed,
    )


def _coarsest(timescale: int, tables: SampleTables) -> int:
    shifts = tables.shifts.values if tables.shifts else ()
    return timescale // reduce(gcd, chain(tables.deltas.values, shifts), timescale)


def sound_times(track: Track, tables: SampleTables, movie_timescale: int) -> SoundTimes:
    """Of a track for which `has_times` holds."""
    edit = _one_edit(track.edits)
    lead, deltas = _lead(tables.deltas)
    first, total = tables.first_decoded + lead, deltas.total
    begin = edit.media_time - first if edit else -first
    delay = Fraction(_delay(track), movie_timescale) if edit else 0
    return SoundTimes(
        track.timescale,
        tables.sizes.count,
        total,
        max(0, begin),
        _heard_end(edit, Fraction(track.timescale, movie_timescale), total, begin),
        delay + Fraction(max(0, -begin), track.timescale),
        _on_grid(deltas),
        odd_edits=edit is None and bool(track.edits),
        lead_seconds=Fraction(lead, track.timescale),
    )


def _delay(track: Track) -> int:
    """How long an edit list shows nothing at first, in the movie's units."""
    return sum(one.duration for one in track.edits if one.is_empty)


def _lead(deltas: Runs) -> tuple[int, Runs]:
    """How long nothing is heard between the first packet and the others, and how long packets last without it."""
    rows = [(count, value) for count, value in deltas if count]
    if len(rows) < 2 or rows[0][0] != 1 or rows[0][1] <= AAC_FRAME_SAMPLES:
        return 0, deltas
    values = array("I", [AAC_FRAME_SAMPLES, *(value for _, value in rows[1:])])
    return rows[0][1] - AAC_FRAME_SAMPLES, Runs(array("I", [count for count, _ in rows]), values)


def shown_at(tables: SampleTables) -> Iterator[int]:
    """Composition time of each sample in decoding order, in ticks."""
    decoded = accumulate(chain([0], expanded(tables.deltas)))
    shifts = expanded(tables.shifts) if tables.shifts else repeat(0)
    return islice(map(add, decoded, shifts), tables.sizes.count)


def expanded(runs: Runs) -> Iterator[int]:
    """Each sample's value."""
    return chain.from_iterable(repeat(value, count) for count, value in runs)


def _one_edit(edits: tuple[Edit, ...]) -> Edit | None:
    """The only entry that shows something at normal speed, alone or behind one empty entry."""
    shown = [edit for edit in edits if not edit.is_empty]
    empty_first = len(edits) == 1 or (len(edits) == 2 and edits[0].is_empty)
    if len(shown) != 1 or not empty_first or shown[0].rate != _NORMAL_RATE or shown[0].media_time < 0:
        return None
    return shown[0]


def _heard_end(edit: Edit | None, ticks_a_unit: Fraction, total: int, begin: int) -> int:
    if edit is None or not edit.duration:
        return total
    return max(0, min(total, begin + ceil(edit.duration * ticks_a_unit)))


def _trimmed(edit: Edit, edit_ticks: Fraction, first: int, ticks: int, frame: Fraction) -> str | None:
    """A length of zero means up to the end (ISO 14496-12, 8.6.6.3)."""
    if edit.media_time - first >= frame:
        return "start"
    if edit.duration and edit.media_time + edit_ticks < first + ticks - frame:
        return "end"
    return None


def _is_constant(deltas: Runs) -> bool:
    """All alike but for rounding to ticks, and for the last one, whose length many writers guess."""
    rows = [(count, value) for count, value in deltas if count]
    if rows and rows[-1][0] == 1:
        rows.pop()
    values = [value for _, value in rows] or [0]
    return max(values) - min(values) <= max(1, max(values) * RATE_JITTER)


def _on_grid(deltas: Runs) -> bool:
    """All packets but the last last 1024 samples; a shorter last one only says where its sound ends."""
    rows = [(count, value) for count, value in deltas if count]
    if not rows:
        return False
    last_count, last = rows[-1]
    regular = all(value == AAC_FRAME_SAMPLES for _, value in rows[:-1])
    return regular and (last == AAC_FRAME_SAMPLES or last_count == 1)
