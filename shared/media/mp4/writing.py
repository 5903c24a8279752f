"""Boxes for a new movie (ISO 14496-12): whole `moov`, one edit and one sample description a track."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.media.aac.config import AudioConfig
from shared.media.colour import Colour
from shared.media.mp4.entries import AudioEntry
from shared.media.mp4.movie import PICTURE, SOUND, UNIT_MATRIX
from shared.media.mp4.tables import Runs
from shared.media.presentation import Shape

LARGEST_32 = 2**32 - 1
_NO_DATE = bytes(4)
_ENABLED_IN_MOVIE = 3
_NORMAL_RATE = 0x10000
_72_DPI = bytes.fromhex("00480000") * 2
_SAME_FILE = bytes.fromhex("0000000c75726c2000000001")


@dataclass(frozen=True, slots=True)
class NewTrack:
    """A track to write. Times in `timescale`, but `shown` and the `delay` before it in the movie's; width and height in
    pixels as shown.

    `entry` is the whole sample entry box, `chunk_offsets` count from the first byte of the payload.
    """

    id: int
    handler: str
    timescale: int
    edit_start: int
    shown: int
    matrix: bytes
    width: int
    height: int
    language: int
    entry: bytes
    deltas: Runs
    shifts: Runs | None
    sync: array[int] | None
    sizes: array[int]
    chunk_offsets: array[int]
    chunk_samples: array[int]
    delay: int = 0


def box(kind: str, *payload: bytes) -> bytes:
    """A box around its payload."""
    content = b"".join(payload)
    return (len(content) + 8).to_bytes(4, "big") + kind.encode("latin-1") + content


def full_box(kind: str, version: int, flags: int, *payload: bytes) -> bytes:
    """A box with version and flags (4.2)."""
    return box(kind, bytes([version]), flags.to_bytes(3, "big"), *payload)


def merged(rows: Iterable[tuple[int, int]]) -> Runs:
    """Rows of count and value with neighbours of one value put together; values fit signed or unsigned 32 bits."""
    counts: list[int] = []
    values: list[int] = []
    for count, value in rows:
        if count and values and values[-1] == value:
            counts[-1] += count
        elif count:
            counts.append(count)
            values.append(value)
    typecode = "i" if values and min(values) < 0 else "I"
    return Runs(array("I", counts), array(typecode, values))


def ftyp(codec_brand: str) -> bytes:
    """The brands of a progressive file; `iso4` allows pictures to be shown before they are decoded."""
    return box("ftyp", b"isom", _number(512), b"isom", b"iso4", codec_brand.encode("latin-1"), b"mp41")


def mdat_header(payload_bytes: int) -> bytes:
    """The box's header alone, with a 64-bit length where it takes one."""
    if payload_bytes + 8 <= LARGEST_32:
        return _number(payload_bytes + 8) + b"mdat"
    return _number(1) + b"mdat" + _number(payload_bytes + 16, 8)


