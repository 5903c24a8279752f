"""A film whose sound is not every packet of the whole sound, in order and in time, is found out."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from shared.media.clip import Clip
from shared.media.mp4.tables import Runs, Sizes
from shared.media.splice.film import CopiedRange
from shared.media.splice.payload import sample_places
from shared.media.splice.proof import prove
from tests.unit.media.films import clip, joined
from tests.unit.media.test_proof import differs, places
from tests.unit.media.test_whole_sound import PACKET, own_sound, read, sound_for


def in_order(whole: Clip, order: Sequence[int]) -> Clip:
    """The sound with its packets in this order, each in a chunk of its own."""
    sound, tables = own_sound(whole), own_sound(whole).tables
    sizes = array("I", map(tables.sizes.expanded().__getitem__, order))
    offsets = array("Q", map(sample_places(tables).__getitem__, order))
    assert sound.times is not None
    samples = len(order) * PACKET
    times = replace(sound.times, packets=len(order), heard_end=min(sound.times.heard_end, samples), samples=samples)
    moved = replace(
        tables,
        deltas=Runs(array("I", [len(order)]), array("I", [PACKET])),
        sizes=Sizes(len(order), 0, sizes),
        chunk_offsets=offsets,
        chunk_ends=array("Q", [offset + size for offset, size in zip(offsets, sizes, strict=True)]),
        chunk_samples=array("I", [1]) * len(order),
    )
    return replace(whole, sound=replace(sound, tables=moved, times=times))


WRONG_ORDERS: dict[str, Callable[[list[int]], list[int]]] = {
    "missing": lambda all_: [*all_[:20], *all_[21:]],
    "swapped": lambda all_: [*all_[:20], all_[21], all_[20], *all_[22:]],
    "shifted": lambda all_: [*all_[1:], all_[0]],
    "last one missing": lambda all_: all_[:-1],
}


@pytest.mark.parametrize("wrong", WRONG_ORDERS)
def test_packets_that_are_not_the_sounds_in_order_are_found_out(wrong: str) -> None:
    paths = [clip(), clip(tone=550, options="-c:a ac3")]
    clips, whole = [read(path) for path in paths], read(sound_for(paths))
    every = list(range(own_sound(whole).tables.sizes.count))
    assert prove(joined(clips, paths, in_order(whole, every)), clips, whole).problems == ()

    film = joined(clips, paths, in_order(whole, WRONG_ORDERS[wrong](every)))

    assert "its sound is not what was made for it" in prove(film, clips, whole).problems


def test_sound_moved_by_a_packet_is_found_out() -> None:
    paths = [clip(), clip(tone=550)]
    clips, whole = [read(path) for path in paths], read(sound_for(paths))
    film = joined(clips, paths, whole)
    (at,) = (at for at in places(film.head, b"elst") if int.from_bytes(film.head[at + 12 : at + 16], "big") == PACKET)
    head = film.head[: at + 12] + (2 * PACKET).to_bytes(4, "big") + film.head[at + 16 :]

    problems = prove(replace(film, head=head), clips, whole).problems

    assert problems == ("its sound is -21 ms off its pictures",)


def test_sound_from_another_place_or_file_is_found_out() -> None:
    paths = [clip(), clip(tone=550)]
    clips, whole = [read(path) for path in paths], read(sound_for(paths))
    film = joined(clips, paths, whole)
    for change in ({"offset": 100}, {"clip": 1}):
        pieces = tuple(
            replace(piece, **change) if isinstance(piece, CopiedRange) and piece.clip == 2 else piece
            for piece in film.pieces
        )
        assert "its sound is not what was made for it" in prove(replace(film, pieces=pieces), clips, whole).problems
    assert prove(film, clips).problems
    assert prove(joined(clips, paths), clips, whole).problems
    assert prove(joined(clips, paths), [read(clip(sound=None)), read(clip(tone=550, sound=None))], whole).problems


@pytest.mark.parametrize("table", [b"stts", b"stsz", b"stsc", b"stco"])
def test_a_number_changed_in_any_table_is_found_out(table: bytes) -> None:
    paths = [clip(tone=200, options="-bf 2"), clip(tone=300, options="-bf 2 -c:a ac3")]
    clips, whole = [read(path) for path in paths], read(sound_for(paths))
    film, dice = joined(clips, paths, whole), random.Random(7)
    right = prove(film, clips, whole)
    for start in places(film.head, table):
        length = int.from_bytes(film.head[start - 8 : start - 4], "big") - 8
        for at in dice.sample(range(start + 4, start + length), min(length - 4, 60)):
            head = bytearray(film.head)
            head[at] ^= 1 << dice.randrange(8)
            assert differs(prove(replace(film, head=bytes(head)), clips, whole), right), (table, at - start)
