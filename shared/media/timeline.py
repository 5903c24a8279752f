"""When a clip's pictures and packets are shown, from its tables and edit list, never from a header's duration."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from itertools import accumulate, chain, islice, repeat
from math import ceil, gcd
from operator import add

from shared.media.mp4.movie import Track
from shared.media.mp4.tables import LARGEST_TICKS, MOST_SAMPLES, Runs, SampleTables, expanded, run_length
from shared.media.presentation import ROUNDING_SECONDS, Span, presented_span

AAC_FRAME_SAMPLES = 1024
RATE_JITTER = 0.02


@dataclass(frozen=True, slots=True)
class PictureTimes:
    """Of all frames: ticks of `timescale` decoded, first and last tick shown, second the first is shown at.

    `coarsest_timescale` is the least one in which all of them are whole numbers.
    `hidden_first` and `hidden_last` frames lie before and behind what the edit list presents, `cut_ticks` of the last
    one are not shown; what is left lasts `presented_seconds`. `odd_edits` says the list presents several parts or
    another speed, and then nothing is known of when frames are shown.
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
    hidden_first: int = 0
    hidden_last: int = 0
    cut_ticks: int = 0
    presented_seconds: Fraction = Fraction(0)

    @property
    def shown(self) -> int:
        """How many frames are presented."""
        return self.pictures - self.hidden_first - self.hidden_last

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
    moments = array("q", shown_at(tables))
    first, last = min(moments), max(moments)
    ticks = _shown_until(tables, moments) - first
    span = presented_span(track, movie_timescale)
    at = Fraction(first + tables.first_decoded, track.timescale)
    hidden_first = hidden_last = cut = 0
    first_presented, until = first, Fraction(first + ticks)
    if span is not None and span.begin is not None:
        at += span.delay_seconds - Fraction(span.begin, track.timescale)
        begin, end = span.begin - tables.first_decoded, span.end
        earliest = ceil(begin - ROUNDING_SECONDS * track.timescale)
        hidden_first = sum(moment < earliest for moment in moments) if first < earliest else 0
        first_presented = min((moment for moment in moments if moment >= earliest), default=first)
        if end is not None:
            end -= tables.first_decoded
            behind, until = ceil(end), min(end, until)
            hidden_last = sum(moment >= behind for moment in moments) if last >= behind else 0
            cut = _cut(first + ticks - end, track.timescale, movie_timescale)
    return PictureTimes(
        timescale=track.timescale,
        coarsest_timescale=coarsest_timescale(track.timescale, tables),
        pictures=len(moments),
        ticks=ticks,
        first_shown=first,
        last_shown=last,
        start_seconds=at,
        constant_rate=_is_constant(tables.deltas),
        odd_edits=span is None,
        hidden_first=hidden_first,
        hidden_last=hidden_last,
        cut_ticks=0 if hidden_last else cut,
        presented_seconds=max(until - first_presented, Fraction(0)) / track.timescale,
    )


def _shown_until(tables: SampleTables, moments: array[int]) -> int:
    """When the last frame ends. Uneven frames, decoded in another order, may be shown longer than they are decoded."""
    if tables.shifts is None or len(set(tables.deltas.values)) < 2:
        return min(moments) + tables.deltas.total
    last, length = max(zip(moments, expanded(tables.deltas), strict=True))
    return last + length


def _cut(beyond: Fraction, timescale: int, movie_timescale: int) -> int:
    """Ticks of the last frame that lie behind the edit's end; none where that is its rounding."""
    rounding = max(Fraction(timescale, movie_timescale), ROUNDING_SECONDS * timescale, Fraction(1))
    return int(beyond) if beyond > rounding else 0


def held_longer(tables: SampleTables, ticks: int) -> SampleTables:
    """The tables with the first frame shown so much longer, all others as much later."""
    return _with_delta(tables, 0, ticks)


def lasting(tables: SampleTables, ticks: int) -> SampleTables | None:
    """The tables with a last sample so long that all of them last `ticks`; None where it would have no time."""
    change = ticks - tables.deltas.total
    last = next((value for count, value in reversed(list(tables.deltas)) if count), 0)
    if not 0 < last + change <= LARGEST_TICKS:
        return None
    return _with_delta(tables, -1, change) if change else tables


def _with_delta(tables: SampleTables, place: int, ticks: int) -> SampleTables:
    deltas = array("I", expanded(tables.deltas))
    deltas[place] = min(deltas[place] + ticks, LARGEST_TICKS)
    return replace(tables, deltas=run_length(deltas))


def coarsest_timescale(timescale: int, tables: SampleTables) -> int:
    """The least timescale in which all times of the tables are whole numbers."""
    shifts = tables.shifts.values if tables.shifts else ()
    return timescale // reduce(gcd, chain(tables.deltas.values, shifts), timescale)


def sound_times(track: Track, tables: SampleTables, movie_timescale: int) -> SoundTimes:
    """Of a track for which `has_times` holds."""
    span = presented_span(track, movie_timescale)
    lead, deltas = _lead(tables.deltas)
    first, total = tables.first_decoded + lead, deltas.total
    begin = span.begin - first if span is not None and span.begin is not None else -first
    return SoundTimes(
        track.timescale,
        tables.sizes.count,
        total,
        max(0, begin),
        _heard_end(span, first, total),
        (span.delay_seconds if span else 0) + Fraction(max(0, -begin), track.timescale),
        _on_grid(deltas),
        odd_edits=span is None,
        lead_seconds=Fraction(lead, track.timescale),
    )


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


def _heard_end(span: Span | None, first: int, total: int) -> int:
    if span is None or span.end is None:
        return total
    return max(0, min(total, ceil(span.end - first)))


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
