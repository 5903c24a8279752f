"""Clips whose every picture bears a number that a page can read, each with a tone of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from shared.media.splice.film import Splice
from tests.unit.media.films import clip, spliced

SIZE = "320x180"
PICTURES = 15
NUMBERS_PER_CLIP = 256
TONES_HZ = (300, 600, 1200)
BITS, BLOCK, HEIGHT = 16, 20, 180


@dataclass(frozen=True)
class Kind:
    """What a clip is to be like."""

    fps: int = 24
    has_sound: bool = True
    options: str = ""

    @property
    def seconds(self) -> Fraction:
        return Fraction(PICTURES, self.fps)


@dataclass(frozen=True)
class Numbered:
    """A picture of the film: its number, and when it is shown."""

    number: int
    seconds: Fraction
    end_seconds: Fraction


@dataclass(frozen=True)
class Film:
    """A film in a file, and what its clips were."""

    path: Path
    kinds: tuple[Kind, ...]
    splice: Splice

    @property
    def begins(self) -> list[Fraction]:
        """When each clip begins, and at last the end."""
        return [sum((kind.seconds for kind in self.kinds[:place]), Fraction(0)) for place in range(len(self.kinds) + 1)]

    @property
    def clips(self) -> list[list[Numbered]]:
        """The pictures of each clip."""
        return [
            [
                Numbered(_first(place) + n, begin + Fraction(n, kind.fps), begin + Fraction(n + 1, kind.fps))
                for n in range(PICTURES)
            ]
            for place, (kind, begin) in enumerate(zip(self.kinds, self.begins, strict=False))
        ]


def film_of(kinds: tuple[Kind, ...], path: Path) -> Film:
    """Clips of these kinds, made by FFmpeg and spliced."""
    return Film(path, kinds, spliced([_clip(place, kind) for place, kind in enumerate(kinds)], path))


def _clip(place: int, kind: Kind) -> Path:
    return clip(
        size=SIZE,
        fps=str(kind.fps),
        pictures=PICTURES,
        sound=float(kind.seconds) if kind.has_sound else None,
        tone=TONES_HZ[place],
        options=f"-vf {','.join(_numbers(_first(place)))} {kind.options}",
    )


def _first(place: int) -> int:
    return (place + 1) * NUMBERS_PER_CLIP


def _numbers(first: int) -> Iterator[str]:
    """FFmpeg filters: a row of blocks above, white for ones, and below a row with white for zeros."""
    below = HEIGHT - BLOCK
    for y in (0, below):
        yield f"drawbox=0:{y}:{BITS * BLOCK}:{BLOCK}:black:fill"
    for bit in range(BITS):
        one = f"bitand(n+{first}\\,{1 << bit})"
        yield f"drawbox={bit * BLOCK}:0:{BLOCK}:{BLOCK}:white:fill:enable={one}"
        yield f"drawbox={bit * BLOCK}:{below}:{BLOCK}:{BLOCK}:white:fill:enable=not({one})"
