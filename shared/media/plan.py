"""How a film is made: a pure function of what its clips are and what is wished for. The cheapest right way wins.

`splice`: the bucket joins the clips, nothing is decoded. `copy`: FFmpeg joins their pictures as they are. `smart`:
the odd clips alone are encoded, like the others, and all are spliced. `encode`: every clip is encoded, then spliced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from shared.domain.errors import BadMedia
from shared.media.compare import (
    ENCODE,
    NOTE,
    SOUND,
    Mismatch,
    ProbedClip,
    can_be_spliced,
    differences,
    is_copied_by_ffmpeg,
    is_plain_aac,
    is_webm,
    majority,
    sounds_alike,
    unlike,
)
from shared.media.facts import clip_facts
from shared.media.probe import MediaFacts
from shared.media.sound import held_seconds
from shared.media.splice.refusals import refusals
from shared.media.target import HIGHEST_RATE, SHORTEST_SIDE, Target, Wishes, target_of, usual_rate

LONGEST_FILM_SECONDS = 3600
# Beyond this share of pictures to encode, joining them with copies saves nothing (smart-join measurements).
MOST_ENCODED_SHARE = 0.5
Refused = tuple[tuple[str, tuple[str, ...]], ...]
SPLICE, COPY, SMART, ENCODE_ALL = "splice", "copy", "smart", "encode"
# What another MP4 of the same pictures does not have any more.
MENDED_BY_REWRAPPING = {
    "no_parameter_sets", "chunks_overlap", "no_times", "odd_composition", "odd_edits", "late_picture", "timescale",
    "mp4_no_key_marks",
}  # fmt: skip
REQUESTED = {"asked_for", "size", "fps", "quality"}


@dataclass(frozen=True, slots=True)
class CompilePlan:
    """`encoded` are the clips that are encoded anew, `model` the one they become like; `rewrapped` those whose
    pictures are put into an MP4 of their own. `refused`: cheaper ways and why not. `whole_sound`: the sound of all
    clips becomes one that is encoded anew. `container` is mp4 or webm. `own_times`: encoded clips whose frames keep
    their own times; others get the film's rate.
    """

    strategy: str
    model: int
    target: Target | None
    encoded: tuple[int, ...]
    mismatches: tuple[Mismatch, ...]
    refused: Refused = ()
    whole_sound: bool = False
    container: str = "mp4"
    rewrapped: tuple[int, ...] = ()
    own_times: tuple[int, ...] = ()


def plan_splice(probes: Sequence[ProbedClip], wishes: Wishes) -> CompilePlan | None:
    """The cheapest way, if the clips' indexes allow it and nothing else is wished for. Raises as `plan_film` does."""
    _check(probes)
    if unlike(probes) or list(_asked(probes, wishes)):
        return None
    return _splice(probes)


def plan_film(probes: Sequence[ProbedClip], wishes: Wishes) -> CompilePlan:
    """The plan of clips that FFmpeg has looked at. Raises BadMedia naming a clip without a picture, or a film that
    is too long."""
    _check(probes)
    odd = (*_asked(probes, wishes), *unlike(probes))
    if not odd:
        return _splice(probes)
    found = _Found(probes, wishes, _facts(probes), odd)
    return _copy(found) or _smart(found, _why_not_copied(found))


def _splice(probes: Sequence[ProbedClip]) -> CompilePlan:
    return CompilePlan(SPLICE, 0, None, (), tuple(_held(probes)))


def dearer_plan(plan: CompilePlan, probes: Sequence[ProbedClip], wishes: Wishes) -> CompilePlan | None:
    """What to do when that plan's clips did not fit together once they were made; None where nothing is left."""
    found = _Found(probes, wishes, _facts(probes), (*_asked(probes, wishes), *unlike(probes)))
    if plan.strategy == COPY:
        return _smart(found, ("The clips do not fit together when rewrapped.",))
    if plan.strategy == SMART:
        return _encode(found, (*plan.refused, (SMART, ("What was encoded does not fit beside the others.",))))
    return None


