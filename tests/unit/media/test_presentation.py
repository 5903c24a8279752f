"""Which of a file's tracks is the clip's, how its frames are turned, and in which shape they are shown."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from shared.media.mp4.entries import AudioEntry, VisualEntry
from shared.media.mp4.movie import PICTURE, SOUND, UNIT_MATRIX, Track
from shared.media.presentation import (
    Candidate,
    Orientation,
    Streams,
    chosen,
    matrix_of,
    orientation,
    presented_shape,
    presented_streams,
    presented_track,
)
from tests.unit.media.built import runs, tables_of, track_of

SIZE = (640, 360)
ENTRY = VisualEntry("avc1", *SIZE, config=b"", pixel_aspect=None, colour=None)
EIGHT = [Orientation(degrees, mirrored, Fraction(1)) for degrees in (0, 90, 180, 270) for mirrored in (False, True)]


# A track by a letter, `v`ideo or `s`till, in capitals where it is enabled, and its seconds.
CHOICES = [
    ("", None),
    ("v1", 0),
    ("V1", 0),
    ("V9 V9", 0),
    ("v9 V1", 1),
    ("V1 v9", 0),
    ("v9 v9", 0),
    ("S9 V1", 1),
    ("S9 v1", 1),
    ("s9 S9", 1),
    ("S1 S9 V2 v9", 2),
    ("V2 V9", 1),
    ("V3 V12", 0),
    ("V2 V3 V10", 1),
    ("V1 V2 V9 V10", 2),
    ("V0 V0", 0),
    ("V0 V1", 1),
]


@pytest.mark.parametrize(("tracks", "expected"), CHOICES)
def test_the_clips_track_is_no_still_and_enabled_and_no_scrap(tracks: str, expected: int | None) -> None:
    candidates = [Candidate(one[0].isupper(), one[0] in "sS", Fraction(one[1:])) for one in tracks.split()]

    assert chosen(candidates) == expected


def video(number: int, *, frames: int | None = 48, **changes: Any) -> Track:
    tables = None if frames is None else tables_of(runs((frames, 512)), 100, 0)
    return track_of(PICTURE, 12288, tables, **{"id": number, "entry": ENTRY, **changes})


def audio(number: int, **changes: Any) -> Track:
    return track_of(
        SOUND,
        44100,
        tables_of(runs((88, 1024)), 100, 0),
        **{"id": number, "entry": AudioEntry("mp4a", 2, 44100, b""), **changes},
    )


FILES = {
    "the only one": ([video(1), audio(2)], 1),
    "no video": ([audio(1)], None),
    "the first of two": ([video(1), video(2)], 1),
    "the enabled one": ([video(1, enabled=False), video(2)], 2),
    "no chapters' images": ([video(1), video(2, frames=40), audio(3, chapters=frozenset({1}))], 2),
    "no thumbnail": ([video(1, thumbnail_of=frozenset({2})), video(2)], 2),
    "no single frame": ([video(1, frames=1), video(2, frames=48)], 2),
    "no cover": ([video(1, entry=replace(ENTRY, kind="jpeg")), video(2)], 2),
    "no cover of PNG": ([video(1, entry=replace(ENTRY, kind="mp4v", object_type=0x6D)), video(2)], 2),
    "no scrap": ([video(1, frames=10), video(2)], 2),
    "no empty one": ([video(1, frames=0), video(2)], 2),
    "an empty one where there is no other": ([video(1, frames=0), audio(2)], 1),
    "none that could not be read": ([video(1, frames=None), video(2, entry=None), video(3)], 3),
    "none of those": ([video(1, frames=None)], None),
    "a cover where there is no other": ([video(1, frames=1)], 1),
}


@pytest.mark.parametrize(("tracks", "expected"), FILES.values(), ids=FILES.keys())
def test_a_file_presents_one_video(tracks: list[Track], expected: int | None) -> None:
    found = presented_track(tracks, PICTURE)

    assert (found.id if found else None) == expected


def test_tracks_are_counted_as_ffmpeg_does_without_chapters() -> None:
    tracks = [
        audio(1, chapters=frozenset({2})),
        video(2),
        video(3),
        track_of("text", 1000, None, id=4),
        audio(5),
        video(6),
    ]

    assert presented_streams(tracks, tracks[5], tracks[4]) == Streams(1, 1, open_start=False)
    assert presented_streams(tracks, None, None) == Streams(None, None, open_start=False)


def turned_by_hand(x: int, y: int, turned: Orientation) -> tuple[int, int]:
    """Where a point of a frame of SIZE is shown: mirrored left to right, then turned clockwise by quarters."""
    width, height = SIZE
    x = width - x if turned.mirrored else x
    for _ in range(turned.degrees // 90):
        x, y, width, height = height - y, x, height, width
    return x, y


def moved_by(matrix: bytes, x: int, y: int) -> tuple[int, int]:
    """ISO 14496-12, 8.3.2: (p q 1) = (x y 1) * matrix, of 16.16 numbers but for the last column's 2.30."""
    a, b, _, c, d, _, tx, ty, w = (int.from_bytes(matrix[at : at + 4], "big", signed=True) for at in range(0, 36, 4))
    assert w == 1 << 30
    return (a * x + c * y + tx) >> 16, (b * x + d * y + ty) >> 16


