"""A film's index is read back and held against its clips: right films pass, each wrong one is found out."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shared.media.clip import Clip, read_clip
from shared.media.splice.film import CopiedRange, Splice
from shared.media.splice.proof import Proof, prove
from tests.unit.media.cases import JOINS
from tests.unit.media.films import FileSource, clip, joined


def made_of(paths: list[Path]) -> tuple[Splice, list[Clip]]:
    clips = [read_clip(FileSource(path)) for path in paths]
    return joined(clips, paths), clips


@pytest.mark.parametrize("make", JOINS)
def test_a_film_that_is_its_clips_is_proved(make: Callable[[], list[Path]]) -> None:
    film, clips = made_of(make())

    proof = prove(film, clips)

    assert proof.problems == ()
    assert (proof.pictures, proof.seconds) == (film.pictures, pytest.approx(film.duration_seconds))
    assert [join.at_seconds for join in proof.joins] == pytest.approx([join.picture_seconds for join in film.joins])
    copied = {piece.clip for piece in film.pieces if isinstance(piece, CopiedRange)}
    for found, planned in zip(proof.joins, film.joins, strict=True):
        wanted = planned.sound_offset_seconds if planned.clip in copied else None
        assert found.sound_offset_seconds == pytest.approx(wanted, abs=1e-4)


def test_clips_in_another_order_are_another_film() -> None:
    film, clips = made_of([clip(tone=200), clip(tone=300)])

    assert "are not those of clip 1" in prove(film, clips[::-1]).problems[0]


def test_bytes_from_elsewhere_are_found_out() -> None:
    film, clips = made_of([clip(tone=200), clip(tone=300)])
    pieces = tuple(
        replace(piece, offset=piece.offset + 1) if isinstance(piece, CopiedRange) and piece.clip else piece
        for piece in film.pieces
    )

    assert "are not those of clip 2" in prove(replace(film, pieces=pieces), clips).problems[0]


@pytest.mark.parametrize("table", [b"stts", b"ctts", b"stsz", b"stsc", b"stco", b"stss"])
def test_a_number_changed_in_any_table_is_found_out(table: bytes) -> None:
    film, clips = made_of([clip(tone=200, options="-bf 2"), clip(tone=300, options="-bf 2")])
    right, dice = prove(film, clips), random.Random(7)
    for start in places(film.head, table):
        length = int.from_bytes(film.head[start - 8 : start - 4], "big") - 8
        for at in dice.sample(range(start + 4, start + length), min(length - 4, 40)):
            head = bytearray(film.head)
            head[at] ^= 1 << dice.randrange(8)
            assert differs(prove(replace(film, head=bytes(head)), clips), right), (table, at - start)


def places(head: bytes, table: bytes) -> list[int]:
    """Where the payload of each box of a kind begins."""
    found, at = [], head.find(table)
    while at >= 0:
        found.append(at + 4)
        at = head.find(table, at + 4)
    return found


def differs(proof: Proof, right: Proof) -> bool:
    """A proof that names a problem, or tells other figures than those of the right film."""
    return bool(proof.problems) or replace(proof, drift_seconds=0.0) != replace(right, drift_seconds=0.0)