def moov(timescale: int, tracks: Sequence[NewTrack], payload_at: int, *, long_offsets: bool) -> bytes:
    """The movie. `payload_at`: where in the file the payload begins; the length does not depend on it."""
    duration = max(track.shown for track in tracks)
    wide, version = _wide(duration)
    header = full_box(
        "mvhd",
        version,
        0,
        _NO_DATE * 2 * (wide // 4),
        _number(timescale),
        _number(duration, wide),
        _number(_NORMAL_RATE),
        bytes.fromhex("0100"),
        bytes(10),
        UNIT_MATRIX,
        bytes(24),
        _number(len(tracks) + 1),
    )
    return box("moov", header, *(_trak(track, payload_at, long_offsets) for track in tracks))


def visual_entry(kind: str, shown: Shape, config_kind: str, config: bytes, colour: Colour | None) -> bytes:
    """A video track's sample entry: the frames' shape, the decoder configuration, colours where they are said."""
    width, height = shown.coded
    inner = box(config_kind, config)
    if colour is not None:
        points = b"".join(_number(one, 2) for one in (colour.primaries, colour.transfer, colour.matrix))
        inner += box("colr", b"nclx", points, bytes([0x80 if colour.full_range else 0]))
    inner += box("clap", shown.aperture) if shown.aperture else b""
    inner += box("pasp", _number(shown.pixel_aspect.numerator), _number(shown.pixel_aspect.denominator))
    return box(
        kind,
        bytes(6),
        _number(1, 2),
        bytes(16),
        _number(width, 2),
        _number(height, 2),
        _72_DPI,
        bytes(4),
        _number(1, 2),
        bytes(32),
        bytes.fromhex("0018ffff"),
        inner,
    )


def aac_entry(like: AudioEntry, aac: AudioConfig) -> bytes:
    """A sound track's sample entry with the ES descriptor of `like`; its channels and rate are the codec's own."""
    rate = aac.sample_rate if aac.sample_rate < 2**16 else 0
    fixed = (bytes(6), _number(1, 2), bytes(8), _number(aac.channels, 2), _number(16, 2), bytes(4))
    return box("mp4a", *fixed, _number(rate << 16), box("esds", like.config))


def _number(value: int, length: int = 4) -> bytes:
    return value.to_bytes(length, "big")


def _wide(*values: int) -> tuple[int, int]:
    """Bytes a time takes, and the version of a box that says so."""
    return (8, 1) if max(values) > LARGEST_32 else (4, 0)


def _trak(track: NewTrack, payload_at: int, long_offsets: bool) -> bytes:
    wide, version = _wide(track.shown)
    volume = bytes.fromhex("0100" if track.handler == SOUND else "0000")
    header = full_box(
        "tkhd",
        version,
        _ENABLED_IN_MOVIE,
        _NO_DATE * 2 * (wide // 4),
        _number(track.id),
        bytes(4),
        _number(track.shown, wide),
        bytes(10),
        bytes(2),
        volume,
        bytes(2),
        track.matrix,
        _number(track.width << 16),
        _number(track.height << 16),
    )
    return box("trak", header, _edts(track), _mdia(track, payload_at, long_offsets))


def _edts(track: NewTrack) -> bytes:
    wide, version = _wide(track.shown, track.edit_start * 2, track.delay)
    row = _number(track.shown, wide) + _number(track.edit_start, wide) + _number(_NORMAL_RATE)
    empty = _number(track.delay, wide) + b"\xff" * wide + _number(_NORMAL_RATE) if track.delay else b""
    return box("edts", full_box("elst", version, 0, _number(1 + bool(empty)), empty, row))


def _mdia(track: NewTrack, payload_at: int, long_offsets: bool) -> bytes:
    duration = track.deltas.total
    wide, version = _wide(duration)
    dates = _NO_DATE * 2 * (wide // 4)
    times = dates + _number(track.timescale) + _number(duration, wide)
    header = full_box("mdhd", version, 0, times, _number(track.language, 2), bytes(2))
    name = b"VideoHandler\0" if track.handler == PICTURE else b"SoundHandler\0"
    handler = full_box("hdlr", 0, 0, bytes(4), track.handler.encode(), bytes(12), name)
    kind = full_box("vmhd", 0, 1, bytes(8)) if track.handler == PICTURE else full_box("smhd", 0, 0, bytes(4))
    data = box("dinf", full_box("dref", 0, 0, _number(1), _SAME_FILE))
    return box("mdia", header, handler, box("minf", kind, data, _stbl(track, payload_at, long_offsets)))


def _stbl(track: NewTrack, payload_at: int, long_offsets: bool) -> bytes:
    offsets = array("Q" if long_offsets else "I", map(payload_at.__add__, track.chunk_offsets))
    return box(
        "stbl",
        full_box("stsd", 0, 0, _number(1), track.entry),
        _runs("stts", 0, track.deltas),
        _runs("ctts", int(track.shifts.values.typecode == "i"), track.shifts) if track.shifts else b"",
        full_box("stss", 0, 0, _number(len(track.sync)), _table(track.sync)) if track.sync is not None else b"",
        _stsc(track.chunk_samples),
        full_box("stsz", 0, 0, bytes(4), _number(len(track.sizes)), _table(track.sizes)),
        full_box("co64" if long_offsets else "stco", 0, 0, _number(len(offsets)), _table(offsets)),
    )


def _runs(kind: str, version: int, runs: Runs) -> bytes:
    rows = array("I", bytes(8 * len(runs.counts)))
    rows[::2] = runs.counts
    rows[1::2] = array("I", runs.values.tobytes())
    return full_box(kind, version, 0, _number(len(runs.counts)), _table(rows))


def _stsc(chunk_samples: array[int]) -> bytes:
    """Runs of chunks with as many samples, each by its first chunk (8.7.4)."""
    rows = array("I")
    last = None
    for number, samples in enumerate(chunk_samples, start=1):
        if samples != last:
            rows.extend((number, samples, 1))
            last = samples
    return full_box("stsc", 0, 0, _number(len(rows) // 3), _table(rows))


def _table(numbers: array[int]) -> bytes:
    ordered = array(numbers.typecode, numbers)
    if sys.byteorder == "little":
        ordered.byteswap()
    return ordered.tobytes()
