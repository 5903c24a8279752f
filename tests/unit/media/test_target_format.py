"""Size, rate and audio that the clips of a film are brought to."""

from __future__ import annotations

from fractions import Fraction

import pytest

from shared.media.target import Target, Wishes, target_of, usual_rate
from tests.unit.media.built import audio_facts, media_facts, video_facts

STEREO = audio_facts()
SIZES = {
    "its own": ({"size": (640, 360)}, Wishes(), (640, 360)),
    "turned": ({"size": (640, 360), "rotation": 90}, Wishes(), (360, 640)),
    "turned back": ({"size": (640, 360), "rotation": -270}, Wishes(), (360, 640)),
    "odd sides": ({"size": (641, 361)}, Wishes(), (640, 360)),
    "tiny": ({"size": (10, 3)}, Wishes(), (16, 16)),
    "asked for": ({"size": (640, 360)}, Wishes(size=(1920, 1080), quality="low"), (1920, 1080)),
    "asked for with odd sides": ({"size": (640, 360)}, Wishes(size=(1921, 1081)), (1920, 1080)),
    "under the ceiling": ({"size": (640, 360)}, Wishes(quality="low"), (640, 360)),
    "above the ceiling": ({"size": (3840, 2160)}, Wishes(quality="high"), (1920, 1080)),
    "above it, upright": ({"size": (2160, 3840)}, Wishes(quality="medium"), (720, 1280)),
    "above it, to even sides": ({"size": (1000, 999)}, Wishes(quality="low"), (480, 480)),
}


@pytest.mark.parametrize(("of_video", "wishes", "expected"), SIZES.values(), ids=SIZES.keys())
def test_a_film_has_the_size_of_its_reference_clip(
    of_video: dict[str, object], wishes: Wishes, expected: tuple[int, int]
) -> None:
    target = target_of([media_facts(video_facts(**of_video), STEREO)], wishes)

    assert (target.width, target.height) == expected


def test_without_a_reference_clip_the_majority_is_it() -> None:
    small, large = video_facts(size=(320, 180)), video_facts(size=(1280, 720), frames=49)
    facts = [media_facts(small, None), media_facts(large, STEREO)]

    assert target_of(facts) == Target(1280, 720, Fraction(24), 44100, 2)
    assert target_of(facts, model=0) == Target(320, 180, Fraction(24), 44100, 2)


@pytest.mark.parametrize(
    ("audio", "expected"),
    [
        ([None, None], (None, 0)),
        ([{}, {"sample_rate": 48000}], (44100, 2)),
        ([None, {"sample_rate": 48000, "channels": 1}], (48000, 1)),
        ([{"channels": 6}, {}], (44100, 2)),
    ],
)
def test_audio_is_the_reference_clips_or_the_first_there_is(
    audio: list[dict[str, int] | None], expected: tuple[int | None, int]
) -> None:
    facts = [media_facts(video_facts(), None if one is None else audio_facts(**one)) for one in audio]

    target = target_of(facts, model=0)

    assert (target.sample_rate, target.channels) == expected


def test_a_rate_that_is_asked_for_is_taken() -> None:
    facts = [media_facts(video_facts(fps=Fraction(5)), None)]

    assert target_of(facts, Wishes(fps=Fraction(50))).fps == 50


@pytest.mark.parametrize(
    ("measured", "usual"),
    [("24", "24"), ("2405/100", "24"), ("2388/100", "24000/1001"), ("241/10", "24"), ("2413/100", "2413/100")],
)
def test_a_rate_within_half_a_percent_is_the_usual_one(measured: str, usual: str) -> None:
    assert usual_rate(Fraction(measured)) == Fraction(usual)


def test_no_rate_is_no_usual_one() -> None:
    assert usual_rate(Fraction(0)) == 0
