"""Clips and facts made of dataclasses, without a file: all agree with one another unless a test changes one."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import Any

from shared.media.aac.config import AudioConfig
from shared.media.clip import Clip, EqualConfig, Picture, PictureConfig, Sound
from shared.media.compare import ProbedClip
from shared.media.h264.config import build_avc_config, config_of_sets
from shared.media.heads import SyncScan
from shared.media.hevc import HevcConfig
from shared.media.mp4.entries import AudioEntry, VisualEntry
from shared.media.mp4.movie import PICTURE, SOUND, UNIT_MATRIX, Edit, Movie, Track
from shared.media.mp4.reading import Mp4File
from shared.media.mp4.tables import Runs, SampleTables, Sizes, run_length
from shared.media.probe import AudioFacts, MediaFacts, VideoFacts
from shared.media.timeline import picture_times, sound_times

MOVIE_TIMESCALE = 1000
FRAME_TICKS = 512
FRAME_BYTES, PACKET_BYTES = 1000, 100
NORMAL = 0x10000
MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
KINDS = {"h264": "avc1", "hevc": "hvc1", "vp9": "vp09", "av1": "av01", "mpeg4": "mp4v"}
STEREO = AudioConfig(2, 44100, 2, 1024, False, False)


def video_facts(**changes: Any) -> VideoFacts:
    """640x360 at 24 frames a second for two seconds, H.264; the decoder configuration differs by codec and size."""
    size = (changes.pop("size", (640, 360)), changes.pop("fps", Fraction(24)), changes.pop("frames", 48))
    (width, height), fps, frames = size
    facts = VideoFacts(
        codec="h264",
        width=width,
        height=height,
        sar=Fraction(1),
        pixel_format="yuv420p",
        fps=fps,
        frames=frames,
        duration_seconds=frames / fps,
        start_seconds=Fraction(0),
        extradata=f"{changes.get('codec', 'h264')} {width}x{height}",
        profile="High",
    )
    return replace(facts, **changes)


def audio_facts(**changes: Any) -> AudioFacts:
    """Two seconds of AAC-LC in stereo at 44.1 kHz."""
    facts = AudioFacts("aac", 44100, "stereo", 2, 88, Fraction(2), Fraction(0), "1210", profile="LC")
    return replace(facts, **changes)


def media_facts(video: VideoFacts | None, audio: AudioFacts | None, container: str = MP4) -> MediaFacts:
    """As long as from the earlier beginning to the later end."""
    parts = [part for part in (video, audio) if part is not None]
    end = max(part.start_seconds + part.duration_seconds for part in parts)
    return MediaFacts(container, video, audio, end - min(part.start_seconds for part in parts))


def runs(*rows: tuple[int, int]) -> Runs:
    """A column of counts and values, signed where a value is."""
    typecode = "i" if any(value < 0 for _, value in rows) else "I"
    return Runs(array("I", [count for count, _ in rows]), array(typecode, [value for _, value in rows]))


def tables_of(deltas: Runs, sample_bytes: int, offset: int, sync: Iterable[int] | None = (1,)) -> SampleTables:
    """Samples of one size in one chunk."""
    count = deltas.samples
    return SampleTables(
        deltas=deltas,
        shifts=None,
        sync=None if sync is None else array("I", sync),
        sizes=Sizes(count, sample_bytes, array("I")),
        chunk_offsets=array("Q", [offset]),
        chunk_ends=array("Q", [offset + count * sample_bytes]),
        chunk_samples=array("I", [count]),
        descriptions_used=frozenset({1}),
    )


def track_of(handler: str, timescale: int, tables: SampleTables | None, **changes: Any) -> Track:
    """An enabled track, upright, without an edit list."""
    track = Track(
        id=1 if handler == PICTURE else 2,
        handler=handler,
        enabled=True,
        matrix=UNIT_MATRIX,
        timescale=timescale,
        duration=tables.deltas.total if tables else 0,
        language=0,
        edits=(),
        entries=1,
        entry=None,
        tables=tables,
        external=False,
        faults=(),
    )
    return replace(track, **changes)


def edits(*rows: tuple[int, int] | tuple[int, int, int]) -> tuple[Edit, ...]:
    """Length in milliseconds, first tick of the media (-1: nothing), rate if it is not the normal one."""
    return tuple(Edit(row[0], row[1], row[2] if len(row) > 2 else NORMAL) for row in rows)


def picture(
    *,
    size: tuple[int, int] = (640, 360),
    fps: Fraction = Fraction(24),
    frames: int = 48,
    codec: str = "h264",
    references: int = 1,
    progressive: bool = True,
    deltas: Runs | None = None,
    timescale: int | None = None,
    **of_track: Any,
) -> Picture:
    """A video track as it is read; `of_track` are changes of the track."""
    config = config_of(codec, size, references, progressive)
    record = b"record" if isinstance(config, (EqualConfig, HevcConfig)) else build_avc_config(config)
    entry = VisualEntry(KINDS[codec], *size, config=record, pixel_aspect=None, colour=None)
    tables = tables_of(deltas or runs((frames, FRAME_TICKS * fps.denominator)), FRAME_BYTES, 1000)
    track = track_of(PICTURE, timescale or FRAME_TICKS * fps.numerator, tables, entry=entry, **of_track)
    times = picture_times(track, tables, MOVIE_TIMESCALE)
    scan = SyncScan(1, 0, frozenset(), frozenset(), 1, closed_start=True)
    return Picture(track, entry, tables, config, times, scan, ())


def config_of(codec: str, size: tuple[int, int], references: int, progressive: bool) -> PictureConfig:
    """A decoder configuration; `references` make H.264's parameter sets unlike others of the same size."""
    if codec == "h264":
        return config_of_sets(4, (h264_sps(size, references, progressive), bytes.fromhex("68ce3c80")))
    if codec == "hevc":
        return HevcConfig(4, 1, 93, 1, 8, 8, (b"\x40vps", b"\x42sps", b"\x44pps"))
    return EqualConfig(f"{codec} {size}".encode())


