"""A slice of the campaign `odd-films`: odd clips joined by every rung, held against what was generated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.odd_films.bases import Pool
from tests.odd_films.running import REFUSED, WRONG, judged

FILMS = 20
# Films of the campaign that were wrong once, or refused for a reason that was none.
FOUND = {
    "3-87": "the second audio was chosen",
    "6-11": "fragments that were cut off had no reason",
    "6-25": "audio in several parts was cut coarsely",
    "16-24": "an edit list of parts was taken for a file that is cut off",
    "19-29": "a held frame is shorter than one of the film",
    "22-17": "late frames of fragments were shown early",
    "26-35": "audio went on into a clip whose own begins late",
    "28-90": "a held frame is shorter than one of a film at another rate",
}


def test_films_of_odd_clips_show_what_was_generated(tmp_path: Path) -> None:
    verdicts = [judged(Pool(tmp_path), f"suite-{number}") for number in range(FILMS)]

    assert {verdict.strategy for verdict in verdicts} >= {"splice", "copy", "smart", "encode"}
    failed = [(one.seed, one.outcome, one.problems) for one in verdicts if one.outcome in (WRONG, REFUSED)]
    assert not failed, "\n".join(map(str, ["", *failed]))


@pytest.mark.parametrize("seed", FOUND)
def test_a_film_that_was_wrong_once_is_right(tmp_path: Path, seed: str) -> None:
    verdict = judged(Pool(tmp_path), seed)

    assert verdict.outcome not in (WRONG, REFUSED), verdict.problems
