"""A clip as joining sees it: one picture track, one sound track, what they are and when they are shown."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from fractions import Fraction

from shared.domain.errors import BadMedia
from shared.media.h264.config import AvcConfig, config_of_sets, parse_avc_config
from shared.media.heads import H264, HEVC, SyncScan, scan_heads, scan_keys
from shared.media.hevc import HevcConfig, parse_hevc_config
from shared.media.key_frames import KEY_TESTS
from shared.media.mp4.boxes import ByteSource
from shared.media.mp4.entries import AudioEntry, VisualEntry, equal_part
from shared.media.mp4.movie import PICTURE, SOUND, Track
from shared.media.mp4.reading import Mp4File, read_mp4
from shared.media.mp4.tables import SampleTables, without_empty_samples
from shared.media.presentation import (
    HELD_ABOVE_SECONDS,
    Shape,
    Streams,
    presented_shape,
    presented_streams,
    presented_track,
)
from shared.media.timeline import (
    PictureTimes,
    SoundTimes,
    coarsest_timescale,
    has_times,
    held_longer,
    lasting,
    picture_times,
    sound_times,
)

AVC_KINDS, HEVC_KINDS = ("avc1", "avc3"), ("hvc1", "hev1")
EQUAL_KINDS = ("av01", "vp09", "mp4v")
LONGEST_HELD_TICKS = 2**30
ENCRYPTED_KINDS = ("encv", "enca", "drmi", "drms", "p608")


@dataclass(frozen=True, slots=True)
class EqualConfig:
    """Of a codec whose samples are not looked into: clips go together where all of it is the same."""

    told: bytes


PictureConfig = AvcConfig | HevcConfig | EqualConfig


@dataclass(frozen=True, slots=True)
class Picture:
    """The video track as it is presented. `times` and `scan` are None where they cannot be known; `faults` say why.

    `tables` are the track's without samples of no bytes, marked by what was found in the samples, all of them as long
    as their frames are shown, and the first held for `held_seconds`, as the clip's audio begins that much earlier.
    `late_seconds`: what the audio is earlier all the same.
    """

    track: Track
    entry: VisualEntry
    tables: SampleTables
    config: PictureConfig | None
    times: PictureTimes | None
    scan: SyncScan | None
    faults: tuple[str, ...]
    held_seconds: Fraction = Fraction(0)
    late_seconds: Fraction = Fraction(0)


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

    @property
    def streams(self) -> Streams:
        """Its tracks as FFmpeg counts them."""
        video, audio = (part.track if part is not None else None for part in (self.picture, self.sound))
        scan = self.picture.scan if self.picture is not None else None
        open_start = scan is not None and not scan.closed_start
        return replace(presented_streams(self.file.movie.tracks, video, audio), open_start=open_start)

    @property
    def encrypted(self) -> bool:
        """Whether what it presents is encrypted, in whichever way the file says so."""
        return any(part.entry.kind in ENCRYPTED_KINDS for part in (self.picture, self.sound) if part is not None)


def read_clip(source: ByteSource, known: SyncScan | None = None) -> Clip:
    """Reads index and key pictures' heads by ranges; `known` is what an earlier look at these heads has found.

    Raises BadMp4 for what is no MP4 or has no readable index.
    """
    file = read_mp4(source)
    tracks = file.movie.tracks
    video, audio = presented_track(tracks, PICTURE), presented_track(tracks, SOUND)
    first_decoded = min((_first_decoded(track) for track in (video, audio) if track), default=Fraction(0))
    left_out = [track for track in tracks if track.faults and track not in (video, audio)]
    picture = _picture(source, video, file, known, first_decoded) if video else None
    sound = _sound(audio, file, first_decoded) if audio else None
    return Clip(
        file,
        _beside(picture, sound) if picture else None,
        sound,
        tuple(dict.fromkeys((*file.faults, *(fault for track in left_out for fault in track.faults)))),
    )


def _beside(picture: Picture, sound: Sound | None) -> Picture:
    """The picture with its first frame held until the time its audio begins, where that is earlier by much."""
    times, heard = picture.times, sound.times if sound else None
    if times is None or heard is None or heard.heard_end <= heard.priming:
        return picture
    # What lies before the clip's time 0, as where a stream was cut, is not played and holds nothing.
    late = times.start_seconds - max(heard.start_seconds, Fraction(0))
    first_shift = next((value for count, value in picture.tables.shifts if count), 0) if picture.tables.shifts else 0
    ticks = round(late * times.timescale)
    can_be_held = times.first_shown == first_shift and not times.hidden_first and ticks < LONGEST_HELD_TICKS
    if late <= HELD_ABOVE_SECONDS or not can_be_held:
        return replace(picture, late_seconds=late)
    held, tables = Fraction(ticks, times.timescale), held_longer(picture.tables, ticks)
    return replace(
        picture,
        tables=tables,
        times=replace(
            times,
            ticks=times.ticks + ticks,
            last_shown=times.last_shown + ticks,
            coarsest_timescale=coarsest_timescale(times.timescale, tables),
            start_seconds=times.start_seconds - held,
        ),
        held_seconds=held,
    )


def lasting_seconds(clip: Clip, seconds: Fraction) -> Clip:
    """The clip with its last frame shown so that all of them last so long, where that can be."""
    picture = clip.picture
    times = picture.times if picture is not None else None
    if picture is None or times is None:
        return clip
    ticks = round(seconds * times.timescale)
    tables = lasting(picture.tables, ticks)
    if tables is None or ticks <= times.last_shown - times.first_shown:
        return clip
    coarsest = coarsest_timescale(times.timescale, tables)
    return replace(
        clip, picture=replace(picture, tables=tables, times=replace(times, ticks=ticks, coarsest_timescale=coarsest))
    )


def _first_decoded(track: Track) -> Fraction:
    """In seconds. What was cut out of a stream counts from the stream's beginning; players begin at the clip's own."""
    return Fraction(track.tables.first_decoded, track.timescale) if track.tables else Fraction(0)


def _picture(source: ByteSource, track: Track, file: Mp4File, known: SyncScan | None, zero: Fraction) -> Picture:
    assert isinstance(track.entry, VisualEntry)
    assert track.tables is not None
    tables, faults, times, config, scan = track.tables, list(track.faults), None, None, None
    try:
        tables, times = _presented(track, file.movie.timescale, zero)
        config = _config(track.entry)
        if config and times and tables.chunk_offsets:
            scan = known or _scan(source, track.entry, tables, config)
            tables = tables if scan.keys is None else replace(tables, sync=array("I", scan.keys))
            config = _with_sets_in_band(config, scan)
    except BadMedia as error:
        faults.append(error.code)
    return Picture(track, track.entry, tables, config, times, scan, tuple(faults))


def _presented(track: Track, movie_timescale: int, zero: Fraction) -> tuple[SampleTables, PictureTimes | None]:
    """Of samples that hold something: their tables and when they are shown; None where that cannot be known."""
    tables = track.tables
    assert tables is not None
    if not has_times(tables):
        return tables, None
    tables = without_empty_samples(tables)
    if not tables.sizes.count:
        return tables, None
    times = picture_times(track, tables, movie_timescale)
    times = replace(times, start_seconds=times.start_seconds - zero)
    ticks = times.ticks - times.cut_ticks
    presented = lasting(tables, ticks)
    if presented is None:
        return tables, times
    coarsest = coarsest_timescale(times.timescale, presented)
    return presented, replace(times, ticks=ticks, cut_ticks=0, coarsest_timescale=coarsest)


def _with_sets_in_band(config: PictureConfig, scan: SyncScan) -> PictureConfig:
    """Of `avc3` the head may list no parameter sets: then those in front of its key frames are the clip's."""
    if isinstance(config, AvcConfig) and not config.sps and scan.sets:
        return config_of_sets(config.length_bytes, scan.sets)
    return config


