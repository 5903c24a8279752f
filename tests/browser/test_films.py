"""Spliced films play and seek in Chromium: the right picture at any time, through every join, with their sound."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from shared.media.clip import Clip, read_clip
from shared.media.h264.config import AvcConfig
from tests.browser.devtools import Page, PageFailed
from tests.browser.numbered import Film, Kind, Numbered, film_of
from tests.unit.media.films import FileSource

EDGE_SECONDS = 0.001
# How far from where the sound changes a piece of it may be neither the one nor the other.
BLURRED_SECONDS = 0.08

PLAIN = Kind()
SILENT = Kind(heard=Fraction(0))
HALF_SILENT = Kind(heard=Fraction(1, 2))
OTHER_SETS = Kind(options="-preset medium -bf 0 -refs 4")
B_PICTURES = Kind(options="-preset medium -bf 2 -g 12 -keyint_min 12")
FRAGMENTS = Kind(options=f"{B_PICTURES.options} -movflags frag_keyframe+empty_moov+default_base_moof")
FRAGMENTS_BEHIND_EDITS = Kind(options=f"{B_PICTURES.options} -movflags frag_keyframe+delay_moov")
FRAGMENTS_SHOWN_EARLY = Kind(options=f"{B_PICTURES.options} -movflags frag_keyframe+delay_moov+negative_cts_offsets")

FILMS = {
    "like clips": (PLAIN, PLAIN, PLAIN),
    "other parameter sets of the same ids": (PLAIN, OTHER_SETS, PLAIN),
    "no sound in the middle": (PLAIN, SILENT, PLAIN),
    "B-pictures behind edit lists": (B_PICTURES, B_PICTURES, B_PICTURES),
    "B-pictures beside none, and sound that ends early": (HALF_SILENT, B_PICTURES, PLAIN),
    "fragments": (FRAGMENTS, FRAGMENTS_BEHIND_EDITS, FRAGMENTS_SHOWN_EARLY, PLAIN),
    "30 a second beside 24": (PLAIN, Kind(fps=30), PLAIN),
}


@pytest.mark.parametrize("kinds", FILMS.values(), ids=FILMS.keys())
def test_a_film_plays_and_seeks(kinds: Sequence[Kind], page: Page, films: Path) -> None:
    film = film_of(kinds, new_file(films))
    assert page.call("open_film", film.path.name) == pytest.approx(float(film.seconds), abs=0.05)
    check_play(film, page.call("play"))
    check_seeks(film, page)
    listened = page.call("listen", film.path.name)
    assert listened["seconds"] == pytest.approx(float(film.seconds), abs=0.05)
    assert share_heard(film, listened["pieces"]) == 1


def test_a_film_with_a_whole_sound_plays_and_seeks(page: Page, films: Path) -> None:
    """The clips' own sound is of kinds that do not go together, or there is none."""
    kinds = (PLAIN, SILENT, Kind(fps=30, options="-c:a ac3"), Kind(options=f"{B_PICTURES.options} -ar 48000 -ac 1"))
    film = film_of(kinds, new_file(films), whole_sound=True)
    page.call("open_film", film.path.name)
    check_play(film, page.call("play"))
    check_seeks(film, page)
    assert share_heard(film, page.call("listen", film.path.name)["pieces"]) == 1


def check_play(film: Film, played: Any) -> None:
    """Pictures may be left out on a busy machine, but none comes up that is not the film's, or out of turn."""
    assert played["error"] is None
    assert played["seconds"] == pytest.approx(float(film.seconds), abs=0.05)
    numbers = [one["number"] for one in played["pictures"]]
    assert numbers == sorted(numbers)
    assert set(numbers) <= {one.number for one in chain.from_iterable(film.pictures)}
    for pictures in film.pictures:
        assert set(numbers) & {one.number for one in pictures}
    assert share_heard(film, played["sounds"]) > 0.8


