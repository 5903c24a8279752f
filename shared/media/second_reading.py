"""FFmpeg's reading of a clip beside the engine's: a film is not proved by the reading that made it.

FFmpeg reads the clip's own file with its own demuxer. Where the two do not agree, the clip is not copied by the
engine's reading: it is encoded as FFmpeg shows it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import Any

from shared.media.clip import Clip, Picture
from shared.media.presentation import Part, asks_for_speed, presented_parts
from shared.media.probe import MediaFacts
from shared.media.timeline import PictureTimes, shown_at

SPAN_TOLERANCE_SECONDS, LENGTH_TOLERANCE_SECONDS = 0.003, 0.03
# What a decoder skips at the beginning is told in several ways: a packet of AAC-LC, more of other codecs.
AUDIO_TOLERANCE_SECONDS, AUDIO_TOLERANCE_OF_OTHERS_SECONDS = 0.03, 0.1
AUDIO_LENGTH_TOLERANCE_SECONDS = 0.12


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown and heard of a clip: frames, seconds from the first one's beginning to the last one's, and how much
    later than the first frame the audio begins and how long it is. `seconds`: how long all frames last. None: not
    there, or not known.
    """

    frames: int
    span_seconds: float | None
    audio_late_seconds: float | None
    audio_seconds: float | None
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """For a row."""
        return {
            "frames": self.frames,
            "spanSeconds": self.span_seconds,
            "audioLateSeconds": self.audio_late_seconds,
            "audioSeconds": self.audio_seconds,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Shown:
        """What a row has kept."""
        return cls(kept["frames"], kept["spanSeconds"], kept["audioLateSeconds"], kept["audioSeconds"])


def shown_by_ffmpeg(facts: MediaFacts) -> Shown | None:
    """By decoding the clip, where it was, else by its packets; None for a clip without a video track."""
    decoded, video, audio = facts.decoded, facts.video, facts.audio
    if video is None:
        return None
    if decoded is None or not decoded.pictures:
        late = float(audio.start_seconds - video.start_seconds) if audio else None
        heard_seconds = float(audio.duration_seconds) if audio else None
        return Shown(video.frames, None, late, heard_seconds, float(video.duration_seconds))
    first, last = decoded.pictures[0], decoded.pictures[-1]
    heard = audio is not None and decoded.samples > 0
    return Shown(
        len(decoded.pictures),
        round(last - first, 6),
        round(decoded.sound_start - first, 6) if heard else None,
        round(decoded.sound_seconds, 6) if heard else None,
    )


def shown_by_index(clip: Clip) -> Shown | None:
    """As the clip's index presents it; None where that does not say when frames are shown."""
    picture = clip.picture
    times = picture.times if picture is not None else None
    if picture is None or times is None:
        return None
    if times.odd_edits:
        return _shown_in_parts(clip, picture)
    held, heard = picture.held_seconds, clip.sound.times if clip.sound else None
    whole = times.shown == times.pictures
    span = Fraction(times.last_shown - times.first_shown, times.timescale) - held
    if heard is None or heard.odd_edits or heard.heard_end <= heard.priming:
        return Shown(times.shown, float(span) if whole else None, None, None)
    late = heard.start_seconds - times.start_seconds - held
    length = Fraction(heard.heard_end - heard.priming, heard.timescale)
    known = whole and not times.cut_ticks
    return Shown(times.shown, float(span) if whole else None, float(late) if known else None, float(length))


def _shown_in_parts(clip: Clip, picture: Picture) -> Shown | None:
    """As an edit list of several parts presents it."""
    units, track = clip.file.movie.timescale, picture.track
    parts = presented_parts(track, units)
    if not parts:
        return None
    moments = sorted(moment + picture.tables.first_decoded for moment in shown_at(picture.tables))
    frames = sum(bisect_left(moments, ceil(part.end)) - bisect_left(moments, part.begin) for part in parts)
    return Shown(frames, None, None, _heard_in_parts(clip), _length(parts, track.timescale))


def _heard_in_parts(clip: Clip) -> float | None:
    sound = clip.sound
    parts = presented_parts(sound.track, clip.file.movie.timescale) if sound else None
    return _length(parts, sound.track.timescale) if sound and parts else None


def _length(parts: Sequence[Part], timescale: int) -> float:
    last = parts[-1]
    return float(last.at_seconds - parts[0].at_seconds + (last.end - last.begin) / timescale)


def with_length(facts: MediaFacts, times: PictureTimes) -> MediaFacts:
    """Facts of a clip that lasts as long as its index presents it: FFmpeg may not know the length of the last frame."""
    video = facts.video
    if video is None or times.odd_edits or times.shown != video.frames:
        return facts
    return replace(facts, video=replace(video, duration_seconds=times.presented_seconds))


def disagreement(clip: Clip, theirs: Shown | None) -> str | None:
    """In what FFmpeg reads the clip otherwise than its index does, as half a sentence; None where they agree."""
    if theirs is None:
        return None
    if any(asks_for_speed(part.track) for part in (clip.picture, clip.sound) if part is not None):
        return "FFmpeg plays it at its usual speed where its edit list asks for another"
    ours = shown_by_index(clip)
    return _apart_in(clip, ours, theirs) if ours is not None else None


def _apart_in(clip: Clip, ours: Shown, theirs: Shown) -> str | None:
    if ours.frames != theirs.frames:
        return f"FFmpeg shows {theirs.frames} frames of it where its index presents {ours.frames}"
    if _apart(ours.span_seconds, theirs.span_seconds, SPAN_TOLERANCE_SECONDS):
        return f"FFmpeg shows it for {theirs.span_seconds:.3f} s where its index says {ours.span_seconds:.3f} s"
    if _apart(ours.seconds, theirs.seconds, LENGTH_TOLERANCE_SECONDS):
        return f"FFmpeg shows it for {theirs.seconds:.3f} s where its index says {ours.seconds:.3f} s"
    # FFmpeg moves the frames of fragments that are shown before they are decoded (`dts_shift` in its mov.c).
    if not clip.file.fragmented and _apart(ours.audio_late_seconds, theirs.audio_late_seconds, _tolerance(clip)):
        ours_late, theirs_late = ours.audio_late_seconds, theirs.audio_late_seconds
        return f"FFmpeg hears it {theirs_late:.3f} s late where its index says {ours_late:.3f} s"
    if _is_heard_in_parts(clip):
        return "FFmpeg does not cut its audio where its edit list does"
    if _apart(ours.audio_seconds, theirs.audio_seconds, AUDIO_LENGTH_TOLERANCE_SECONDS):
        return f"FFmpeg hears it for {theirs.audio_seconds:.3f} s where its index says {ours.audio_seconds:.3f} s"
    return None


def _apart(one: float | None, other: float | None, tolerance: float) -> bool:
    return one is not None and other is not None and abs(one - other) > tolerance


def _is_heard_in_parts(clip: Clip) -> bool:
    """Whether an edit list presents several parts of its audio: FFmpeg cuts them at packets and loses their places."""
    times = clip.sound.times if clip.sound is not None else None
    return times is not None and times.odd_edits


def _tolerance(clip: Clip) -> float:
    aac = clip.sound.entry.aac if clip.sound else None
    return AUDIO_TOLERANCE_SECONDS if aac is not None and aac.is_plain_lc else AUDIO_TOLERANCE_OF_OTHERS_SECONDS