def _config(entry: VisualEntry) -> PictureConfig | None:
    if entry.kind in AVC_KINDS:
        return parse_avc_config(entry.config)
    if entry.kind in HEVC_KINDS:
        return parse_hevc_config(entry.config)
    return EqualConfig(equal_part(entry)) if entry.kind in EQUAL_KINDS and entry.config else None


def _scan(source: ByteSource, entry: VisualEntry, tables: SampleTables, config: PictureConfig) -> SyncScan:
    if isinstance(config, EqualConfig):
        return scan_keys(source, tables, KEY_TESTS[entry.kind])
    syntax = H264 if isinstance(config, AvcConfig) else HEVC
    return scan_heads(source, tables, config.length_bytes, syntax)


def _sound(track: Track, file: Mp4File, zero: Fraction) -> Sound:
    assert isinstance(track.entry, AudioEntry)
    assert track.tables is not None
    if not has_times(track.tables):
        return Sound(track, track.entry, track.tables, None)
    times = sound_times(track, track.tables, file.movie.timescale)
    return Sound(track, track.entry, track.tables, replace(times, start_seconds=times.start_seconds - zero))


def shape(picture: Picture) -> Shape:
    """In which shape its frames are shown; the size is the parameter set's, which a header cannot belie."""
    config, entry = picture.config, picture.entry
    if isinstance(config, AvcConfig) and config.parsed:
        coded = config.main.width, config.main.height
        return presented_shape(picture.track, entry, coded, config.main.usability.sar)
    return presented_shape(picture.track, entry, (entry.width, entry.height), None)
