"""How a film is made: a pure function of what its clips are and what is wished for. The cheapest right way wins.

`splice`: the bucket joins the clips, nothing is decoded. `copy`: FFmpeg joins their pictures as they are. `smart`:
the odd clips alone are encoded, like the others, and all are spliced. `encode`: every clip is encoded, then spliced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from shared.domain.errors import BadMedia
from shared.media.clip import Clip
from shared.media.compare import (
    ENCODE,
    NOTE,
    Mismatch,
    differences,
    is_copied_by_ffmpeg,
    majority,
    sounds_alike,
)
from shared.media.facts import clip_facts
from shared.media.probe import MediaFacts
from shared.media.sound import joins_drift
from shared.media.splice.refusals import refusals
from shared.media.target import Target

LONGEST_FILM_SECONDS = 3600
# Beyond this share of pictures to encode, joining them with copies saves nothing (smart-join measurements).
MOST_ENCODED_SHARE = 0.5
# `quality` is a ceiling for the shorter side, in pixels.
SHORTEST_SIDE = {"high": 1080, "medium": 720, "low": 480}
COMMON_RATES = (
    *(Fraction(rate) for rate in (16, 24, 25, 30, 48, 50, 60)),
    *(Fraction(rate, 1001) for rate in (24000, 30000, 60000)),
)
SPLICE, COPY, SMART, ENCODE_ALL = "splice", "copy", "smart", "encode"


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
class ProbedClip:
    """What is known of a clip: its index (None and `fault` for what is no readable MP4), and FFmpeg's word of it.

    FFmpeg is asked only where `plan_splice` finds no plan.
    """

    clip: Clip | None
    facts: MediaFacts | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class CompilePlan:
    """`encoded` are the clips that are encoded anew, `model` the one they become like. `refused`: cheaper ways and
    why not. `whole_sound`: the sound of all clips becomes one that is encoded anew. `container` is mp4 or webm.
    """

    strategy: str
    model: int
    target: Target | None
    encoded: tuple[int, ...]
    mismatches: tuple[Mismatch, ...]
    refused: tuple[tuple[str, tuple[str, ...]], ...] = ()
    whole_sound: bool = False
    container: str = "mp4"


def plan_splice(probes: Sequence[ProbedClip], wishes: Wishes) -> CompilePlan | None:
    """The cheapest way, if the clips' indexes allow it and nothing else is wished for. Raises as `plan_film` does."""
    _check(probes)
    if _unlike(probes) or list(_asked(probes, wishes)):
        return None
    return CompilePlan(SPLICE, 0, None, (), ())


def plan_film(probes: Sequence[ProbedClip], wishes: Wishes) -> CompilePlan:
    """The plan of clips that FFmpeg has looked at. Raises BadMedia naming a clip without a picture, or a film that
    is too long."""
    _check(probes)
    unlike, asked = _unlike(probes), tuple(_asked(probes, wishes))
    if not unlike and not asked:
        return CompilePlan(SPLICE, 0, None, (), ())
    facts = [probe.facts for probe in probes if probe.facts is not None]
    if len(facts) != len(probes):
        raise ValueError("clips that cannot be spliced are probed by FFmpeg before they are planned")
    mismatches = (*asked, *unlike, *_differences(facts))
    refused = ((SPLICE, tuple(one.sentence for one in (*asked, *unlike))),)
    copied = None if asked else _copy(facts, mismatches, refused, wishes)
    if copied is not None:
        return copied
    reasons = tuple(one.sentence for one in mismatches if one.severity == ENCODE)
    return _smart(probes, facts, mismatches, (*refused, (COPY, reasons)), wishes)


