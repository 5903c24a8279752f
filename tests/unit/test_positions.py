"""The order of a script's clips: from 1, without gaps, takes of one clip together."""

from __future__ import annotations

import random

import pytest

from shared.domain.scripts import Placed, positions_after_move, positions_without_gaps

FOUR = [Placed(10, 10, 1), Placed(11, 11, 2), Placed(12, 12, 3), Placed(13, 13, 4)]


def order_after(clips: list[Placed], video_id: int, to: int) -> list[int]:
    """The clips' ids by their new positions."""
    changed = positions_after_move(clips, video_id, to)
    return sorted((clip.id for clip in clips), key=lambda one: (changed.get(one, position_of(clips, one)), one))


def position_of(clips: list[Placed], video_id: int) -> int:
    return next(clip.position for clip in clips if clip.id == video_id)


@pytest.mark.parametrize(
    ("video_id", "to", "order"),
    [
        (10, 3, [11, 12, 10, 13]),
        (13, 1, [13, 10, 11, 12]),
        (11, 2, [10, 11, 12, 13]),
        (12, 0, [12, 10, 11, 13]),
        (10, 99, [11, 12, 13, 10]),
    ],
)
def test_a_clip_that_moves_makes_the_others_make_room(video_id: int, to: int, order: list[int]) -> None:
    assert order_after(FOUR, video_id, to) == order


def test_a_clip_that_stays_changes_nothing() -> None:
    assert positions_after_move(FOUR, 11, 2) == {}


def test_takes_of_a_clip_move_together_and_share_a_place() -> None:
    clips = [Placed(10, 10, 1), Placed(11, 11, 2), Placed(12, 12, 3), Placed(13, 11, 2)]

    assert positions_after_move(clips, 13, 1) == {10: 2, 11: 1, 13: 1}
    assert positions_after_move(clips, 11, 3) == {11: 3, 13: 3, 12: 2}


def test_gaps_and_shared_places_of_different_clips_are_mended() -> None:
    assert positions_without_gaps([Placed(1, 1, 4), Placed(2, 2, 4), Placed(3, 3, 9)]) == {1: 1, 2: 2, 3: 3}


@pytest.mark.parametrize("seed", range(50))
def test_after_any_moves_places_are_numbered_without_gaps(seed: int) -> None:
    dice = random.Random(seed)
    clips = [Placed(number, dice.randint(1, number), dice.randint(0, 9)) for number in range(1, dice.randint(2, 12))]
    for _ in range(5):
        moved, to = dice.choice(clips).id, dice.randint(0, 15)
        changed = positions_after_move(clips, moved, to)
        clips = [Placed(clip.id, clip.take, changed.get(clip.id, clip.position)) for clip in clips]
        by_take = {clip.take: {one.position for one in clips if one.take == clip.take} for clip in clips}
        assert sorted(map(tuple, by_take.values())) == [(number,) for number in range(1, len(by_take) + 1)]
        assert position_of(clips, moved) == min(max(to, 1), len(by_take))
