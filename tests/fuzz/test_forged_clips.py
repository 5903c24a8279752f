"""Whatever a file says of itself, the engine answers with its own errors, in little memory, and ends."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.corpus import make_corpus, run_in_child

FORGERIES = 2500


def test_forged_clips_are_refused_or_make_films_that_can_be_read(tmp_path: Path) -> None:
    answer = run_in_child(make_corpus(tmp_path / "corpus"), 0, FORGERIES)
    assert answer["error"] is None, f"seed {answer['seed']}: {answer['error']}"
    assert sum(answer["outcomes"].values()) == FORGERIES
    # The forgeries reach every depth: some cannot be read, some are refused, some only look forged.
    assert min(answer["outcomes"][one] for one in ("mp4_cut_off", "refused", "spliced")) > 50
