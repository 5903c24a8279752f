"""What a clip is, in plain values: the answer to a probe, without decoding a picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from shared.media.clip import Clip, Picture, PictureConfig, Sound, shape
from shared.media.colour import HYBRID_LOG_GAMMA, PERCEPTUAL_QUANTIZER, Colour
from shared.media.h264.config import AvcConfig
from shared.media.hevc import HevcConfig
from shared.media.mp4.entries import AAC_TYPES, MP3_TYPES
from shared.media.mp4.movie import Track
from shared.media.mp4.pixels import Pixels, pixels_of
from shared.media.presentation import orientation
from shared.media.timeline import PictureTimes

CODECS = {
    "avc1": "h264",
    "avc3": "h264",
    "hvc1": "hevc",
    "hev1": "hevc",
    "vvc1": "vvc",
    "av01": "av1",
    "vp08": "vp8",
    "vp09": "vp9",
    "mp4v": "mpeg4",
    "jpeg": "mjpeg",
    "ac-3": "ac3",
    "ec-3": "eac3",
    "Opus": "opus",
    "fLaC": "flac",
    ".mp3": "mp3",
    "sowt": "pcm",
    "twos": "pcm",
    "lpcm": "pcm",
    "in24": "pcm",
    "fl32": "pcm",
}
AVC_PROFILES = {
    66: "Baseline",
    77: "Main",
    88: "Extended",
    100: "High",
    110: "High 10",
    122: "High 4:2:2",
    244: "High 4:4:4 Predictive",
    44: "CAVLC 4:4:4",
}
HEVC_PROFILES = {1: "Main", 2: "Main 10", 3: "Main Still Picture", 4: "Rext"}
CHROMA = {0: "gray", 1: "yuv420p", 2: "yuv422p", 3: "yuv444p"}
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "7.1"}
HDR = {PERCEPTUAL_QUANTIZER: "pq", HYBRID_LOG_GAMMA: "hlg"}
_CONSTRAINED = 0x40


@dataclass(frozen=True, slots=True)
class EditFacts:
    """One entry of a track's edit list: what is shown of the track from when on; None shows nothing for a while."""

    handler: str
    seconds: float
    from_seconds: float | None
    speed: float


@dataclass(frozen=True, slots=True)
class VideoTrackFacts:
    """The track that is the clip's, by its id.

    Width and height in pixels as coded, `display_*` after turning but before the pixel aspect; None: not known.

    The picture is mirrored left to right if it says so and then turned clockwise by `rotation_degrees`.
    """

    codec: str
    profile: str | None
    level: str | None
    width: int
    height: int
    display_width: int
    display_height: int
    fps: Fraction | None
    constant_rate: bool | None
    sar: Fraction
    pixel_format: str | None
    bit_depth: int | None
    rotation_degrees: int
    mirrored: bool
    colour: Colour
    hdr: str | None
    interlaced: bool | None
    gop: str | None
    frames: int | None
    seconds: float | None
    track: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class AudioTrackFacts:
    """The track that is the clip's, by its id. `priming_samples` are decoded but not heard."""

    codec: str
    sample_rate: int
    channels: int
    layout: str | None
    priming_samples: int
    seconds: float | None
    track: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """`header_seconds` is what the file says of itself, `seconds` what its tables show; None: they show nothing."""

    brand: str
    size_bytes: int
    fragmented: bool
    moov_first: bool
    video: VideoTrackFacts | None
    audio: AudioTrackFacts | None
    edits: tuple[EditFacts, ...]
    header_seconds: float | None
    seconds: float | None
    faults: tuple[str, ...]


def clip_facts(clip: Clip) -> ClipFacts:
    """Never raises: what cannot be known is None, and `faults` say why."""
    movie = clip.file.movie
    parts = [part for part in (clip.picture, clip.sound) if part is not None]
    faults = [
        *clip.faults,
        *(clip.picture.faults if clip.picture else ()),
        *(clip.sound.track.faults if clip.sound else ()),
    ]
    ends = [end for end in (_end(part, movie.timescale) for part in parts) if end is not None]
    return ClipFacts(
        brand=clip.file.brand.strip(),
        size_bytes=clip.file.size_bytes,
        fragmented=clip.file.fragmented,
        moov_first=clip.file.moov_first,
        video=_video(clip.picture) if clip.picture else None,
        audio=_audio(clip.sound) if clip.sound else None,
        edits=tuple(edit for part in parts for edit in _edits(part.track, movie.timescale)),
        header_seconds=movie.duration / movie.timescale if 0 < movie.duration < 2**32 - 1 else None,
        seconds=float(max(ends)) if ends else None,
        faults=tuple(dict.fromkeys(faults)),
    )


