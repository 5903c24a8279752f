"""Which packets of sound are heard with each clip: its own, as near its pictures as half a packet, or of one whole."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, chain, pairwise
from math import ceil

from shared.media.clip import Sound
from shared.media.mp4.tables import SampleTables

FRAME = 1024


@dataclass(frozen=True, slots=True)
class ClipSound:
    """A clip's packets; the film hears sample `priming` of them `late_seconds` after the clip's first picture."""

    packets: int
    priming: int
    late_seconds: Fraction


@dataclass(frozen=True, slots=True)
class Stretch:
    """Packets in a row that are heard with a clip: those of `source` from its packet `first` on, or silent ones.

    Sources are the clips and, numbered behind them, the whole sound; None is silence, whose `first` is the film's.
    """

    clip: int
    source: int | None
    first: int
    packets: int

    @property
    def is_silent(self) -> bool:
        """Whether they fill a clip up."""
        return self.source is None

    @property
    def is_own(self) -> bool:
        """Whether they are the clip's, and so lie among its pictures."""
        return self.source == self.clip


@dataclass(frozen=True, slots=True)
class SoundPlan:
    """All packets in order; the film begins at sample `edit_start` of them and hears them for `seconds`.

    `offsets_seconds`: by clip, how much later than its pictures its sound is; None for one without sound.
    """

    stretches: tuple[Stretch, ...]
    edit_start: int
    seconds: Fraction
    offsets_seconds: tuple[float | None, ...]


def plan_sound(sounds: Sequence[ClipSound | None], starts: Sequence[Fraction], sample_rate: int) -> SoundPlan:
    """`starts`: when each clip begins, and last when the film ends, in seconds. Targets are counted from zero each
    time, so that what rounding leaves at one join is never carried to the next."""
    grid = _Grid()
    edit_start, skipped = _beginning(sounds[0], sample_rate)
    offsets: list[float | None] = []
    for clip, sound in enumerate(sounds):
        begin = edit_start + starts[clip] * sample_rate
        # What the clip before still has to say is not heard in this one, also where this one's sound begins late.
        grid.cut(round(begin / FRAME))
        target = begin
        first = 0
        if sound is not None:
            target = begin + sound.late_seconds * sample_rate - sound.priming
            # A packet is decoded with the one before it: one stays in front of the first that is heard.
            first = min(max(0, (begin - FRAME - target) // FRAME if clip else skipped), sound.packets)
            target += first * FRAME
        grid.move_to(round(target / FRAME), max(clip - 1, 0))
        heard = sound is not None and sound.packets > first
        offsets.append(float((grid.packets * FRAME - target) / sample_rate) if heard else None)
        if sound is not None:
            grid.add(Stretch(clip, clip, first, sound.packets - first))
    grid.move_to(ceil((edit_start + starts[-1] * sample_rate) / FRAME), len(sounds) - 1)
    return SoundPlan(tuple(grid.stretches), edit_start, starts[-1], tuple(offsets))


def plan_whole(sound: Sound, source: int, starts: Sequence[Fraction]) -> SoundPlan:
    """One sound for all clips, `source` by number: a packet is heard with the clip it begins in. `starts`: as above.

    The sound begins with the first picture, so that its offset is one and the same at every join. A stretch also ends
    where its bytes do: what lies between chunks of the sound's file is not the sound's.
    """
    times = sound.times
    assert times is not None
    begins = (times.priming + start * times.timescale for start in starts[1:-1])
    firsts = [0, *(min(ceil(begin / FRAME), times.packets) for begin in begins)]
    cuts = sorted({*firsts, *_breaks(sound.tables), times.packets})
    stretches = (Stretch(bisect_right(firsts, first) - 1, source, first, end - first) for first, end in pairwise(cuts))
    heard = Fraction(times.heard_end - times.priming, times.timescale)
    offset = -float(times.start_seconds)
    return SoundPlan(tuple(stretches), times.priming, min(heard, starts[-1]), (offset,) * (len(starts) - 1))


def _breaks(tables: SampleTables) -> Iterator[int]:
    """Numbers of the packets that do not lie right behind the one before."""
    firsts = accumulate(tables.chunk_samples, initial=0)
    ends = chain([-1], tables.chunk_ends)
    return (first for first, begin, end in zip(firsts, tables.chunk_offsets, ends, strict=False) if begin != end)


def _beginning(sound: ClipSound | None, sample_rate: int) -> tuple[int, int]:
    """The film's first sample, and how many packets before it are left out."""
    if sound is None:
        return FRAME, 0
    heard = round(sound.priming - sound.late_seconds * sample_rate)
    if heard < 0:
        return heard % FRAME, 0
    skipped = max(0, heard // FRAME - 1)
    return heard - skipped * FRAME, skipped


class _Grid:
    """Stretches one after another, `packets` in all."""

    def __init__(self) -> None:
        self.stretches: list[Stretch] = []
        self.packets = 0

    def add(self, stretch: Stretch) -> None:
        """One more, unless it is empty."""
        if stretch.packets > 0:
            self.stretches.append(stretch)
            self.packets += stretch.packets

    def cut(self, packet: int) -> None:
        """Leaves out packets from the end until the next one is number `packet` at most."""
        while self.packets > max(packet, 0):
            last = self.stretches.pop()
            self.packets -= last.packets
            self.add(Stretch(last.clip, last.source, last.first, min(last.packets, max(packet, 0) - self.packets)))

    def move_to(self, packet: int, clip: int) -> None:
        """Leaves out packets from the end, or fills up with silence, until the next one is number `packet`."""
        self.add(Stretch(clip, None, self.packets, packet - self.packets))
        self.cut(packet)
