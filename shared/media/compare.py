"""Why clips cannot share a track, and which format most of a film has."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from shared.media.clip import Clip
from shared.media.probe import AudioFacts, MediaFacts, VideoFacts
from shared.media.second_reading import Shown, disagreement, shown_by_ffmpeg
from shared.media.splice.payload import used_range
from shared.media.splice.refusals import Refusal, refusals

# What a mismatch costs: its clip is encoded anew, all sound is, or nothing.
ENCODE, SOUND, NOTE = "encode", "sound", "note"
SPLICED_CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4")
WEBM_PICTURES, WEBM_SOUNDS = ("vp8", "vp9", "av1"), ("opus", "vorbis")
_VIDEO = {
    "codec": "codec",
    "width": "width",
    "height": "height",
    "sar": "pixel aspect",
    "pixel_format": "pixel format",
    "rotation": "rotation",
    "extradata": "decoder configuration",
    "transfer": "colours",
    "interlaced": "interlacing",
}
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


@dataclass(frozen=True, slots=True)
class ProbedClip:
    """What is known of a clip: its index (None and `fault` for what is no readable MP4), and FFmpeg's word of it.

    `shown`: what FFmpeg showed of it when it was decoded. FFmpeg is asked for facts only where `plan_splice` finds no
    plan.
    """

    clip: Clip | None
    facts: MediaFacts | None = None
    fault: str | None = None
    shown: Shown | None = None

    @property
    def is_still(self) -> bool:
        """Whether it is a file of one image, which says of no time how long it is shown."""
        if self.facts is None or self.clip is not None or self.facts.audio is not None:
            return False
        return self.facts.is_image

    @property
    def is_cut_off(self) -> bool:
        """Whether its index names media behind the end of the file."""
        return self.clip is not None and used_range(self.clip)[1] > self.clip.file.size_bytes

    @property
    def shows_parts(self) -> bool:
        """Whether an edit list presents several parts of it, or one at another speed."""
        if self.clip is None:
            return False
        times = [part.times for part in (self.clip.picture, self.clip.sound) if part is not None]
        return any(one is not None and one.odd_edits for one in times)

    @property
    def disagreement(self) -> str | None:
        """In what FFmpeg reads it otherwise than its index; None where they agree or nothing is known."""
        if self.clip is None:
            return None
        by_ffmpeg = (self.shown, shown_by_ffmpeg(self.facts) if self.facts else None)
        return next(filter(None, (disagreement(self.clip, shown) for shown in by_ffmpeg)), None)


def unlike(probes: Sequence[ProbedClip], encoded: Collection[int] = ()) -> tuple[Mismatch, ...]:
    """Why the clips cannot be spliced as they are: because of their pictures, or of their sound alone.

    `encoded`: clips that are encoded in any case, like the others, and have no say in what those are like.
    """
    kept = [(n, probe.clip) for n, probe in enumerate(probes) if probe.clip is not None and n not in encoded]
    numbers, clips = [number for number, _ in kept], [clip for _, clip in kept]
    unread = (
        Mismatch(number, probe.fault or "not_mp4", ENCODE, f"Clip {number + 1} is no MP4 that can be spliced.")
        for number, probe in enumerate(probes)
        if probe.clip is None
    )
    otherwise = (
        Mismatch(number, "read_otherwise", ENCODE, f"Clip {number + 1}: {probe.disagreement}.")
        for number, probe in enumerate(probes)
        if probe.disagreement
    )
    found = refusals(clips) if clips else ()
    of_pictures = refusals(clips, whole_sound=True) if found else ()
    return (
        *unread,
        *otherwise,
        *(_mismatch(one, numbers, ENCODE) for one in of_pictures),
        *(_mismatch(one, numbers, SOUND) for one in (_of_sounds(clips, found) if found else ())),
    )


def _of_sounds(clips: Sequence[Clip], found: Sequence[Refusal]) -> Iterator[Refusal]:
    """What is wrong with the sound of each, and of all beside each other."""
    for number, clip in enumerate(clips):
        of_picture = refusals([clip], whole_sound=True)
        yield from (replace(one, clip=number) for one in refusals([clip]) if one not in of_picture)
    yield from (one for one in found if one.code in ("audio_differs", "audio_rate"))


def _mismatch(one: Refusal, numbers: Sequence[int], severity: str) -> Mismatch:
    """With the clip's number among all that were asked for."""
    if one.clip is None:
        return Mismatch(None, one.code, severity, one.sentence)
    number = numbers[one.clip]
    return Mismatch(number, one.code, severity, re.sub(r"^Clip \d+", f"Clip {number + 1}", one.sentence))


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
    number: int,
    kind: str,
    names: Mapping[str, str],
    model: VideoFacts | AudioFacts | None,
    clip: VideoFacts | AudioFacts | None,
) -> Iterator[Mismatch]:
    severity = ENCODE if kind == "video" else SOUND
    for name, words in names.items():
        others, own = getattr(model, name, None), getattr(clip, name, None)
        if own != others:
            sentence = _sentence(number, words if kind == "video" else f"sound {words}", own, others)
            yield Mismatch(number, f"{kind}_{name}", severity, sentence, of_ffmpeg=True)


def is_copied_by_ffmpeg(model: MediaFacts, clip: MediaFacts) -> bool:
    """Whether the clip's pictures can follow the model's without being touched.

    Parameter sets of H.264 may differ: the splice unites them.
    """
    united = {"video_extradata"} if model.video and clip.video and model.video.codec == "h264" else set()
    return all(one.severity != ENCODE or one.name in united for one in differences(0, model, clip))


def can_be_spliced(clip: MediaFacts) -> bool:
    """Whether its pictures can be spliced once they lie in an MP4."""
    return clip.video is not None and clip.video.codec in SPLICED_CODECS


def is_webm(clip: MediaFacts) -> bool:
    """Whether it is a WebM: of the Matroska family, with nothing that only its wider relative holds."""
    if "webm" not in clip.container or clip.video is None:
        return False
    return clip.video.codec in WEBM_PICTURES and (clip.audio is None or clip.audio.codec in WEBM_SOUNDS)


def is_plain_aac(clip: MediaFacts) -> bool:
    """Whether its sound can be spliced once it lies in an MP4; a stream does not always tell the profile at once."""
    sound = clip.audio
    return sound is not None and sound.codec == "aac" and sound.profile in ("LC", "") and sound.channels <= 2


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
