"""A slice of the campaign `odd-films`: odd clips joined by every rung, held against what was generated."""

from __future__ import annotations

from pathlib import Path

from tests.odd_films.bases import Pool
from tests.odd_films.running import REFUSED, WRONG, judged

FILMS = 20


def test_films_of_odd_clips_show_what_was_generated(tmp_path: Path) -> None:
    verdicts = [judged(Pool(tmp_path), f"suite-{number}") for number in range(FILMS)]

    assert {verdict.strategy for verdict in verdicts} >= {"splice", "copy", "smart", "encode"}
    failed = [(one.seed, one.outcome, one.problems) for one in verdicts if one.outcome in (WRONG, REFUSED)]
    assert not failed, "\n".join(map(str, ["", *failed]))
