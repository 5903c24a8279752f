"""Why two clips cannot share a track, and which format most of a film has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from fractions import Fraction

from shared.media.probe import AudioFacts, MediaFacts, VideoFacts

_VIDEO = ("codec", "width", "height", "sar", "pixel_format", "fps", "rotation", "extradata")
_AUDIO = ("codec", "sample_rate", "layout", "extradata")


def differences(one: MediaFacts, other: MediaFacts) -> tuple[str, ...]:
    """Every difference that forbids a stream copy into one track, as `video.width: 1280, 640`."""
    return (
        *_between("video", one.video, other.video, _VIDEO),
        *_between("audio", one.audio, other.audio, _AUDIO),
    )


def majority(facts: Sequence[MediaFacts]) -> int:
    """Index of the first clip in the format that most of the film's seconds have; a tie goes to the first."""
    seconds: dict[Hashable, Fraction] = defaultdict(Fraction)
    for clip in facts:
        seconds[_format(clip)] += clip.duration_seconds
    most = max(seconds.values())
    return next(index for index, clip in enumerate(facts) if seconds[_format(clip)] == most)


def _format(clip: MediaFacts) -> Hashable:
    video = clip.video
    return None if video is None else (video.width, video.height, video.fps, video.rotation)


def _between(
    kind: str, one: VideoFacts | AudioFacts | None, other: VideoFacts | AudioFacts | None, names: Sequence[str]
) -> tuple[str, ...]:
    if one is None and other is None:
        return ()
    if one is None or other is None:
        return (f"{kind}: {'present' if one else 'none'}, {'present' if other else 'none'}",)
    return tuple(
        f"{kind}.{name}: {getattr(one, name)}, {getattr(other, name)}"
        for name in names
        if getattr(one, name) != getattr(other, name)
    )
