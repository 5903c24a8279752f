"""Files as FFmpeg is given them: in one pass, with edit lists that it reads as the clip presents itself."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from shared.media.clip import Clip, read_clip
from shared.media.mp4.fields import BadMp4
from shared.media.mp4.movie import Edit, Track
from shared.media.splice.film import CopiedRange, Piece
from shared.media.streams import as_presented, needs_another_index, one_pass
from shared.media.timeline import PictureTimes
from tests import mp4_surgery as mp4
from tests.fuzz.running import BytesSource
from tests.unit.media.built import NORMAL
from tests.unit.media.films import FileSource, clip
from tests.unit.media.fragmenting import CODING

Rows = tuple[tuple[int, int], ...]
OPTIONS = f"{CODING} -movie_timescale 1000"
# Rows of the video's list of a clip of half a second whose first frame is shown at tick 1024, and what they become.
LISTS: dict[str, tuple[Rows, Rows]] = {
    "plain": (((500, 1024),), ((500, 1024),)),
    "nothing behind": (((500, 1024), (250, -1)), ((500, 1024),)),
    "nothing twice behind": (((500, 1024), (250, -1), (250, -1)), ((500, 1024),)),
    "nothing for no time before": (((0, -1), (500, 1024)), ((500, 1024),)),
    "later by two entries": (((100, -1), (150, -1), (500, 1024)), ((250, -1), (500, 1024))),
    # By the decoding times and the latest composition offset, 4 frames of 24 a second: no frame is shown later.
    "no length": (((0, 1024),), ((584, 1024),)),
    "parts that follow": (((250, 1024), (250, 4096)), ((500, 1024),)),
    "parts that do not follow": (((250, 1024), (250, 1024)), ((250, 1024), (250, 1024))),
}


def with_list(folder: Path, edts: list, options: str = OPTIONS) -> Path:
    """A clip with this edit list of its video; its index stands last."""

    def change(moov: list) -> None:
        mp4.put(mp4.tracks(moov, b"vide")[0], b"edts", edts)

    return mp4.changed(clip(options=options), folder / "odd.mp4", change)


def long_list(rows: Rows) -> list:
    """A list of version 1, whose times have 64 bits."""
    body = b"".join(struct.pack(">QqI", *row, NORMAL) for row in rows)
    return [[b"elst", struct.pack(">II", 1 << 24, len(rows)) + body]]


def put_together(data: bytes, pieces: Sequence[Piece]) -> bytes:
    return b"".join(
        data[one.offset : one.offset + one.length] if isinstance(one, CopiedRange) else bytes(one.data)
        for one in pieces
    )


def as_read(path: Path) -> tuple[bytes, Clip, bytes]:
    """The file, what it is, and the bytes that FFmpeg is given."""
    source = FileSource(path)
    one = read_clip(source)
    return path.read_bytes(), one, put_together(path.read_bytes(), as_presented(source, one))


def times_of(one: Clip) -> PictureTimes | None:
    assert one.picture is not None
    return one.picture.times


def video(one: Clip) -> Track:
    assert one.picture is not None
    return one.picture.track


def box_sizes(data: bytes) -> list[tuple[bytes, int]]:
    """Kind and size of the boxes of the video's `edts`."""
    moov = mp4.at(mp4.parsed(data), b"moov")[1]
    edts = mp4.at(mp4.tracks(moov, b"vide")[0], b"edts")[1]
    return [(kind, len(body) + 8) for kind, body in edts]


@pytest.mark.parametrize("make", [lambda rows: mp4.edit_list(*rows), long_list], ids=["32 bits", "64 bits"])
@pytest.mark.parametrize(("rows", "expected"), LISTS.values(), ids=LISTS.keys())
def test_a_list_is_written_plainly_in_its_own_place(
    tmp_path: Path, rows: Rows, expected: Rows, make: Callable[[Rows], list]
) -> None:
    before, one, given = as_read(with_list(tmp_path, make(rows)))
    again = read_clip(BytesSource(given))

    assert video(again).edits == tuple(Edit(*row, NORMAL) for row in expected)
    assert times_of(again) == times_of(one)
    assert len(given) == len(before)
    assert not needs_another_index(again)
    assert (given == before) is (rows == expected)


def test_what_is_left_of_a_list_is_a_free_box(tmp_path: Path) -> None:
    before, _, given = as_read(with_list(tmp_path, mp4.edit_list((500, 1024), (250, -1), (250, -1))))

    assert box_sizes(before) == [(b"elst", 16 + 3 * 12)]
    assert box_sizes(given) == [(b"elst", 16 + 12), (b"free", 2 * 12)]


def test_nothing_else_of_the_file_changes(tmp_path: Path) -> None:
    before, _, given = as_read(with_list(tmp_path, mp4.edit_list((500, 1024), (250, -1))))
    at = before.index(b"elst") - 4

    assert (given[:at], given[at + 40 :]) == (before[:at], before[at + 40 :])


@pytest.mark.parametrize(
    "edts",
    [
        [[b"free", b""], *mp4.edit_list((500, 1024), (250, -1))],
        [[b"free", bytes(40)], *mp4.edit_list((500, 1024), (250, -1))],
    ],
    ids=["a box before", "a long box before"],
)
def test_a_list_that_does_not_stand_first_is_left(tmp_path: Path, edts: list) -> None:
    before, _, given = as_read(with_list(tmp_path, edts))

    assert given == before


def test_an_index_is_put_in_front_with_its_lists_written_plainly(tmp_path: Path) -> None:
    path = with_list(tmp_path, mp4.edit_list((500, 1024), (250, -1)))
    one = read_clip(FileSource(path))
    assert not one.file.moov_first

    pieces = one_pass(FileSource(path), one)

    assert pieces is not None
    written = put_together(path.read_bytes(), pieces)
    again = read_clip(BytesSource(written))
    assert again.file.moov_first
    assert video(again).edits == (Edit(500, 1024, NORMAL),)
    moved = [at - before for at, before in zip(offsets(again), offsets(one), strict=True)]
    assert set(moved) == {len(written) - one.file.payloads[0][1]}


def offsets(one: Clip) -> list[int]:
    tables = video(one).tables
    assert tables is not None
    return list(tables.chunk_offsets)


def test_what_is_no_mp4_is_read_as_it_is() -> None:
    source = BytesSource(b"\x1aE\xdf\xa3" + bytes(96))

    assert one_pass(source, BadMp4("not_mp4", "it is another kind of file")) == (CopiedRange(0, 0, 100),)
    assert one_pass(source, BadMp4("mp4_no_moov", "it was cut off")) is None
    assert as_presented(source, BadMp4("mp4_no_moov", "it was cut off")) == (CopiedRange(0, 0, 100),)
