"""Where each clip's packets lie on the film's grid of 1024 samples: as near its pictures as half a packet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

FRAME = 1024


@dataclass(frozen=True, slots=True)
class ClipSound:
    """A clip's packets; the film hears sample `priming` of them `late_seconds` after the clip's first picture."""

    packets: int
    priming: int
    late_seconds: Fraction


@dataclass(frozen=True, slots=True)
class Stretch:
    """Packets in a row: of a clip from its packet `first` on, or silent ones that fill it up (`first` of the film)."""

    clip: int
    is_silent: bool
    first: int
    packets: int


@dataclass(frozen=True, slots=True)
class SoundPlan:
    """All packets in order; the film begins at sample `edit_start` of them.

    `offsets_seconds`: by clip, how much later than its pictures its sound is; None for one without sound.
    """

    stretches: tuple[Stretch, ...]
    edit_start: int
    offsets_seconds: tuple[float | None, ...]


def plan_sound(sounds: Sequence[ClipSound | None], starts: Sequence[Fraction], sample_rate: int) -> SoundPlan:
    """`starts`: when each clip begins, and last when the film ends, in seconds. Targets are counted from zero each
    time, so that what rounding leaves at one join is never carried to the next."""
    grid = _Grid()
    edit_start, skipped = _beginning(sounds[0], sample_rate)
    offsets: list[float | None] = []
    for clip, sound in enumerate(sounds):
        begin = edit_start + starts[clip] * sample_rate
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
            grid.add(Stretch(clip, False, first, sound.packets - first))
    grid.move_to(ceil((edit_start + starts[-1] * sample_rate) / FRAME), len(sounds) - 1)
    return SoundPlan(tuple(grid.stretches), edit_start, tuple(offsets))


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

    def move_to(self, packet: int, clip: int) -> None:
        """Leaves out packets from the end, or fills up with silence, until the next one is number `packet`."""
        self.add(Stretch(clip, True, self.packets, packet - self.packets))
        while self.packets > max(packet, 0):
            last = self.stretches.pop()
            self.packets -= last.packets
            self.add(Stretch(last.clip, last.is_silent, last.first, min(last.packets, max(packet, 0) - self.packets)))
