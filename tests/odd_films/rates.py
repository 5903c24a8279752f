"""When the frames of a track are shown: rates, clocks and uneven times, set as an encoder might have set them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise

from tests.odd_films.movie import Track


def even(track: Track, fps: Fraction) -> list[Fraction]:
    """So long each frame, in seconds, at a constant rate."""
    return [1 / fps] * len(track.samples)


def retimed(track: Track, seconds: Sequence[Fraction], timescale: int, *, signed: bool = False) -> None:
    """Gives the frames, as they are shown, these lengths. The first is shown at the tick `first_shown` answers.

    Decoding times are the times of the frames in order. `signed`: frames are shown from tick 0 on, some of them
    before they are decoded (ctts version 1); else all are shown later.
    """
    ends = list(accumulate(seconds, initial=Fraction(0)))
    ticks = [round(at * timescale) for at in ends]
    order = sorted(range(len(track.samples)), key=track.composed().__getitem__)
    shown = {index: ticks[place] for place, index in enumerate(order)}
    late = max(ticks[index] - shown[index] for index in shown)
    delay = 0 if signed else late
    lengths = [b - a for a, b in pairwise(ticks)]
    track.samples = [
        replace(sample, duration=lengths[index], shift=shown[index] - ticks[index] + delay)
        for index, sample in enumerate(track.samples)
    ]
    track.timescale, track.signed_shifts = timescale, signed and late > 0


def first_shown(track: Track) -> int:
    """The tick the first frame is shown at."""
    return min(track.composed())