@pytest.mark.parametrize("turned", EIGHT, ids=str)
def test_an_orientation_is_read_back_from_its_matrix(turned: Orientation) -> None:
    assert orientation(matrix_of(turned, SIZE)) == turned


@pytest.mark.parametrize("turned", EIGHT, ids=str)
def test_a_matrix_mirrors_and_turns_every_corner_to_its_place(turned: Orientation) -> None:
    for corner in ((0, 0), (640, 0), (0, 360), (640, 360), (100, 30)):
        assert moved_by(matrix_of(turned, SIZE), *corner) == turned_by_hand(*corner, turned)


def test_an_upright_frame_has_the_unit_matrix() -> None:
    assert matrix_of(Orientation(0, False, Fraction(1)), SIZE) == UNIT_MATRIX


def matrix(a: float, b: float, c: float, d: float, x: int = 0, y: int = 0) -> bytes:
    numbers = (a * 65536, b * 65536, 0, c * 65536, d * 65536, 0, x << 16, y << 16, 1 << 30)
    return b"".join(round(one).to_bytes(4, "big", signed=True) for one in numbers)


TILTED = matrix(0.7071, 0.7071, -0.7071, 0.7071)
MATRICES = {
    "moved": (matrix(1, 0, 0, 1, 100, -50), Orientation(0, False, Fraction(1))),
    "twice as wide": (matrix(2, 0, 0, 1), Orientation(0, False, Fraction(2))),
    "twice as large": (matrix(2, 0, 0, 2), Orientation(0, False, Fraction(1))),
    "a third as wide, turned": (matrix(0, 1, -3, 0), Orientation(90, False, Fraction(1, 3))),
    "upside down": (matrix(1, 0, 0, -1), Orientation(180, True, Fraction(1))),
    "nearly a quarter": (matrix(0.004, 1, -1, 0.004), Orientation(90, False, Fraction(1))),
    "nothing at all": (matrix(0, 0, 0, 0), Orientation(0, False, Fraction(1))),
}


@pytest.mark.parametrize(("found", "expected"), MATRICES.values(), ids=MATRICES.keys())
def test_a_matrix_that_no_quarter_turn_has_is_read(found: bytes, expected: Orientation) -> None:
    assert orientation(found) == expected


def test_a_track_that_is_turned_oddly_keeps_its_matrix() -> None:
    found = orientation(TILTED)

    assert (found.odd, found.mirrored, found.stretch) == (TILTED, False, 1)
    assert matrix_of(found, SIZE) == TILTED


# The size in the track's header, `pasp`, the codec's pixel aspect, the matrix, and the pixel aspect that is shown.
SHAPES = {
    "nothing is said": ((0, 0), None, None, UNIT_MATRIX, "1"),
    "the codec's": ((0, 0), None, "4/3", UNIT_MATRIX, "4/3"),
    "the header's": ((960, 360), None, None, UNIT_MATRIX, "3/2"),
    "the header's before the codec's": ((960, 360), None, "4/3", UNIT_MATRIX, "3/2"),
    "pasp before both": ((960, 360), "10/11", "4/3", UNIT_MATRIX, "10/11"),
    "a header of the frame's size": ((640, 360), None, "4/3", UNIT_MATRIX, "4/3"),
    "a header of the frame turned": ((360, 640), None, None, matrix(0, 1, -1, 0), "1"),
    "a header that says the codec's": ((853, 360), None, "4/3", UNIT_MATRIX, "4/3"),
    "a header that says it by the height": ((640, 270), None, "4/3", UNIT_MATRIX, "4/3"),
    "a header rounded by a pixel": ((641, 359), None, None, UNIT_MATRIX, "1"),
    "a header two pixels off": ((642, 360), None, None, UNIT_MATRIX, "321/320"),
    "a header of a width alone": ((960, 0), None, None, UNIT_MATRIX, "1"),
    "a matrix that stretches": ((0, 0), "4/3", None, matrix(2, 0, 0, 1), "8/3"),
}


@pytest.mark.parametrize(("header", "pasp", "of_codec", "turned", "expected"), SHAPES.values(), ids=SHAPES.keys())
def test_pixels_have_the_aspect_that_is_said_first(
    header: tuple[int, int], pasp: str | None, of_codec: str | None, turned: bytes, expected: str
) -> None:
    track = video(1, width=Fraction(header[0]), height=Fraction(header[1]), matrix=turned)
    entry = replace(ENTRY, pixel_aspect=Fraction(pasp) if pasp else None, aperture=b"clap")

    shape = presented_shape(track, entry, SIZE, Fraction(of_codec) if of_codec else None)

    assert (shape.coded, shape.aperture, shape.orientation) == (SIZE, b"clap", orientation(turned))
    assert shape.pixel_aspect == Fraction(expected)
