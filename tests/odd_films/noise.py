"""Audio that tells where it is from: noise by number, found again by one bit a sample.

The signs of two noises agree by chance in half of their samples, of the same noise in nearly all. As whole numbers of
Python they are compared by one XOR and a count of bits, so that a search over a film takes milliseconds.
"""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass
from functools import cache

RATE = 8000
SECONDS = 4.2
AMPLITUDE = 20_000
BLOCK = 4096


@dataclass(frozen=True)
class Signs:
    """Bit n is 1 where sample n is above zero."""

    bits: int
    count: int

    def part(self, first: int, count: int) -> int:
        """So many samples; those outside are zeros."""
        shifted = self.bits >> first if first >= 0 else self.bits << -first
        return shifted & ((1 << count) - 1)


def signs(samples: array[int]) -> Signs:
    """Of 16-bit samples."""
    digits = "".join("1" if sample > 0 else "0" for sample in reversed(samples))
    return Signs(int(digits or "0", 2), len(samples))


@cache
def samples_of(noise: int) -> array[int]:
    """A noise at 8 kHz, with little above 2 kHz."""
    chance = random.Random(f"noise {noise}")
    raw = [chance.uniform(-1, 1) for _ in range(round(SECONDS * RATE) + 4)]
    smooth = [raw[n] + 2 * raw[n + 1] + 3 * raw[n + 2] + 2 * raw[n + 3] + raw[n + 4] for n in range(len(raw) - 4)]
    return array("h", (round(value / 9 * AMPLITUDE) for value in smooth))


@cache
def signs_of(noise: int) -> Signs:
    """The signs of a noise."""
    return signs(samples_of(noise))


def found(film: Signs, noise: int, at: float, seconds: float, first: int, last: int) -> tuple[float, int]:
    """How well a part of a noise fits (1 is the same) and where: the best begin from sample `first` to `last`."""
    count = round(seconds * RATE)
    part = signs_of(noise).part(round(at * RATE), count)
    answers = (_best(film, part, count, block, min(block + BLOCK, last + 1)) for block in range(first, last + 1, BLOCK))
    unlike, place = min(answers, default=(count, first))
    return 1 - 2 * unlike / count, place


def _best(film: Signs, part: int, count: int, first: int, end: int) -> tuple[int, int]:
    """How many signs differ where fewest do, and where that is."""
    stretch, mask = film.part(first, end - first + count), (1 << count) - 1
    return min((((stretch >> step & mask) ^ part).bit_count(), first + step) for step in range(end - first))
