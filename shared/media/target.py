"""What the clips of a film are brought to."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Target:
    """The format of a film whose clips are brought to one: size in pixels, sound as rate and channels."""

    width: int
    height: int
    fps: Fraction
    sample_rate: int | None
    channels: int