def check_seeks(film: Film, page: Page) -> None:
    """Just behind a picture's begin forth, and just before its end back."""
    wanted = looked_at(film)
    numbers = [one.number for one in wanted]
    forth = page.call("seek", [float(one.begin) + EDGE_SECONDS for one in wanted])
    assert forth == {"numbers": numbers, "error": None}
    back = page.call("seek", [float(one.end) - EDGE_SECONDS for one in reversed(wanted)])
    assert back == {"numbers": numbers[::-1], "error": None}


def looked_at(film: Film) -> list[Numbered]:
    """First, second, middle and last picture of each clip."""
    return [pictures[at] for pictures in film.pictures for at in (0, 1, len(pictures) // 2, -1)]


def share_heard(film: Film, pieces: Sequence[Any]) -> float:
    """How many of the pieces of sound are what the film has then, of those where one thing alone is to be heard."""
    right = [
        is_heard(piece, tone.pitch_hz)
        for tone in film.tones
        for piece in pieces
        if tone.begin + BLURRED_SECONDS < piece["seconds"] < tone.end - BLURRED_SECONDS
    ]
    assert len(right) > 10
    return sum(right) / len(right)


def is_heard(piece: Any, pitch_hz: int) -> bool:
    if pitch_hz == 0:
        return bool(piece["loudness"] < 0.001)
    return bool(piece["loudness"] > 0.03 and abs(piece["pitch"] / pitch_hz - 1) < 0.15)


def test_a_film_without_one_clips_parameter_sets_is_seen(page: Page, films: Path) -> None:
    film = film_of((PLAIN, OTHER_SETS, PLAIN), new_file(films))
    picture = read(film).picture
    assert picture is not None
    assert isinstance(picture.config, AvcConfig)
    unit = picture.config.pps[15]
    # Its id 15 becomes 16, which no picture names (7.3.2.2).
    replace(film, unit, unit[:2] + bytes([unit[2] | 0x80]) + unit[3:])
    page.call("open_film", film.path.name)
    wanted = looked_at(film)
    sought = page.call("seek", [float(one.begin) + EDGE_SECONDS for one in wanted])
    assert sought["error"] is not None
    assert sought["numbers"] == [one.number for one in wanted[: len(sought["numbers"])]]
    assert len(sought["numbers"]) <= len(wanted) // 3


def test_a_film_without_its_edit_list_is_seen(page: Page, films: Path) -> None:
    film = film_of((B_PICTURES, PLAIN), new_file(films))
    data = film.path.read_bytes()
    begin = data.index(b"elst") + len("elst") + 4 + 4 + 4
    film.path.write_bytes(data[:begin] + bytes(4) + data[begin + 4 :])
    page.call("open_film", film.path.name)
    with pytest.raises(AssertionError):
        check_seeks(film, page)


def test_a_film_whose_sound_comes_early_is_heard(page: Page, films: Path) -> None:
    """Chromium drops sound that lies before what was heard last."""
    film = film_of((SILENT, PLAIN, SILENT, PLAIN), new_file(films))
    sound = read(film).sound
    assert sound is not None
    silences = [at for at, packets in enumerate(sound.tables.chunk_samples) if packets > 20]
    first, third = (sound.tables.chunk_offsets[at].to_bytes(4, "big") for at in silences)
    replace(film, third, first)
    page.call("open_film", film.path.name)
    assert share_heard(film, page.call("play")["sounds"]) < 0.8
    assert share_heard(film, page.call("listen", film.path.name)["pieces"]) == 1


def test_what_is_no_film_is_refused(page: Page, films: Path) -> None:
    path = new_file(films)
    path.write_bytes(b"no film")
    with pytest.raises(PageFailed):
        page.call("open_film", path.name)


def new_file(films: Path) -> Path:
    return films / f"{len(list(films.iterdir()))}.mp4"


def read(film: Film) -> Clip:
    return read_clip(FileSource(film.path))


def replace(film: Film, old: bytes, new: bytes) -> None:
    data = film.path.read_bytes()
    assert data.count(old) == 1
    film.path.write_bytes(data.replace(old, new))