def _check(probes: Sequence[ProbedClip]) -> None:
    seconds = Fraction(0)
    for number, probe in enumerate(probes):
        if probe.facts is not None:
            has_picture = probe.facts.video is not None
            seconds += probe.facts.duration_seconds
        else:
            has_picture = probe.clip is not None and probe.clip.picture is not None
            seconds += Fraction(probe.clip.seconds_of_picture) if probe.clip else 0
        if not has_picture and (probe.facts is not None or probe.clip is not None):
            raise BadMedia(f"Clip {number + 1} has no picture: leave it out or name a video.", code="no_picture")
    if seconds > LONGEST_FILM_SECONDS:
        raise BadMedia("The film would be longer than an hour: compile it in parts.", code="film_too_long")


def _unlike(probes: Sequence[ProbedClip]) -> tuple[Mismatch, ...]:
    """Why the clips cannot be spliced as they are."""
    unread = [
        Mismatch(number, probe.fault or "not_mp4", ENCODE, f"Clip {number + 1} is no MP4 that can be spliced.")
        for number, probe in enumerate(probes)
        if probe.clip is None
    ]
    read = [(number, probe.clip) for number, probe in enumerate(probes) if probe.clip is not None]
    found = refusals([clip for _, clip in read]) if read else ()
    numbers = [number for number, _ in read]
    return (
        *unread,
        *(
            Mismatch(None if one.clip is None else numbers[one.clip], one.code, ENCODE, one.sentence)
            for one in found
        ),
    )  # fmt: skip


def _asked(probes: Sequence[ProbedClip], wishes: Wishes) -> Iterator[Mismatch]:
    """Clips that are not what is wished for."""
    for number, probe in enumerate(probes):
        size, fps = _shape(probe)
        if wishes.reencode:
            yield Mismatch(number, "asked_for", ENCODE, f"Clip {number + 1} is encoded anew because you ask for it.")
        elif size is None:
            continue
        elif wishes.size and size != wishes.size:
            wanted = f"{wishes.size[0]}x{wishes.size[1]}"
            yield Mismatch(number, "size", ENCODE, f"Clip {number + 1} has {size[0]}x{size[1]} pixels, not {wanted}.")
        elif wishes.fps and fps != wishes.fps:
            yield Mismatch(number, "fps", ENCODE, f"Clip {number + 1} has another rate than {float(wishes.fps):g}.")
        elif min(size) > SHORTEST_SIDE.get(wishes.quality, min(size)):
            yield Mismatch(number, "quality", ENCODE, f"Clip {number + 1} is larger than quality {wishes.quality}.")


def _shape(probe: ProbedClip) -> tuple[tuple[int, int] | None, Fraction | None]:
    """Size in pixels as shown, and rate by the usual ones."""
    if probe.facts is not None and probe.facts.video is not None:
        return probe.facts.video.shown_size, _common(probe.facts.video.fps)
    video = clip_facts(probe.clip).video if probe.clip is not None else None
    if video is None:
        return None, None
    return (video.display_width, video.display_height), _common(video.fps) if video.fps else None


def _differences(facts: Sequence[MediaFacts]) -> Iterator[Mismatch]:
    model = majority(facts)
    for number, clip in enumerate(facts):
        yield from differences(number, facts[model], clip)


def _copy(
    facts: Sequence[MediaFacts],
    mismatches: tuple[Mismatch, ...],
    refused: tuple[tuple[str, tuple[str, ...]], ...],
    wishes: Wishes,
) -> CompilePlan | None:
    """FFmpeg joins pictures that are alike in all it looks at, whatever their containers and sounds are."""
    model = majority(facts)
    if not all(is_copied_by_ffmpeg(facts[model], clip) for clip in facts):
        return None
    container = "webm" if all("webm" in clip.container for clip in facts) else "mp4"
    heard = any(clip.audio is not None for clip in facts)
    alike = sounds_alike(facts)
    if container == "webm" and (not alike or wishes.container == "mp4"):
        return None
    # Players follow a WebM's timestamps, whatever lies between them; of an MP4 many count samples.
    whole = container == "mp4" and heard and not (alike and not joins_drift(facts))
    notes = tuple(
        one if one.clip is None or one.severity != ENCODE else Mismatch(one.clip, one.name, NOTE, one.sentence)
        for one in mismatches
    )
    return CompilePlan(COPY, model, target_of(facts, model=model), (), notes, refused, whole, container)