def h264_sps(size: tuple[int, int], references: int = 1, progressive: bool = True) -> bytes:
    """A sequence parameter set of High profile, 4:2:0 with 8 bits (ISO 14496-10, 7.3.2.1.1)."""
    across, down = -(-size[0] // 16), -(-size[1] // (16 if progressive else 32))
    missing = (across * 16 - size[0]) // 2, (down * (16 if progressive else 32) - size[1]) // (2 if progressive else 4)
    bits = "".join(map(_golomb, (0, 1, 0, 0))) + "00"
    bits += "".join(map(_golomb, (0, 2, references))) + "0"
    bits += _golomb(across - 1) + _golomb(down - 1) + ("1" if progressive else "00") + "1"
    bits += "1" + "".join(map(_golomb, (0, missing[0], 0, missing[1]))) + "0"
    bits += "1" + "0" * (-(len(bits) + 1) % 8)
    return b"\x67\x64\x00\x1f" + int(bits, 2).to_bytes(len(bits) // 8, "big")


def _golomb(value: int) -> str:
    """An unsigned Exp-Golomb code (9.1)."""
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def sound(
    *, seconds: Fraction = Fraction(2), config: AudioConfig | None = STEREO, kind: str = "mp4a", **of_track: Any
) -> Sound:
    """An audio track behind an edit list that hides its priming, as encoders write it."""
    rate = config.sample_rate if config else 48000
    packets = ceil(seconds * rate / 1024) + 1
    tables = tables_of(runs((packets, 1024)), PACKET_BYTES, 500_000, None)
    entry = AudioEntry(kind, config.channels if config else 2, rate, b"esds", 0x40, config)
    presented = edits((round(seconds * MOVIE_TIMESCALE), 1024))
    track = track_of(SOUND, rate, tables, entry=entry, **{"edits": presented, **of_track})
    return Sound(track, entry, tables, sound_times(track, tables, MOVIE_TIMESCALE))


def clip_of(video: Picture | None, audio: Sound | None, *, fragmented: bool = False) -> Clip:
    """An MP4 of these tracks whose media lie in one payload."""
    tracks = tuple(part.track for part in (video, audio) if part is not None)
    movie = Movie(MOVIE_TIMESCALE, 0, fragmented, tracks)
    file = Mp4File(10**9, "isom", movie, ((100, 10**9),), True, fragmented, ())
    return Clip(file, video, audio, ())


def mp4(video: Picture, audio: Sound | None, facts: MediaFacts | None) -> ProbedClip:
    """An MP4 that both the engine and FFmpeg have read."""
    return ProbedClip(clip_of(video, audio), facts)


def unread(video: VideoFacts | None, audio: AudioFacts | None, container: str) -> ProbedClip:
    """A file of another kind, which FFmpeg alone has read."""
    return ProbedClip(None, media_facts(video, audio, container), "not_mp4")


def one_by_one(values: Sequence[int], typecode: str = "I") -> Runs:
    """A run-length coded column of one value a sample."""
    return run_length(array(typecode, values))
