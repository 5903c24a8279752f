"""The order of a script's clips under moves, new clips and verdicts at once."""

from __future__ import annotations

import random

from shared.domain.scripts import SectionVideo
from shared.usecases.clips import Seen
from shared.usecases.review_clips import create_script, place
from tests.integration.inside import World
from tests.integration.test_at_once import THREADS, Act, approving, at_once, completed_clip


def a_script(world: World, clips: int) -> tuple[int, list[int]]:
    script_id = create_script(1, "A script", world.caller, records=world.records).id
    return script_id, [completed_clip(world, script_id) for _ in range(clips)]


def moving(video_id: int, to: int) -> Act:
    return lambda world: place(video_id, to, world.caller, records=world.records)


def order(world: World, script_id: int) -> list[SectionVideo]:
    with world.records.transaction() as tx:
        return list(tx.videos(world.caller.account_id, script_id=script_id))


def test_the_others_make_room_and_keep_their_versions(world: World) -> None:
    script_id, (a, b, c) = a_script(world, 3)
    before = {video.id: video.version for video in order(world, script_id)}

    moved = place(c, 1, world.caller, records=world.records)

    assert moved.position == 1
    found = order(world, script_id)
    assert [(video.id, video.position) for video in found] == [(c, 1), (a, 2), (b, 3)]
    assert {video.id: video.version - before[video.id] for video in found} == {a: 0, b: 0, c: 1}
    again = place(c, 1, world.caller, records=world.records, seen=Seen(frozenset({before[c]})))
    assert again.version == moved.version


def test_many_moves_at_once_leave_a_dense_order(world: World) -> None:
    script_id, clips = a_script(world, 8)
    dice = random.Random(7)
    came = world.clock.now()
    acts = [moving(dice.choice(clips), dice.randint(0, 12)) for _ in range(THREADS - 10)]
    acts += [approving(clip, came) for clip in clips[:5]]
    acts += [lambda other: completed_clip(other, script_id)] * 5

    given = at_once(world, acts)

    assert not [one for one in given if isinstance(one, Exception)]
    found = order(world, script_id)
    assert [video.position for video in found] == list(range(1, len(clips) + 6))
    assert sum(video.status == "approved" for video in found) == 5


def test_clips_that_are_asked_for_at_once_get_places_of_their_own(world: World) -> None:
    script_id, _ = a_script(world, 0)

    at_once(world, [lambda other: completed_clip(other, script_id)])

    assert [video.position for video in order(world, script_id)] == list(range(1, THREADS + 1))
