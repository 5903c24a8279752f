"""Probed clips for plans: MP4s that index and FFmpeg read alike, and files of other kinds."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from shared.media.aac.config import AudioConfig
from shared.media.colour import Colour
from shared.media.compare import ProbedClip
from shared.media.probe import AudioFacts, VideoFacts
from tests.unit.media.built import (
    STEREO,
    audio_facts,
    clip_of,
    edits,
    media_facts,
    mp4,
    picture,
    runs,
    sound,
    unread,
    video_facts,
)

LARGE, SMALL = (1280, 720), (320, 180)
MONO, SIX = replace(STEREO, channel_config=1), replace(STEREO, channel_config=6)
LOW_RATE = replace(STEREO, sample_rate=16000)
HE_AAC = AudioConfig(2, 22050, 2, 1024, True, False)
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
OPUS = {"codec": "opus", "sample_rate": 48000, "extradata": "opus", "profile": ""}
MATROSKA = "matroska,webm"


def h264(audio: AudioConfig | None = STEREO, /, *, references: int = 1, **of_video: Any) -> ProbedClip:
    """An MP4 of H.264. `size`, `fps`, `frames` and `codec` are of index and facts, others of the facts alone."""
    named = {name: of_video[name] for name in ("size", "fps", "frames", "codec") if name in of_video}
    interlaced = of_video.get("interlaced", False)
    video = picture(references=references, progressive=not interlaced, **named)
    facts = video_facts(**of_video)
    extradata = f"{facts.codec} {facts.width}x{facts.height} {references}"
    audible = sound(config=audio, seconds=video.times.seconds if video.times else Fraction(2)) if audio else None
    return mp4(video, audible, media_facts(replace(facts, extradata=extradata), heard(audio, facts)))


def heard(audio: AudioConfig | None, video: VideoFacts) -> AudioFacts | None:
    """FFmpeg's facts of such audio, as long as the video."""
    if audio is None:
        return None
    return audio_facts(
        sample_rate=audio.sample_rate * (2 if audio.sbr else 1),
        layout=LAYOUTS[audio.channels],
        channels=audio.channels,
        duration_seconds=video.duration_seconds,
        extradata=f"{audio.sample_rate} {audio.channels}",
        profile="HE-AAC" if audio.sbr else "LC",
    )


def other(container: str, audio: dict[str, Any] | None = None, /, **of_video: Any) -> ProbedClip:
    """A file that is no MP4, of the same frames and audio as `h264()` unless it is said otherwise."""
    facts = video_facts(**{"extradata": "h264 640x360 1", **of_video})
    stereo = heard(STEREO, facts)
    assert stereo is not None
    return unread(facts, replace(stereo, **(audio or {})), container)


def silent(container: str, **of_video: Any) -> ProbedClip:
    """A file that is no MP4 and has no audio."""
    return unread(video_facts(**of_video), None, container)


def webm(audio: dict[str, Any] | None = None, /, **of_video: Any) -> ProbedClip:
    """A WebM of VP9 and Opus."""
    return other(MATROSKA, {**OPUS, **(audio or {})}, **{"codec": "vp9", "extradata": "", **of_video})


def changed(probe: ProbedClip, **of_picture: Any) -> ProbedClip:
    """The clip with another picture, its facts left as they are."""
    assert probe.clip is not None
    assert probe.clip.picture is not None
    return replace(probe, clip=replace(probe.clip, picture=replace(probe.clip.picture, **of_picture)))


def cut_off(probe: ProbedClip) -> ProbedClip:
    """The clip whose file ends before its last samples."""
    assert probe.clip is not None
    return replace(probe, clip=replace(probe.clip, file=replace(probe.clip.file, size_bytes=1000)))


def with_edits(*rows: tuple[int, int] | tuple[int, int, int], frames: int, hidden: int = 0) -> ProbedClip:
    """Frames of 640x360 behind an edit list, of which FFmpeg shows so many."""
    video = picture(edits=edits(*rows))
    facts = video_facts(frames=frames, hidden=hidden, duration_seconds=Fraction(frames, 24), extradata="h264 640x360 1")
    return mp4(video, None, media_facts(facts, None))


def with_clock(timescale: int, frame_ticks: int, *, frames: int = 48) -> ProbedClip:
    """A silent MP4 whose clock ticks so often a second, and whose frames last so many ticks."""
    video = picture(deltas=runs((frames, frame_ticks)), timescale=timescale)
    fps = Fraction(timescale, frame_ticks)
    return mp4(video, None, media_facts(video_facts(frames=frames, fps=fps, extradata="h264 640x360 1"), None))


def late(probe: ProbedClip, seconds: Fraction) -> ProbedClip:
    """The clip with its frames so much later than its audio, the first one held from the beginning by the index."""
    moved = shown_as(probe, start_seconds=seconds)
    return changed(moved, held_seconds=seconds) if moved.clip is not None else moved


def coloured(probe: ProbedClip, colour: Colour) -> ProbedClip:
    """The clip with colours that its index names."""
    assert probe.clip is not None
    assert probe.clip.picture is not None
    return changed(probe, entry=replace(probe.clip.picture.entry, colour=colour))


def shown_as(probe: ProbedClip, **of_video: Any) -> ProbedClip:
    """The clip with other facts of FFmpeg's about its video."""
    assert probe.facts is not None
    assert probe.facts.video is not None
    return replace(probe, facts=replace(probe.facts, video=replace(probe.facts.video, **of_video)))


def without_facts(probe: ProbedClip) -> ProbedClip:
    """As the engine alone has read it."""
    return replace(probe, facts=None)


def without_picture(probe: ProbedClip) -> ProbedClip:
    """With its audio alone."""
    assert probe.clip is not None
    facts = None if probe.facts is None else replace(probe.facts, video=None)
    return ProbedClip(clip_of(None, probe.clip.sound), facts)
