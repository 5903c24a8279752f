"""What is wished for of a film, and what its clips are brought to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from shared.media.compare import majority
from shared.media.probe import MediaFacts

# `quality` is a ceiling for the shorter side, in pixels.
SHORTEST_SIDE = {"high": 1080, "medium": 720, "low": 480}
COMMON_RATES = (
    *(Fraction(rate) for rate in (16, 24, 25, 30, 48, 50, 60)),
    *(Fraction(rate, 1001) for rate in (24000, 30000, 60000)),
)
# In frames per second. Slower is a slide show or a still of one sample, whose rate would leave of a moving clip a frame
# now and then; no usual player or screen shows more.
LOWEST_RATE, HIGHEST_RATE = Fraction(10), Fraction(120)
# Where no clip has a rate at all.
DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for: everything encoded anew, a ceiling of quality, a size in pixels, a rate, a container
    (None: the one that all clips have, else MP4)."""

    reencode: bool = False
    quality: str = "source"
    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    container: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """The format of a film whose clips are brought to one: size in pixels, sound as rate and channels."""

    width: int
    height: int
    fps: Fraction
    sample_rate: int | None
    channels: int


def target_of(
    facts: Sequence[MediaFacts], wishes: Wishes = Wishes(), model: int | None = None, *, square: bool = False
) -> Target:
    """What clips are brought to: what is wished for, else the format of the model or of most of the film.

    `square`: in square pixels, as wide as the model is shown.
    """
    model = majority(facts) if model is None else model
    video = facts[model].video
    assert video is not None
    width, height = wishes.size or _under_ceiling(video.square_size if square else video.shown_size, wishes.quality)
    sounds = [clip.audio for clip in facts if clip.audio is not None]
    model_sound = facts[model].audio or (sounds[0] if sounds else None)
    return Target(
        width=max(width // 2 * 2, 16),
        height=max(height // 2 * 2, 16),
        fps=wishes.fps or film_rate([clip.video.fps for clip in facts if clip.video is not None], video.fps),
        sample_rate=model_sound.sample_rate if model_sound else None,
        channels=min(model_sound.channels, 2) if model_sound else 0,
    )


def _under_ceiling(size: tuple[int, int], quality: str) -> tuple[int, int]:
    shorter = min(size)
    ceiling = SHORTEST_SIDE.get(quality, shorter)
    if shorter <= ceiling:
        return size
    return round(size[0] * ceiling / shorter), round(size[1] * ceiling / shorter)


def film_rate(rates: Sequence[Fraction], usual: Fraction) -> Fraction:
    """Frames per second of a film whose clips have these `rates`, most of it the `usual` one, which is taken where it
    is a film's rate at all.

    Below LOWEST_RATE the fastest clip's is taken. What is still too low is multiplied, what is above HIGHEST_RATE is
    divided, by the smallest whole number that will do: every frame taken from the clip is then shown at its exact time.
    """
    rate = usual_rate(usual)
    if rate < LOWEST_RATE:
        rate = max(map(usual_rate, rates), default=rate)
    if rate <= 0:
        return DEFAULT_RATE
    return rate * ceil(LOWEST_RATE / rate) if rate < LOWEST_RATE else rate / ceil(rate / HIGHEST_RATE)


def usual_rate(fps: Fraction) -> Fraction:
    """The nearest usual rate within half a percent: measured rates carry rounding of the time base."""
    near = min(COMMON_RATES, key=lambda rate: abs(rate - fps))
    return near if abs(near - fps) < fps / 200 else fps.limit_denominator(1001)
