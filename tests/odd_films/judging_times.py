"""Which frames of a clip a film shows, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from tests.odd_films.truth import ShownFrame, Truth
from tests.odd_films.watching import Seen

COPIED_SECONDS = Fraction(1, 1000)
ROUNDING_SECONDS = Fraction(2, 1000)


@dataclass(frozen=True)
class Placed:
    """A clip in the film: its frames with their numbers, and the second of the clip it begins with."""

    truth: Truth
    frames: Sequence[tuple[int, Seen]]
    begin: Fraction

    @property
    def at(self) -> Fraction:
        """When it begins in the film."""
        return self.frames[0][1].begin

    def seconds(self, seen: Seen) -> Fraction:
        """When a frame is shown, as the clip counts its time."""
        return seen.begin - self.at + self.begin


def placed(frames: Sequence[tuple[int, Seen]], truth: Truth, slack: Fraction) -> Placed:
    """Of the begins a clip may have, the one that its second frame tells; also that of its first frame.

    The last is wrong where audio begins before it, and then `time_problems` says so. Frames may be off by `slack`: a
    begin that is that near to one the clip may have is told by its audio alone, which is held against the latter.
    """
    begins = {frame.number: frame.begin for frame in truth.frames}
    later = next(((number, seen) for number, seen in frames if number != frames[0][0] and number in begins), None)
    if later is None:
        return Placed(truth, frames, truth.begins[0])
    number, seen = later
    told = begins[number] - (seen.begin - frames[0][1].begin)
    may_be = min(truth.begins, key=lambda begin: abs(begin - told))
    begin = min((may_be, truth.frames[0].begin), key=lambda begin: abs(begin - told))
    if abs(may_be - told) <= slack:
        begin = may_be
    return Placed(truth, frames, begin)


def time_problems(part: Placed, film_end: Fraction, is_encoded: bool) -> Iterator[str]:
    """Of one clip that lasts until `film_end`. What was encoded may be as exact as a copy."""
    if part.begin not in part.truth.begins:
        cut = float(part.begin - part.truth.begins[0]) * 1000
        yield f"its first {cut:.0f} ms are left out"
    exact = list(_copied(part))
    if exact and is_encoded:
        yield from _encoded(part, film_end)
        return
    yield from exact


def _copied(part: Placed) -> Iterator[str]:
    """The very frames, each at its time."""
    wanted = _wanted(part)
    shown = [number for number, _ in part.frames]
    if shown != [frame.number for frame in wanted]:
        yield f"shows frames {_listed(shown)}, wanted {_listed([frame.number for frame in wanted])}"
        return
    for frame, (number, seen) in zip(wanted[1:], part.frames[1:], strict=True):
        off = part.seconds(seen) - frame.begin
        if abs(off) > COPIED_SECONDS + part.truth.slack:
            yield f"shows frame {number} {float(off) * 1000:.1f} ms late"
            return


def _wanted(part: Placed) -> list[ShownFrame]:
    """The frames of the truth; of those that are shown in part, the ones that the film has."""
    frames, shown = list(part.truth.frames), [number for number, _ in part.frames]
    if not frames[0].sure and shown[0] != frames[0].number:
        frames = frames[1:]
    if not frames[-1].sure and shown[-1] != frames[-1].number:
        frames = frames[:-1]
    twice = [n for n in range(1, len(frames)) if frames[n].number == frames[n - 1].number]
    if twice and len(shown) == len(frames) - len(twice):
        return [frame for n, frame in enumerate(frames) if n not in twice]
    return frames


def _encoded(part: Placed, film_end: Fraction) -> Iterator[str]:
    """Frames at a rate of the film's: each shown at a time at which it, or within half a frame, is to be shown.

    The clip itself begins within half a frame of its time, so that what is rounded never adds up.
    """
    rate = _frame_seconds(part, film_end)
    slack = rate + ROUNDING_SECONDS + part.truth.slack
    for number, seen in part.frames:
        at = part.seconds(seen)
        if not any(
            frame.number == number and frame.begin - slack <= at < frame.end + slack for frame in _from_begin(part)
        ):
            yield f"shows frame {number} at {float(at):.3f} s"
            return
    if _is_same_rate(part, rate):
        yield from _copied(part)
        return
    shown = {number for number, _ in part.frames}
    missing = [
        frame.number
        for frame in part.truth.frames
        if frame.sure and frame.number not in shown and frame.end - frame.begin > rate * Fraction(102, 100)
    ]
    if missing:
        yield f"does not show frames {_listed(missing)}"
    yield from _wrong_length(part, film_end, rate)


def _from_begin(part: Placed) -> Iterator[ShownFrame]:
    """The first frame is held from the clip's begin on."""
    first = part.truth.frames[0]
    yield ShownFrame(first.number, min(first.begin, part.begin), first.end)
    yield from part.truth.frames[1:]


def _frame_seconds(part: Placed, film_end: Fraction) -> Fraction:
    """How long a frame of the film lasts here: the usual distance of two frames."""
    begins = [*(seen.begin for _, seen in part.frames), film_end]
    steps = sorted(b - a for a, b in pairwise(begins))
    return steps[len(steps) // 2]


def _is_same_rate(part: Placed, rate: Fraction) -> bool:
    """At an unchanged rate and with nothing held, every frame has a place of its own."""
    lengths = {frame.end - frame.begin for frame in part.truth.frames}
    is_same = all(abs(length / rate - 1) < Fraction(1, 2000) for length in lengths)
    return is_same and part.begin == part.truth.frames[0].begin and not part.truth.slack


def _wrong_length(part: Placed, film_end: Fraction, rate: Fraction) -> Iterator[str]:
    wanted, found = part.truth.end - part.begin, film_end - part.at
    if abs(found - wanted) > rate + ROUNDING_SECONDS + part.truth.slack + part.truth.end_slack:
        yield f"lasts {float(found):.3f} s, wanted {float(wanted):.3f} s"


def _listed(numbers: Sequence[int]) -> str:
    """Runs of numbers that follow one another, as `3-47`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] + 1 == number:
            runs[-1][-1:] = [runs[-1][-1], number] if len(runs[-1]) == 1 else [number]
        else:
            runs.append([number])
    words = ["-".join(map(str, run)) for run in runs]
    return " ".join(words[:8]) + (" ..." if len(words) > 8 else "")
