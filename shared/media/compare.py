"""Why two clips cannot share a track, and which format most of a film has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from shared.media.probe import AudioFacts, MediaFacts, VideoFacts

# What a mismatch costs: its clip is encoded anew, all sound is, or nothing.
ENCODE, SOUND, NOTE = "encode", "sound", "note"
_VIDEO = {
    "codec": "codec", "width": "width", "height": "height", "sar": "pixel aspect", "pixel_format": "pixel format",
    "rotation": "rotation", "extradata": "decoder configuration", "transfer": "colours", "interlaced": "interlacing",
}  # fmt: skip
_AUDIO = {"codec": "codec", "sample_rate": "sample rate", "layout": "channels", "extradata": "decoder configuration"}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a clip (None: the film) is not like the others: a stable name, what it costs, a sentence for people.

    `of_ffmpeg`: found by comparing what FFmpeg says; two clips that differ so may still be spliced.
    """

    clip: int | None
    name: str
    severity: str
    sentence: str
    of_ffmpeg: bool = False


def differences(number: int, model: MediaFacts, clip: MediaFacts) -> Iterator[Mismatch]:
    """In what clip `number` differs from the model."""
    yield from _unlike(number, "video", _VIDEO, model.video, clip.video)
    if clip.video is not None and clip.video.hidden:
        sentence = f"Clip {number + 1} hides pictures behind an edit list."
        yield Mismatch(number, "hidden_pictures", ENCODE, sentence, of_ffmpeg=True)
    if (model.audio is None) != (clip.audio is None):
        what = "no sound, unlike others" if clip.audio is None else "sound, unlike others"
        yield Mismatch(number, "audio_presence", SOUND, f"Clip {number + 1} has {what}.", of_ffmpeg=True)
    elif clip.audio is not None:
        yield from _unlike(number, "audio", _AUDIO, model.audio, clip.audio)


def _unlike(
    number: int, kind: str, names: Mapping[str, str], model: VideoFacts | AudioFacts | None,
    clip: VideoFacts | AudioFacts | None,
) -> Iterator[Mismatch]:  # fmt: skip
    severity = ENCODE if kind == "video" else SOUND
    for name, words in names.items():
        others, own = getattr(model, name, None), getattr(clip, name, None)
        if own != others:
            sentence = _sentence(number, words if kind == "video" else f"sound {words}", own, others)
            yield Mismatch(number, f"{kind}_{name}", severity, sentence, of_ffmpeg=True)


def is_copied_by_ffmpeg(model: MediaFacts, clip: MediaFacts) -> bool:
    """Whether FFmpeg can put the clip's pictures behind the model's without touching them."""
    return all(one.severity != ENCODE for one in differences(0, model, clip))


def sounds_alike(facts: Sequence[MediaFacts]) -> bool:
    """Whether the clips' sounds can follow one another in a track without being touched."""
    return not any(one.severity == SOUND for clip in facts for one in differences(0, facts[0], clip))


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


def _sentence(number: int, words: str, own: object, others: object) -> str:
    if words.endswith("configuration"):
        return f"Clip {number + 1} has another {words} than most of the film."
    return f"Clip {number + 1}: {words} {_shown(own)}, most of the film {_shown(others)}."


def _shown(value: object) -> str:
    return str(float(value)) if isinstance(value, Fraction) else str(value) or "not said"
