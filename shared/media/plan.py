"""How a film is made: a pure function of what its clips are and what is wished for. The cheapest right way wins.

`splice`: the bucket joins the clips, nothing is decoded. `copy`: FFmpeg joins their pictures as they are. `smart`:
the odd clips alone are encoded, like the others, and all are spliced. `encode`: every clip is encoded, then spliced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

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
from shared.media.plan_checks import check, held_frames, requested
from shared.media.probe import MediaFacts
from shared.media.sound import held_seconds
from shared.media.splice.refusals import refusals
from shared.media.target import HIGHEST_RATE, Target, Wishes, target_of

# Beyond this share of pictures to encode, joining them with copies saves nothing (smart-join measurements).
MOST_ENCODED_SHARE = 0.5
LONGEST_TAIL_SECONDS = Fraction(1, 20)
Refused = tuple[tuple[str, tuple[str, ...]], ...]
SPLICE, COPY, SMART, ENCODE_ALL = "splice", "copy", "smart", "encode"
# What another MP4 of the same pictures does not have any more.
MENDED_BY_REWRAPPING = {
    "no_parameter_sets",
    "chunks_overlap",
    "no_times",
    "odd_composition",
    "odd_edits",
    "late_picture",
    "timescale",
    "mp4_no_key_marks",
}
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
    check(probes)
    if unlike(probes) or list(requested(probes, wishes)):
        return None
    return _splice(probes)


def plan_film(probes: Sequence[ProbedClip], wishes: Wishes) -> CompilePlan:
    """The plan of clips that FFmpeg has looked at. Raises BadMedia naming a clip without a picture, or a film that
    is too long."""
    check(probes)
    odd = _odd(probes, wishes)
    if not odd:
        return _splice(probes)
    found = _Found(probes, wishes, _facts(probes), odd)
    return _copy(found) or _smart(found, _why_not_copied(found))


def _odd(probes: Sequence[ProbedClip], wishes: Wishes) -> tuple[Mismatch, ...]:
    """What is requested of clips, and in what the others are unlike."""
    asked = tuple(requested(probes, wishes))
    return (*asked, *unlike(probes, {one.clip for one in asked if one.clip is not None}))


def _splice(probes: Sequence[ProbedClip]) -> CompilePlan:
    return CompilePlan(SPLICE, 0, None, (), tuple(held_frames(probes)))


def dearer_plan(plan: CompilePlan, probes: Sequence[ProbedClip], wishes: Wishes) -> CompilePlan | None:
    """What to do when that plan's clips did not fit together once they were made; None where nothing is left."""
    found = _Found(probes, wishes, _facts(probes), _odd(probes, wishes))
    if plan.strategy == COPY:
        return _smart(found, ("The clips do not fit together when rewrapped.",))
    if plan.strategy == SMART:
        refused = (*plan.refused, (SMART, ("What was encoded does not fit beside the others.",)))
        return replace(_encode(found, refused), own_times=())
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
        return (*self.odd, *_differences(self.facts), *held_frames(self.probes))

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


def _facts(probes: Sequence[ProbedClip]) -> list[MediaFacts]:
    facts = [probe.facts for probe in probes if probe.facts is not None]
    if len(facts) != len(probes):
        raise ValueError("clips that cannot be spliced are probed by FFmpeg before they are planned")
    return facts


def _differences(facts: Sequence[MediaFacts]) -> Iterator[Mismatch]:
    model = majority(facts)
    for number, clip in enumerate(facts):
        yield from differences(number, facts[model], clip)


def _copy(found: _Found) -> CompilePlan | None:
    """Pictures that only lie in the wrong file, or beside the wrong sound, stay as they are."""
    facts, odd = found.facts, found.odd_pictures
    if found.wishes.container != "mp4" and all(map(is_webm, facts)) and not list(requested(found.probes, found.wishes)):
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
    if not alone or any(map(held_seconds, facts)) or any(map(_sounds_on, facts)) or not sounds_alike(facts):
        return None
    if not all(is_copied_by_ffmpeg(facts[model], clip) for clip in facts):
        return None
    target, notes = target_of(facts, model=model), _as_notes(found.mismatches)
    return CompilePlan(COPY, model, target, (), notes, found.refused, container="webm")


def _sounds_on(clip: MediaFacts) -> bool:
    """Whether its audio goes on behind its last frame, where a film that is joined as it is would wait for it."""
    if clip.video is None or clip.audio is None:
        return False
    ends = [part.start_seconds + part.duration_seconds for part in (clip.video, clip.audio)]
    return ends[1] - ends[0] > LONGEST_TAIL_SECONDS


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
    reasons = tuple(
        one.sentence
        for one in found.mismatches
        if one.severity == ENCODE and one.name not in MENDED_BY_REWRAPPING and not _is_unread(found.probes, one)
    )
    return reasons or ("The clips' frames or audio cannot follow one another in one file as they are.",)


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
    target = target_of(found.facts, found.wishes, model, square=True)
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
    if refusals(kept, whole_sound=True):
        return "The clips that could stay as they are do not fit together."
    model = next(facts[number].video for number in range(len(probes)) if number not in odd)
    if model is None or model.codec != "h264" or model.pixel_format != "yuv420p" or model.interlaced:
        return "Only beside progressive H.264 with 8 bits can encoded clips be put."
    pictures = [clip.video.frames if clip.video else 0 for clip in facts]
    share = sum(pictures[number] for number in odd) / max(sum(pictures), 1)
    return f"{share:.0%} of the pictures would be encoded anyway." if share > MOST_ENCODED_SHARE else None
