"""How a film is made: a pure function of the clips' facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from shared.domain.errors import BadMedia
from shared.media.compare import differences, majority
from shared.media.probe import MediaFacts

LONGEST_FILM_SECONDS = 3600
COMMON_RATES = (
    *(Fraction(rate) for rate in (16, 24, 25, 30, 50, 60)),
    *(Fraction(rate, 1001) for rate in (24000, 30000, 60000)),
)


@dataclass(frozen=True, slots=True)
class Target:
    """The format of a film whose clips are brought to one: size in pixels, sound as rate and channels."""

    width: int
    height: int
    fps: Fraction
    sample_rate: int | None
    channels: int


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """Whether a clip is re-encoded, and why."""

    conform: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompilePlan:
    """`copy`: packets go over unchanged. `encode`: every clip is brought to `target` once, then joined."""

    strategy: str
    target: Target
    clips: tuple[ClipPlan, ...]


def plan_compile(facts: Sequence[MediaFacts], *, reencode: bool = False) -> CompilePlan:
    """The cheapest right way. Raises BadMedia naming a clip without a picture, or a film that is too long."""
    for number, clip in enumerate(facts):
        if clip.video is None:
            raise BadMedia(f"Clip {number + 1} has no picture: leave it out or name a video.", code="no_picture")
    if sum(clip.duration_seconds for clip in facts) > LONGEST_FILM_SECONDS:
        raise BadMedia("The film would be longer than an hour: compile it in parts.", code="film_too_long")
    model = majority(facts)
    reasons = [differences(facts[model], clip) for clip in facts]
    encode = reencode or any(reasons)
    clips = tuple(ClipPlan(encode, why or (("re-encode was asked for",) if reencode else ())) for why in reasons)
    return CompilePlan("encode" if encode else "copy", _target(facts, model), clips)


def _target(facts: Sequence[MediaFacts], model: int) -> Target:
    video = facts[model].video
    assert video is not None
    width, height = video.width, video.height
    if abs(video.rotation) % 180 == 90:
        width, height = height, width
    sounds = [clip.audio for clip in facts if clip.audio is not None]
    model_sound = facts[model].audio or (sounds[0] if sounds else None)
    return Target(
        width=max(width // 2 * 2, 16),
        height=max(height // 2 * 2, 16),
        fps=_common(video.fps),
        sample_rate=model_sound.sample_rate if model_sound else None,
        channels=min(model_sound.channels, 2) if model_sound else 0,
    )


def _common(fps: Fraction) -> Fraction:
    """The nearest usual rate within half a percent: measured rates carry rounding of the time base."""
    near = min(COMMON_RATES, key=lambda rate: abs(rate - fps))
    return near if abs(near - fps) < fps / 200 else fps.limit_denominator(1001)