@dataclass(frozen=True, slots=True)
class _Found:
    """What a plan is made from. `odd`: what is wished for and what forbids to splice."""

    probes: Sequence[ProbedClip]
    wishes: Wishes
    facts: Sequence[MediaFacts]
    odd: tuple[Mismatch, ...]

    @property
    def mismatches(self) -> tuple[Mismatch, ...]:
        """All of them, those that FFmpeg sees too."""
        return (*self.odd, *_differences(self.facts), *_held(self.probes))

    @property
    def refused(self) -> Refused:
        """Why they are not spliced as they are."""
        return ((SPLICE, tuple(one.sentence for one in self.odd)),)

    @property
    def odd_pictures(self) -> dict[int, set[str]]:
        """By clip, what forbids to splice its pictures."""
        odd: dict[int, set[str]] = {}
        for one in self.odd:
            if one.clip is not None and one.severity == ENCODE:
                odd.setdefault(one.clip, set()).add(one.name)
        return odd


def _held(probes: Sequence[ProbedClip]) -> Iterator[Mismatch]:
    """Clips whose first frame is shown before its time, as their audio begins earlier."""
    for number, probe in enumerate(probes):
        picture = probe.clip.picture if probe.clip else None
        held = held_seconds(probe.facts) if probe.facts else picture.held_seconds if picture else Fraction(0)
        if held:
            sentence = (
                f"Clip {number + 1}: its first frame is held for {float(held):.2f} s, as its audio begins earlier."
            )
            yield Mismatch(number, "first_frame_held", NOTE, sentence)


def _facts(probes: Sequence[ProbedClip]) -> list[MediaFacts]:
    facts = [probe.facts for probe in probes if probe.facts is not None]
    if len(facts) != len(probes):
        raise ValueError("clips that cannot be spliced are probed by FFmpeg before they are planned")
    return facts


def _check(probes: Sequence[ProbedClip]) -> None:
    seconds = Fraction(0)
    for number, probe in enumerate(probes):
        if probe.facts is not None:
            has_picture = probe.facts.video is not None
            seconds += probe.facts.duration_seconds
        else:
            has_picture = probe.clip is not None and probe.clip.picture is not None
            seconds += Fraction(probe.clip.seconds_of_picture) if probe.clip else 0
        if probe.is_still:
            raise BadMedia(
                f"Clip {number + 1} is a still image, which has no duration: make a video of it with an image-to-video "
                "model (POST /generate-media), or leave it out.",
                code="still_needs_duration",
            )
        if not has_picture and (probe.facts is not None or probe.clip is not None):
            raise BadMedia(f"Clip {number + 1} has no picture: leave it out or name a video.", code="no_picture")
    if seconds > LONGEST_FILM_SECONDS:
        raise BadMedia("The film would be longer than an hour: compile it in parts.", code="film_too_long")


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
        return probe.facts.video.shown_size, usual_rate(probe.facts.video.fps)
    video = clip_facts(probe.clip).video if probe.clip is not None else None
    if video is None:
        return None, None
    return (video.display_width, video.display_height), usual_rate(video.fps) if video.fps else None


def _differences(facts: Sequence[MediaFacts]) -> Iterator[Mismatch]:
    model = majority(facts)
    for number, clip in enumerate(facts):
        yield from differences(number, facts[model], clip)


def _copy(found: _Found) -> CompilePlan | None:
    """Pictures that only lie in the wrong file, or beside the wrong sound, stay as they are."""
    facts, odd = found.facts, found.odd_pictures
    if found.wishes.container != "mp4" and all(map(is_webm, facts)) and not list(_asked(found.probes, found.wishes)):
        return _webm(found)
    if any(one.clip is None for one in found.odd) or not all(
        _is_mended(found.probes[n], names) for n, names in odd.items()
    ):
        return None
    model = next((number for number in range(len(facts)) if number not in odd), majority(facts))
    if not all(can_be_spliced(facts[n]) and is_copied_by_ffmpeg(facts[model], facts[n]) for n in odd):
        return None
    whole, target = _needs_whole_sound(found, odd), target_of(facts, model=model)
    notes = _as_notes(found.mismatches)
    return CompilePlan(COPY, model, target, (), notes, found.refused, whole, rewrapped=tuple(sorted(odd)))