def _video(picture: Picture) -> VideoTrackFacts:
    config, times, count = picture.config, picture.times, picture.tables.sizes.count
    main = config.main if isinstance(config, AvcConfig) and config.parsed else None
    depths = main or (config if isinstance(config, HevcConfig) else pixels_of(picture.entry))
    width, height = shape(picture).coded
    turned = orientation(picture.track.matrix)
    colour = picture.entry.colour or (main.usability.colour if main else Colour())
    if colour.full_range is None and main is not None:
        colour = replace(colour, full_range=main.usability.colour.full_range)
    profile, level = (depths.profile, None) if isinstance(depths, Pixels) else _profile(config)
    return VideoTrackFacts(
        track=picture.track.id,
        enabled=picture.track.enabled,
        codec=CODECS.get(picture.entry.kind, picture.entry.kind.strip()),
        profile=profile,
        level=level,
        width=width,
        height=height,
        display_width=height if turned.degrees % 180 else width,
        display_height=width if turned.degrees % 180 else height,
        fps=times.fps if times and times.ticks else None,
        constant_rate=times.constant_rate if times else None,
        sar=shape(picture).pixel_aspect,
        pixel_format=_pixel_format(depths.chroma_format, depths.bit_depth_luma) if depths else None,
        bit_depth=depths.bit_depth_luma if depths else None,
        rotation_degrees=turned.degrees,
        mirrored=turned.mirrored,
        colour=colour,
        hdr=HDR.get(colour.transfer),
        interlaced=not main.progressive if main else None,
        gop=_gop(picture),
        frames=(times.shown if times else count) or None,
        seconds=float(times.seconds) if times else None,
    )


def _profile(config: PictureConfig | None) -> tuple[str | None, str | None]:
    if isinstance(config, HevcConfig):
        return HEVC_PROFILES.get(config.profile), str(config.level / 30)
    if not isinstance(config, AvcConfig) or not config.parsed:
        return None, None
    name = AVC_PROFILES.get(config.main.profile)
    if name == "Baseline" and config.main.compatibility & _CONSTRAINED:
        name = "Constrained Baseline"
    return name, str(config.main.level / 10)


def _pixel_format(chroma_format: int, bit_depth: int) -> str:
    """FFmpeg's name."""
    name = CHROMA[chroma_format]
    return name if bit_depth == 8 else f"{name}{bit_depth}le"


def _gop(picture: Picture) -> str | None:
    if picture.scan is None or not picture.scan.scanned:
        return None
    marked = picture.track.tables.sync if picture.track.tables else None
    if picture.scan.keys is not None and marked is not None and len(picture.scan.keys) < len(marked):
        # What it calls key frames are some that need others.
        return "open"
    return "closed" if picture.scan.closed == picture.scan.scanned else "open"


def _audio(sound: Sound) -> AudioTrackFacts:
    aac, times = sound.entry.aac, sound.times
    rate, channels = sound.entry.sample_rate or sound.track.timescale, sound.entry.channels
    if aac is not None:
        rate = aac.sample_rate * (2 if aac.sbr else 1)
        channels = 2 if aac.ps else aac.channels or channels
    return AudioTrackFacts(
        track=sound.track.id,
        enabled=sound.track.enabled,
        codec=_audio_codec(sound),
        sample_rate=rate,
        channels=channels,
        layout=LAYOUTS.get(aac.channel_config if aac and not aac.ps else channels),
        priming_samples=times.priming if times else 0,
        seconds=max(0, times.heard_end - times.priming) / times.timescale if times else None,
    )


def _audio_codec(sound: Sound) -> str:
    kind = sound.entry.object_type
    if kind in AAC_TYPES:
        return "he-aac" if sound.entry.aac and (sound.entry.aac.sbr or sound.entry.aac.ps) else "aac"
    if kind in MP3_TYPES:
        return "mp3"
    return CODECS.get(sound.entry.kind, sound.entry.kind.strip())


def _edits(track: Track, movie_timescale: int) -> list[EditFacts]:
    return [
        EditFacts(
            track.handler,
            edit.duration / movie_timescale,
            None if edit.is_empty else edit.media_time / track.timescale,
            edit.rate / 0x10000,
        )
        for edit in track.edits
    ]


def _end(part: Picture | Sound, movie_timescale: int) -> Fraction | None:
    """When the last picture or packet ends in the clip's own time; edits that hide something have the word."""
    times = part.times
    if times is None:
        return None
    hides = times.odd_edits or (isinstance(times, PictureTimes) and times.shown < times.pictures)
    if hides and all(edit.duration for edit in part.track.edits):
        return Fraction(sum(edit.duration for edit in part.track.edits), movie_timescale)
    return times.end_seconds
