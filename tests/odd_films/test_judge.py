"""The judge says right of films that are right, and what is wrong of films that were broken on purpose."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.odd_films import noise
from tests.odd_films.drawing import Shape
from tests.odd_films.judging import problems
from tests.odd_films.movie import UPRIGHT
from tests.odd_films.reference import (
    CLIPS,
    DECOY,
    FPS,
    FRAMES,
    SECONDS,
    Reference,
    film_audio,
    film_frames,
    truth,
)
from tests.odd_films.truth import HeardPart, ShownFrame, Truth

TRUTHS = [truth(clip) for clip in CLIPS]
EVERY = tuple(range(len(CLIPS)))
HELD = Fraction(1, 4)


def without(place: int) -> list[tuple[int, int]]:
    frames = film_frames()
    return [*frames[:place], *frames[place + 1 :]]


def twice(place: int) -> list[tuple[int, int]]:
    frames = film_frames()
    return [*frames[: place + 1], *frames[place:]]


def moved(seconds: float) -> array[int]:
    """The film's audio later, or earlier."""
    gap = round(abs(seconds) * noise.RATE)
    whole = film_audio()
    return array("h", [0] * gap) + whole[:-gap] if seconds > 0 else whole[gap:] + array("h", [0] * gap)


def with_decoy() -> array[int]:
    """The middle clip's audio replaced by that of a track that is disabled."""
    first, last = round(SECONDS * noise.RATE), round(2 * SECONDS * noise.RATE)
    whole = film_audio()
    return whole[:first] + noise.samples_of(DECOY)[: last - first] + whole[last:]


def silent() -> array[int]:
    return array("h", [0] * len(film_audio()))


def test_a_right_film_is_right_of_copies_and_of_encoded_clips(tmp_path: Path) -> None:
    made = Reference().made(tmp_path)
    assert problems(made, TRUTHS) == []
    assert problems(replace(made, encoded=EVERY), TRUTHS) == []


@pytest.mark.parametrize(
    ("film", "says"),
    [
        (Reference(frames=without(25)), "frame"),
        (Reference(frames=without(0)), "frame"),
        (Reference(frames=without(FRAMES - 1)), "frame"),
        (Reference(frames=without(3 * FRAMES - 1)), "frame"),
        (Reference(frames=twice(30)), "frame"),
        (Reference(frames=twice(FRAMES - 1)), "audio"),
        (Reference(frames=film_frames((12, 11, 13))), "are shown"),
        (Reference(frames=film_frames((11, 12))), "are shown"),
        (Reference(frames=film_frames((11, 12, 14))), "are shown"),
        (Reference(audio=moved(0.06)), "60 ms late"),
        (Reference(audio=moved(-0.06)), "-60 ms late"),
        (Reference(audio=moved(0.5)), "is not heard at"),
        (Reference(audio=with_decoy()), "must not be heard"),
        (Reference(audio=silent()), "nor anywhere else"),
        (Reference(filters="hflip"), "cannot be read"),
        (Reference(filters="scale=160:72,pad=160:96:0:12"), "lies at"),
        (Reference(marks=(1, 11, 12)), "marked as places to begin at"),
        (Reference(marks=(11, 21)), "the first frame is not marked"),
    ],
)
def test_a_broken_film_is_wrong(tmp_path: Path, film: Reference, says: str) -> None:
    made = film.made(tmp_path)
    assert says in "; ".join(problems(made, TRUTHS))
    assert says in "; ".join(problems(replace(made, encoded=EVERY), TRUTHS))


def test_a_copy_of_another_shape_is_wrong(tmp_path: Path) -> None:
    (problem, *_) = Reference(filters="setsar=4/3").judged(tmp_path, TRUTHS)
    assert "is shown 2.222 wide, generated 1.667" in problem


def test_an_encoded_clip_keeps_its_shape_within_black_bars(tmp_path: Path) -> None:
    wide = [truth(clip, shapes=(Shape(UPRIGHT, Fraction(20, 9)),)) for clip in CLIPS]
    barred = Reference(filters="scale=160:72,pad=160:96:0:12", encoded=EVERY)
    assert barred.judged(tmp_path, wide) == []
    assert "lies at" in "; ".join(replace(barred, filters="null").judged(tmp_path, wide))


def test_every_side_that_is_turned_or_mirrored_is_told_apart(tmp_path: Path) -> None:
    turned = [truth(clip, shapes=(Shape((0, 1, -1, 0), Fraction(3, 5)),)) for clip in CLIPS]
    assert Reference(filters="transpose=clock").judged(tmp_path, turned) == []
    for wrong in ("transpose=cclock", "transpose=clock,hflip", "null"):
        assert Reference(filters=wrong).judged(tmp_path, turned) != []


def held(seconds: Fraction) -> Truth:
    """A clip whose audio begins so long before its video."""
    plain = truth(11)
    frames = tuple(ShownFrame(one.number, one.begin + seconds, one.end + seconds) for one in plain.frames)
    heard = (HeardPart(11, Fraction(0), Fraction(0), frames[-1].end),)
    return replace(plain, frames=frames, heard=heard)


def test_a_first_frame_is_held_for_audio_that_comes_first(tmp_path: Path) -> None:
    frames = [(11, 0)] * int(HELD * FPS) + film_frames((11,))
    audio = noise.samples_of(11)[: round((SECONDS + HELD) * noise.RATE)]
    right = Reference(frames=frames, audio=audio, encoded=(0,))
    assert right.judged(tmp_path, [held(HELD)]) == []
    cut = Reference(frames=film_frames((11,)), audio=audio[round(HELD * noise.RATE) :], encoded=(0,))
    assert "its first 250 ms are left out" in "; ".join(cut.judged(tmp_path, [held(HELD)]))


def at_rate(frames: Sequence[tuple[int, int]], wanted: int) -> list[tuple[int, int]]:
    """As an encoder brings them to another rate."""
    return [frames[n * FPS // wanted] for n in range(len(frames) * wanted // FPS)]


@pytest.mark.parametrize("fps", [12, 30, 60])
def test_another_rate_is_right_as_long_as_frames_are_where_they_belong(tmp_path: Path, fps: int) -> None:
    frames = [shown for clip in CLIPS for shown in at_rate(film_frames((clip,)), fps)]
    film = Reference(frames=frames, fps=fps, encoded=EVERY)
    assert film.judged(tmp_path, TRUTHS) == []
    swapped = [*frames[:5], frames[8], *frames[6:8], frames[5], *frames[9:]]
    assert "shows frame" in "; ".join(replace(film, frames=swapped).judged(tmp_path, TRUTHS))


def test_frames_that_an_edit_list_hides_must_not_be_shown(tmp_path: Path) -> None:
    hidden = [truth(11, range(3, FRAMES)), *TRUTHS[1:]]
    assert "clip 1" in "; ".join(Reference(encoded=EVERY).judged(tmp_path, hidden))