def _webm(found: _Found) -> CompilePlan | None:
    """FFmpeg joins a WebM's pictures and sounds as they are. Players follow its timestamps, not its samples."""
    facts, model = found.facts, majority(found.facts)
    alone = all(stream is None or stream.stream == 0 for clip in facts for stream in (clip.video, clip.audio))
    if not alone or any(map(held_seconds, facts)) or not sounds_alike(facts):
        return None
    if not all(is_copied_by_ffmpeg(facts[model], clip) for clip in facts):
        return None
    target, notes = target_of(facts, model=model), _as_notes(found.mismatches)
    return CompilePlan(COPY, model, target, (), notes, found.refused, container="webm")


def _as_notes(mismatches: Iterable[Mismatch]) -> tuple[Mismatch, ...]:
    """Where nothing is encoded, what would forbid something cheaper is only worth knowing."""
    return tuple(replace(one, severity=NOTE) if one.severity == ENCODE else one for one in mismatches)


def _is_mended(probe: ProbedClip, names: set[str]) -> bool:
    """Whether a clip's pictures can be spliced once they lie in an MP4 of their own."""
    return not names & REQUESTED if probe.clip is None else names <= MENDED_BY_REWRAPPING


def _needs_whole_sound(found: _Found, rewrapped: Collection[int]) -> bool:
    """Where one clip's sound cannot stand in one track with the others' as it is."""
    heard = [clip for clip in found.facts if clip.audio is not None]
    if any(one.severity == SOUND or one.name == "late_picture" for one in found.odd):
        return bool(heard)
    return bool(rewrapped) and bool(heard) and not (sounds_alike(heard) and is_plain_aac(heard[0]))


def _why_not_copied(found: _Found) -> tuple[str, ...]:
    """What another file around the same pictures would not mend."""
    return tuple(
        one.sentence
        for one in found.mismatches
        if one.severity == ENCODE and one.name not in MENDED_BY_REWRAPPING and not _is_unread(found.probes, one)
    )


def _is_unread(probes: Sequence[ProbedClip], one: Mismatch) -> bool:
    """Whether it only says that the clip is no MP4."""
    return one.clip is not None and probes[one.clip].clip is None and not one.of_ffmpeg


def _smart(found: _Found, why_not_copied: tuple[str, ...]) -> CompilePlan:
    refused = (*found.refused, (COPY, why_not_copied))
    odd = set(found.odd_pictures)
    why_not = _why_not_smart(found.probes, found.facts, odd)
    if why_not is not None:
        return _encode(found, (*refused, (SMART, (why_not,))))
    model = next(number for number in range(len(found.probes)) if number not in odd)
    target = target_of(found.facts, found.wishes, model)
    whole = any(one.severity == SOUND and one.clip not in odd for one in found.odd)
    own_times = tuple(number for number in sorted(odd) if _keeps_times(found, number))
    return CompilePlan(SMART, model, target, tuple(sorted(odd)), found.mismatches, refused, whole, own_times=own_times)


def _encode(found: _Found, refused: Refused) -> CompilePlan:
    model, everything = majority(found.facts), tuple(range(len(found.probes)))
    target = target_of(found.facts, found.wishes, model)
    uneven = (number for number in everything if (video := found.facts[number].video) and video.variable_rate)
    own_times = tuple(number for number in uneven if not found.wishes.reencode and _keeps_times(found, number))
    return CompilePlan(ENCODE_ALL, model, target, everything, found.mismatches, refused, own_times=own_times)


def _keeps_times(found: _Found, number: int) -> bool:
    """Whether a clip's frames can keep their times beside others: no rate is asked for, and its own is no wonder."""
    video = found.facts[number].video
    return found.wishes.fps is None and video is not None and 0 < video.fps <= HIGHEST_RATE


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
