"""Whatever the clips, an upload's parts keep S3's rules and make up the film byte by byte."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from shared.domain.errors import BadMedia
from shared.media.splice.film import CopiedRange, Made, Piece
from shared.media.splice.parts import (
    LARGEST_PART_BYTES,
    MIB,
    SMALLEST_PART_BYTES,
    BytePart,
    CopyPart,
    Part,
    in_memory,
    plan_parts,
)
from tests.unit.media.films import clip, spliced

HEAD = b"h" * 9000


def film(*sizes_mib: float, made: bytes = b"") -> tuple[list[Piece], list[int]]:
    """Whole clips of these sizes with `made` in front of each, and the sizes of their objects."""
    lengths = [int(size * MIB) for size in sizes_mib]
    pieces: list[Piece] = []
    for number, length in enumerate(lengths):
        pieces += [Made(made), CopiedRange(number, 48, length)]
    return pieces, [length + 2000 for length in lengths]


def spans(pieces: list[Piece] | tuple[Piece, ...]) -> list[tuple[object, int, int]]:
    """Source, first byte and length of all bytes, with neighbours put together."""
    found: list[tuple[object, int, int]] = []
    for piece in pieces:
        source, at = (piece.clip, piece.offset) if isinstance(piece, CopiedRange) else ("made", 0)
        last = found[-1] if found else None
        if last and last[0] == source and (source == "made" or last[1] + last[2] == at):
            found[-1] = (source, last[1], last[2] + piece.length)
        elif piece.length:
            found.append((source, at, piece.length))
    return found


def flat(parts: tuple[Part, ...]) -> list[Piece]:
    return [
        piece
        for part in parts
        for piece in (part.pieces if isinstance(part, BytePart) else [CopiedRange(part.clip, part.offset, part.length)])
    ]


def check(pieces: list[Piece], sizes: list[int]) -> tuple[Part, ...]:
    parts = plan_parts(HEAD, pieces, sizes)
    assert spans(flat(parts)) == spans([Made(HEAD), *pieces])
    assert all(SMALLEST_PART_BYTES <= part.length <= LARGEST_PART_BYTES for part in parts[:-1])
    assert 0 < parts[-1].length <= LARGEST_PART_BYTES
    assert all(part.length < 4 * SMALLEST_PART_BYTES for part in parts if isinstance(part, BytePart))
    assert all(sizes[part.clip] > SMALLEST_PART_BYTES for part in parts if isinstance(part, CopyPart))
    return parts


def sent(parts: tuple[Part, ...]) -> int:
    return sum(part.length for part in parts if isinstance(part, BytePart))


def test_of_large_clips_only_the_first_five_mebibytes_pass_through() -> None:
    parts = check(*film(*[50] * 20))
    assert len(parts) == 21
    assert sent(parts) == SMALLEST_PART_BYTES


def test_small_clips_are_merged() -> None:
    parts = check(*film(*[2] * 40))
    assert sent(parts) == 40 * 2 * MIB + len(HEAD)


def test_a_small_clip_between_large_ones_borrows_from_the_next() -> None:
    parts = check(*film(20, 1, 20))
    assert sent(parts) == 2 * SMALLEST_PART_BYTES


def test_a_clip_that_would_keep_too_little_is_sent_whole() -> None:
    parts = check(*film(9.9, 20))
    assert isinstance(parts[0], BytePart)
    assert parts[0].length > SMALLEST_PART_BYTES


def test_the_last_part_may_be_small() -> None:
    assert check(*film(20, 0.1))[-1].length == int(0.1 * MIB)


def test_a_range_longer_than_the_largest_part_is_copied_in_several() -> None:
    parts = check(*film(12 * 1024))
    assert [type(part) for part in parts] == [BytePart, CopyPart, CopyPart, CopyPart]


def test_a_range_of_an_object_too_small_to_copy_from_is_sent() -> None:
    pieces: list[Piece] = [CopiedRange(0, 0, SMALLEST_PART_BYTES)]
    assert sent(check(pieces, [SMALLEST_PART_BYTES])) == SMALLEST_PART_BYTES + len(HEAD)


def test_the_rules_hold_for_any_sizes() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        sizes = chance.choices([0.001, 0.5, 4.99, 5, 5.01, 9.99, 10, 10.1, 11, 30, 6000], k=chance.randint(1, 12))
        check(*film(*sizes, made=b"s" * chance.choice([0, 0, 6, MIB])))


def test_the_rules_hold_with_a_whole_sound_between_the_clips() -> None:
    for seed in range(100):
        chance = random.Random(seed)
        pieces, sizes = film(*chance.choices([0.5, 4.99, 5.01, 9.99, 11, 30], k=chance.randint(1, 12)))
        heard = int(chance.choice([0.1, 1, 5.5]) * MIB)
        for number in range(len(sizes)):
            pieces[2 * number] = CopiedRange(len(sizes), 48 + number * heard, heard)
        check(pieces, [*sizes, len(sizes) * heard + 2000])


def test_more_than_ten_thousand_parts_are_refused() -> None:
    with pytest.raises(BadMedia) as caught:
        plan_parts(HEAD, *film(*[5.5] * 10_001))
    assert caught.value.code == "too_many_parts"


def test_films_up_to_64_mebibytes_are_made_in_memory() -> None:
    assert in_memory(64 * MIB)
    assert not in_memory(64 * MIB + 1)


def test_put_together_from_its_parts_a_film_is_the_film(tmp_path: Path) -> None:
    noise = "-vf noise=alls=100:allf=t -crf 1"
    paths = [clip(size="640x480", tone=tone, pictures=20, options=noise) for tone in (440, 550)]
    paths.insert(1, clip(size="640x480", tone=500, pictures=4, sound=None))
    made = spliced(paths, tmp_path / "film.mp4")
    objects = [path.read_bytes() for path in paths]
    parts = plan_parts(made.head, made.pieces, [len(one) for one in objects])
    assert {type(part) for part in parts} == {BytePart, CopyPart}
    pieces = [
        piece.data if isinstance(piece, Made) else objects[piece.clip][piece.offset :][: piece.length]
        for piece in flat(parts)
    ]
    assert b"".join(pieces) == (tmp_path / "film.mp4").read_bytes()
