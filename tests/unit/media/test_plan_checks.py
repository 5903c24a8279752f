"""What is known of a film before it is planned: what is asked of its clips, and whose first frame is held."""

from __future__ import annotations

from fractions import Fraction

import pytest

from shared.media.compare import ProbedClip
from shared.media.plan_checks import held_frames, requested
from shared.media.target import Wishes
from tests.unit.media.probed import LARGE, MATROSKA, h264, late, other, shown_as, without_facts, without_picture

ASKED = {
    "nothing": (h264(), Wishes(), None),
    "everything anew": (h264(), Wishes(reencode=True, size=(640, 360)), "asked_for"),
    "its size": (h264(), Wishes(size=(640, 360)), None),
    "another size": (h264(), Wishes(size=(360, 640)), "size"),
    "its size as it is turned": (shown_as(h264(), rotation=-90), Wishes(size=(360, 640)), None),
    "its rate": (h264(), Wishes(fps=Fraction(24)), None),
    "nearly its rate": (shown_as(h264(), fps=Fraction(2397, 100)), Wishes(fps=Fraction(24000, 1001)), None),
    "another rate": (h264(), Wishes(fps=Fraction(25)), "fps"),
    "a size before a rate": (h264(), Wishes(size=LARGE, fps=Fraction(25)), "size"),
    "high quality of 1080 lines": (h264(size=(1920, 1080)), Wishes(quality="high"), None),
    "high quality of more": (h264(size=(1920, 1090)), Wishes(quality="high"), "quality"),
    "medium quality of more": (h264(size=(730, 1280)), Wishes(quality="medium"), "quality"),
    "low quality of less": (h264(), Wishes(quality="low"), None),
    "the source's quality": (h264(size=(8000, 4500)), Wishes(quality="source"), None),
}


OF_FACTS_ALONE = {"its size as it is turned", "nearly its rate"}
BY_INDEX = {
    f"{what}, by the index": (without_facts(row[0]), *row[1:])
    for what, row in ASKED.items()
    if what not in OF_FACTS_ALONE
}
ALL_ASKED = {**ASKED, **BY_INDEX}


@pytest.mark.parametrize(("probe", "wishes", "expected"), ALL_ASKED.values(), ids=ALL_ASKED.keys())
def test_a_clip_that_is_not_as_asked_for_has_a_reason(probe: ProbedClip, wishes: Wishes, expected: str | None) -> None:
    found = list(requested([probe], wishes))

    assert [(one.clip, one.name, one.severity) for one in found] == ([(0, expected, "encode")] if expected else [])


def test_of_a_clip_without_video_nothing_can_be_asked_but_to_encode_it() -> None:
    probes = [without_facts(without_picture(h264()))]

    assert list(requested(probes, Wishes(size=LARGE))) == []
    assert [one.name for one in requested(probes, Wishes(reencode=True))] == ["asked_for"]


@pytest.mark.parametrize("probe", [h264(), other(MATROSKA)], ids=["MP4", "MKV"])
@pytest.mark.parametrize(("seconds", "held"), [("0", False), ("1/40", False), ("26/1000", True), ("3/2", True)])
def test_a_first_frame_is_held_for_more_than_a_fortieth_of_a_second(
    probe: ProbedClip, seconds: str, held: bool
) -> None:
    found = list(held_frames([h264(), late(probe, Fraction(seconds))]))

    assert [(one.clip, one.name, one.severity) for one in found] == [(1, "first_frame_held", "note")] * held


def test_without_facts_the_index_says_what_is_held() -> None:
    (found,) = held_frames([without_facts(late(h264(), Fraction(5, 4)))])

    assert found.sentence == "Clip 1: its first frame is held for 1.25 s, as its audio begins earlier."


def test_audio_before_a_files_time_0_holds_nothing() -> None:
    probe = shown_as(other(MATROSKA, {"start_seconds": Fraction(-1)}), start_seconds=Fraction(0))

    assert list(held_frames([probe])) == []


def test_frames_without_audio_are_not_held() -> None:
    probe = late(h264(None), Fraction(0))

    assert list(held_frames([shown_as(probe, start_seconds=Fraction(1))])) == []
