"""Does the film hold what its clips held? Frames are counted by decoding, never taken from exit codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.media.probe import MediaFacts

DRIFT_LIMIT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Verification:
    """`problems` is empty when `ok`. Durations in seconds, drift in milliseconds."""

    ok: bool
    frames_expected: int
    frames: int
    duration_expected: float
    duration: float
    drift_ms: float
    problems: tuple[str, ...]


def verify_film(clips: Sequence[MediaFacts], film: MediaFacts) -> Verification:
    """Compares a decoded film with the clips as they were joined."""
    expected = sum(clip.video.frames for clip in clips if clip.video is not None)
    frames = film.video.frames if film.video is not None else 0
    wanted = float(sum(clip.duration_seconds for clip in clips))
    drift = _drift_seconds(film)
    problems = []
    if frames != expected:
        problems.append(f"{frames} frames decode where the clips have {expected}")
    if drift > DRIFT_LIMIT_SECONDS + _uneven_seconds(clips):
        problems.append(f"sound and picture end {drift * 1000:.0f} ms apart")
    if film.audio is None and any(clip.audio is not None for clip in clips):
        problems.append("the sound is missing")
    return Verification(
        not problems, expected, frames, round(wanted, 3), round(float(film.duration_seconds), 3),
        round(drift * 1000, 1), tuple(problems),
    )  # fmt: skip


def _drift_seconds(facts: MediaFacts) -> float:
    if facts.video is None or facts.audio is None:
        return 0.0
    ends = [s.start_seconds + s.duration_seconds for s in (facts.video, facts.audio)]
    return abs(float(ends[0] - ends[1]))


def _uneven_seconds(clips: Sequence[MediaFacts]) -> float:
    """A film may end as unevenly as its last clip does."""
    return _drift_seconds(clips[-1]) if clips else 0.0
