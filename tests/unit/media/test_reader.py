"""Indexes whose numbers no file can keep are refused before anything is done with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from shared.media.clip import read_clip
from shared.media.h264.nal import escaped, unescaped
from shared.media.h264.renumber import CannotRenumber, Renumbering, longer_id, renumbered_unit
from shared.media.mp4.boxes import LARGEST_MOOV_BYTES
from shared.media.mp4.fields import BadMp4
from shared.media.splice.refusals import refusals
from tests.fuzz.corpus import with_long_offsets
from tests.fuzz.running import BytesSource
from tests.unit.media.films import clip


@dataclass
class AnnouncedSource(BytesSource):
    """Notes what it was told of beforehand, and what it was asked for afterwards."""

    announced: list[tuple[int, int]] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        self.announced += ranges
        self.asked = []

    def read(self, offset: int, length: int) -> bytes:
        self.asked.append((offset, length))
        return super().read(offset, length)


def changed(data: bytes, kind: bytes, at: int, value: bytes) -> bytes:
    """The file with bytes of the last box of a kind replaced, counted from its payload."""
    start = data.rindex(kind) + 4 + at
    return data[:start] + value + data[start + len(value) :]


FORGERIES: dict[str, Callable[[bytes], bytes]] = {
    "mp4_bad_table": lambda data: changed(with_long_offsets(data), b"co64", 8, b"\xff" * 8),
    "mp4_cut_off": lambda data: changed(data, b"moov", -8, LARGEST_MOOV_BYTES.to_bytes(4, "big")),
    "mp4_bad_box": lambda data: changed(data, b"moov", -8, (7).to_bytes(4, "big")),
    "mp4_no_moov": lambda data: data[: data.rindex(b"moov") - 4],
    "not_mp4": lambda data: b"RIFF" + data,
}


@pytest.mark.parametrize("code", FORGERIES)
def test_what_cannot_be_is_named(code: str) -> None:
    data = FORGERIES[code](clip().read_bytes())
    try:
        found = {one.code for one in refusals([read_clip(BytesSource(data))])}
    except BadMp4 as error:
        found = {error.code}
    assert code in found


def test_long_offsets_say_the_same_as_short_ones() -> None:
    data = clip().read_bytes()
    short, long = (read_clip(BytesSource(one)).picture for one in (data, with_long_offsets(data)))
    assert short is not None
    assert long is not None
    assert short.tables == long.tables


def test_a_slow_source_hears_of_all_key_pictures_at_once() -> None:
    source = AnnouncedSource(clip(pictures=24, size="320x240").read_bytes())
    picture = read_clip(source).picture
    assert picture is not None
    assert picture.tables.sync is not None
    assert len(source.announced) == len(picture.tables.sync) == 4
    assert set(source.asked) <= set(source.announced)


@pytest.mark.parametrize(("old", "new"), [(0, 15), (1, 31), (2, 31), (3, 63)])
def test_a_new_id_is_a_whole_byte_longer(old: int, new: int) -> None:
    found = longer_id(old, (), 255)
    assert found == new
    assert 2 * (found + 1).bit_length() - 2 * (old + 1).bit_length() == 8


def test_ids_run_out() -> None:
    with pytest.raises(CannotRenumber):
        longer_id(0, set(range(15, 31)), 255)


def test_emulation_prevention_is_undone_and_done_again() -> None:
    raw = b"\x65" + b"\0\0\0" * 3 + b"\0\0\1\0\0\2\0\0\3\0\0\4\0\0"
    assert unescaped(escaped(raw)) == raw
    assert b"\0\0\0" not in escaped(raw)
    assert not escaped(raw).endswith(b"\0\0")


@pytest.mark.parametrize("kind", [2, 3, 4, 20])
def test_units_that_name_sets_in_other_ways_are_refused(kind: int) -> None:
    with pytest.raises(CannotRenumber):
        renumbered_unit(bytes([kind]) + b"\x88\x84\0", Renumbering({0: 15}, {0: 15}))