def _smart(
    probes: Sequence[ProbedClip],
    facts: Sequence[MediaFacts],
    mismatches: tuple[Mismatch, ...],
    refused: tuple[tuple[str, tuple[str, ...]], ...],
    wishes: Wishes,
) -> CompilePlan:
    odd = _odd(probes, mismatches)
    why_not = _why_not_smart(probes, facts, odd)
    model = next((number for number in range(len(probes)) if number not in odd), majority(facts))
    if why_not is None:
        target = target_of(facts, model=model)
        return CompilePlan(SMART, model, target, tuple(sorted(odd)), mismatches, refused)
    model = majority(facts)
    everything = tuple(range(len(probes)))
    target = target_of(facts, wishes, model)
    return CompilePlan(ENCODE_ALL, model, target, everything, mismatches, (*refused, (SMART, (why_not,))))


def _odd(probes: Sequence[ProbedClip], mismatches: Sequence[Mismatch]) -> set[int]:
    """Clips that something forbids to copy; what only differs from the majority by FFmpeg's lights may be spliced."""
    spliced = {number for number, probe in enumerate(probes) if probe.clip is not None}
    return {
        one.clip for one in mismatches
        if one.clip is not None and one.severity == ENCODE and (one.clip not in spliced or not one.of_ffmpeg)
    }  # fmt: skip


def _why_not_smart(probes: Sequence[ProbedClip], facts: Sequence[MediaFacts], odd: set[int]) -> str | None:
    kept = [probe.clip for number, probe in enumerate(probes) if number not in odd and probe.clip is not None]
    if not kept:
        return "No clip can stay as it is."
    if refusals(kept):
        return "The clips that could stay as they are do not fit together."
    model = next(facts[number].video for number in range(len(probes)) if number not in odd)
    if model is None or model.codec != "h264" or model.pixel_format != "yuv420p" or model.interlaced:
        return "Only beside progressive H.264 with 8 bits can encoded clips be put."
    pictures = [clip.video.frames if clip.video else 0 for clip in facts]
    share = sum(pictures[number] for number in odd) / max(sum(pictures), 1)
    return f"{share:.0%} of the pictures would be encoded anyway." if share > MOST_ENCODED_SHARE else None


def target_of(facts: Sequence[MediaFacts], wishes: Wishes = Wishes(), model: int | None = None) -> Target:
    """What clips are brought to: what is wished for, else the format of the model or of most of the film."""
    model = majority(facts) if model is None else model
    video = facts[model].video
    assert video is not None
    width, height = wishes.size or _under_ceiling(video.shown_size, wishes.quality)
    sounds = [clip.audio for clip in facts if clip.audio is not None]
    model_sound = facts[model].audio or (sounds[0] if sounds else None)
    return Target(
        width=max(width // 2 * 2, 16),
        height=max(height // 2 * 2, 16),
        fps=wishes.fps or _common(video.fps),
        sample_rate=model_sound.sample_rate if model_sound else None,
        channels=min(model_sound.channels, 2) if model_sound else 0,
    )


def _under_ceiling(size: tuple[int, int], quality: str) -> tuple[int, int]:
    shorter = min(size)
    ceiling = SHORTEST_SIDE.get(quality, shorter)
    if shorter <= ceiling:
        return size
    return round(size[0] * ceiling / shorter), round(size[1] * ceiling / shorter)


def _common(fps: Fraction) -> Fraction:
    """The nearest usual rate within half a percent: measured rates carry rounding of the time base."""
    near = min(COMMON_RATES, key=lambda rate: abs(rate - fps))
    return near if abs(near - fps) < fps / 200 else fps.limit_denominator(1001)
