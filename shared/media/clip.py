"""A clip as joining sees it: one picture track, one sound track, what they are and when they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from shared.domain.errors import BadMedia
from shared.media.h264.config import AvcConfig, parse_avc_config
from shared.media.heads import H264, HEVC, SyncScan, begins_with_sync, scan_heads
from shared.media.hevc import HevcConfig, parse_hevc_config
from shared.media.mp4.boxes import ByteSource
from shared.media.mp4.entries import AudioEntry, VisualEntry, equal_part
from shared.media.mp4.movie import PICTURE, SOUND, Track
from shared.media.mp4.reading import Mp4File, read_mp4
from shared.media.mp4.tables import SampleTables
from shared.media.timeline import PictureTimes, SoundTimes, has_times, picture_times, sound_times

AVC_KINDS, HEVC_KINDS = ("avc1", "avc3"), ("hvc1", "hev1")
EQUAL_KINDS = ("av01", "vp09", "mp4v")


@dataclass(frozen=True, slots=True)
class EqualConfig:
    """Of a codec whose samples are not looked into: clips go together where all of it is the same."""

    told: bytes


PictureConfig = AvcConfig | HevcConfig | EqualConfig


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture track. `times` and `scan` are None where they cannot be known; `faults` say why."""

    track: Track
    entry: VisualEntry
    tables: SampleTables
    config: PictureConfig | None
    times: PictureTimes | None
    scan: SyncScan | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound track. `times` is None where it cannot be known."""

    track: Track
    entry: AudioEntry
    tables: SampleTables
    times: SoundTimes | None


@dataclass(frozen=True, slots=True)
class Clip:
    """A file that was read. `faults` are those of the file and of tracks that could not be taken."""

    file: Mp4File
    picture: Picture | None
    sound: Sound | None
    faults: tuple[str, ...]

    @property
    def seconds_of_picture(self) -> float:
        """How long its pictures are shown; 0 where that cannot be known."""
        return float(self.picture.times.seconds) if self.picture and self.picture.times else 0.0


def read_clip(source: ByteSource, known: SyncScan | None = None) -> Clip:
    """Reads index and key pictures' heads by ranges; `known` is what an earlier look at these heads has found.

    Raises BadMp4 for what is no MP4 or has no readable index.
    """
    file = read_mp4(source)
    tracks = file.movie.tracks
    picture = _first(track for track in tracks if track.handler == PICTURE)
    sound = _first(track for track in tracks if track.handler == SOUND)
    first_decoded = min((_first_decoded(track) for track in (picture, sound) if track), default=Fraction(0))
    left_out = [track for track in tracks if track.faults and track not in (picture, sound)]
    return Clip(
        file,
        _picture(source, picture, file, known, first_decoded) if picture else None,
        _sound(sound, file, first_decoded) if sound else None,
        tuple(dict.fromkeys((*file.faults, *(fault for track in left_out for fault in track.faults)))),
    )


def _first(tracks: Iterable[Track]) -> Track | None:
    """The first enabled track that can be read and holds something, else the first readable one."""
    readable = [track for track in tracks if track.entry and track.tables]
    filled = [track for track in readable if track.tables and track.tables.sizes.count]
    enabled = [track for track in filled if track.enabled]
    return next(iter([*enabled, *filled, *readable]), None)


def _first_decoded(track: Track) -> Fraction:
    """In seconds. What was cut out of a stream counts from the stream's beginning; players begin at the clip's own."""
    return Fraction(track.tables.first_decoded, track.timescale) if track.tables else Fraction(0)


def _picture(source: ByteSource, track: Track, file: Mp4File, known: SyncScan | None, zero: Fraction) -> Picture:
    assert isinstance(track.entry, VisualEntry)
    assert track.tables is not None
    faults = list(track.faults)
    times = None
    if has_times(track.tables):
        times = picture_times(track, track.tables, file.movie.timescale)
        times = replace(times, start_seconds=times.start_seconds - zero)
    config, scan = None, None
    try:
        config = _config(track.entry)
        if config and times and track.tables.chunk_offsets:
            scan = known or _scan(source, track.tables, config)
    except BadMedia as error:
        faults.append(error.code)
    return Picture(track, track.entry, track.tables, config, times, scan, tuple(faults))


def _config(entry: VisualEntry) -> PictureConfig | None:
    if entry.kind in AVC_KINDS:
        return parse_avc_config(entry.config)
    if entry.kind in HEVC_KINDS:
        return parse_hevc_config(entry.config)
    return EqualConfig(equal_part(entry)) if entry.kind in EQUAL_KINDS and entry.config else None


def _scan(source: ByteSource, tables: SampleTables, config: PictureConfig) -> SyncScan:
    if isinstance(config, EqualConfig):
        return SyncScan(0, 0, frozenset(), frozenset(), 0, closed_start=begins_with_sync(tables))
    syntax = H264 if isinstance(config, AvcConfig) else HEVC
    return scan_heads(source, tables, config.length_bytes, syntax)


def _sound(track: Track, file: Mp4File, zero: Fraction) -> Sound:
    assert isinstance(track.entry, AudioEntry)
    assert track.tables is not None
    if not has_times(track.tables):
        return Sound(track, track.entry, track.tables, None)
    times = sound_times(track, track.tables, file.movie.timescale)
    return Sound(track, track.entry, track.tables, replace(times, start_seconds=times.start_seconds - zero))
