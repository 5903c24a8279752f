"""What is known of a film before it is planned: what stops it, what is asked of its clips, what callers should know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from shared.domain.errors import BadMedia
from shared.media.compare import ENCODE, NOTE, Mismatch, ProbedClip
from shared.media.facts import clip_facts
from shared.media.sound import held_seconds
from shared.media.target import SHORTEST_SIDE, Wishes, usual_rate

LONGEST_FILM_SECONDS = 3600
FIRST_FRAME_HELD = "first_frame_held"
# What a film's own answer says of it too.
FILM_NOTES = {FIRST_FRAME_HELD}


def check(probes: Sequence[ProbedClip]) -> None:
    """Raises BadMedia for a clip without a picture, a still image, a clip that was cut off, or a film too long."""
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
        if probe.is_cut_off:
            raise BadMedia(
                f"Clip {number + 1} was cut off: its index names media behind its end. Upload it whole.",
                code="mp4_cut_off",
            )
        if probe.shows_parts and probe.disagreement:
            raise BadMedia(
                f"Clip {number + 1} is shown through an edit list of several parts that cannot be followed "
                f"({probe.disagreement}): export it anew as it plays.",
                code="odd_edits",
            )
        if not has_picture and (probe.facts is not None or probe.clip is not None):
            raise BadMedia(f"Clip {number + 1} has no picture: leave it out or name a video.", code="no_picture")
    if seconds > LONGEST_FILM_SECONDS:
        raise BadMedia("The film would be longer than an hour: compile it in parts.", code="film_too_long")


def requested(probes: Sequence[ProbedClip], wishes: Wishes) -> Iterator[Mismatch]:
    """Clips that are not what was requested."""
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


def held_frames(probes: Sequence[ProbedClip]) -> Iterator[Mismatch]:
    """Clips whose first frame is shown before its time, as their audio begins earlier."""
    for number, probe in enumerate(probes):
        picture = probe.clip.picture if probe.clip else None
        held = held_seconds(probe.facts) if probe.facts else picture.held_seconds if picture else Fraction(0)
        if held:
            sentence = (
                f"Clip {number + 1}: its first frame is held for {float(held):.2f} s, as its audio begins earlier."
            )
            yield Mismatch(number, FIRST_FRAME_HELD, NOTE, sentence)
