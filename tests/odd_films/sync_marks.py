"""Whether what a film marks as a place to begin at really is one: seen in the coded frames themselves."""

from __future__ import annotations

from collections.abc import Iterator

from tests.odd_films.boxes import number
from tests.odd_films.movie import VIDEO, Track, read_movie

IDR, SLICES = 5, range(1, 6)
HEVC_RANDOM_ACCESS, HEVC_SLICES = range(16, 24), range(32)
MPEG4_PICTURE = b"\0\0\1\xb6"
LENGTH_BYTES = 4


def wrong_marks(film: bytes) -> list[int]:
    """Numbers of samples, from 1 on, that are marked though they cannot be decoded alone."""
    (track,) = (track for track in read_movie(film).tracks if track.handler == VIDEO)
    kind = track.entry[4:8]
    return [n for n, sample in enumerate(track.samples, 1) if sample.sync and not stands_alone(kind, sample.data)]


def missing_first_mark(film: bytes) -> bool:
    """Whether the first frame is not marked."""
    (track,) = (track for track in read_movie(film).tracks if track.handler == VIDEO)
    return not track.samples[0].sync


def stands_alone(kind: bytes, data: bytes) -> bool:
    """IDR of H.264, random access points of HEVC, key frames of VP9, I frames of MPEG-4."""
    if kind in (b"avc1", b"avc3"):
        return {unit[0] & 31 for unit in _units(data)} & {*SLICES} == {IDR}
    if kind in (b"hvc1", b"hev1"):
        types = {unit[0] >> 1 & 63 for unit in _units(data)} & {*HEVC_SLICES}
        return bool(types) and types <= {*HEVC_RANDOM_ACCESS}
    if kind == b"vp09":
        return data[0] >> 6 == 2 and not data[0] >> 2 & 1
    if kind == b"mp4v":
        at = data.find(MPEG4_PICTURE)
        return at >= 0 and data[at + 4] >> 6 == 0
    return True


def _units(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + LENGTH_BYTES < len(data):
        size = number(data, at, LENGTH_BYTES)
        yield data[at + LENGTH_BYTES : at + LENGTH_BYTES + size]
        at += LENGTH_BYTES + size


def marked(track: Track) -> list[int]:
    """Numbers of the samples that are marked."""
    return [n for n, sample in enumerate(track.samples, 1) if sample.sync]
