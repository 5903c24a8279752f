"""One film of the campaign: generated, joined, watched and judged."""

from __future__ import annotations

import json
import logging
import re
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.odd_films.bases import FFMPEG, Pool
from tests.odd_films.generating import OddFilm, odd_film
from tests.odd_films.joining import Joined, joined
from tests.odd_films.judging import Made, problems
from tests.odd_films.second_look import clip_problems
from tests.odd_films.watching import Watched, watched

RIGHT, WRONG, REFUSED, EXPECTED = "right", "wrong", "refused", "refused as expected"


@dataclass(frozen=True)
class Verdict:
    """What came of a film. `REFUSED` is a refusal that no oddness explains."""

    seed: str
    outcome: str
    strategy: str = ""
    problems: tuple[str, ...] = ()
    told: dict[str, Any] = field(default_factory=dict)


def run_slice(
    seeds: Sequence[str], processes: int, *, keep: Path | None = None, second: str | None = None
) -> list[Verdict]:
    """The films of these seeds, in so many processes that share their bases."""
    with tempfile.TemporaryDirectory() as folder:
        judge = partial(judged, Pool(Path(folder)), keep=keep, second=second)
        if processes == 1:
            return list(map(judge, seeds))
        with ProcessPoolExecutor(processes, initializer=_quiet) as workers:
            return list(workers.map(judge, seeds, chunksize=5))


def _quiet() -> None:
    logging.disable(logging.CRITICAL)


def run(seed: int, films: int) -> int:
    """A slice of the campaign: how many of its films are wrong."""
    verdicts = run_slice([f"{seed}-{n}" for n in range(films)], 2)
    return sum(verdict.outcome == WRONG for verdict in verdicts)


def judged(pool: Pool, seed: str, *, keep: Path | None = None, second: str | None = None) -> Verdict:
    """The film of a seed; one that is wrong is left in `keep` with its clips and how they were generated.

    `second` is another FFmpeg that watches the film as well.
    """
    film = odd_film(pool, seed)
    try:
        made = joined(film)
    except Exception as error:  # noqa: BLE001 - a crash of the engine is a verdict
        where = traceback.extract_tb(error.__traceback__)[-1]
        crash = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        return _kept(Verdict(seed, WRONG, "", (crash,), film.told()), film, b"", keep)
    if made.code:
        return _kept(_of_refusal(film, made), film, b"", keep)
    found = tuple(_problems(film, made, second))
    verdict = Verdict(seed, WRONG if found else RIGHT, made.strategy, found, film.told())
    return _kept(verdict, film, made.data, keep)


def _of_refusal(film: OddFilm, made: Joined) -> Verdict:
    """Expected where the clip it names may be refused with its code; without a name, any clip."""
    named = re.match(r"Clip (\d+)\b", made.sentence)
    clips = [film.clips[int(named[1]) - 1]] if named else film.clips
    is_expected = any(made.code in clip.refusals for clip in clips)
    sentence = f"{made.code}: {made.sentence}"
    return Verdict(film.seed, EXPECTED if is_expected else REFUSED, "", (sentence,), film.told())


def _problems(film: OddFilm, made: Joined, second: str | None) -> Iterator[str]:
    seen = _watched(made, FFMPEG)
    yield from _judged(film, made, seen)
    if second is not None and isinstance(seen, Watched):
        again = _watched(made, second)
        yield from (f"by {second}: {one}" for one in _judged(film, made, again))


def _watched(made: Joined, ffmpeg: str) -> Watched | str:
    """The film as it is played, or why it cannot be."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"film.{made.container}"
        path.write_bytes(made.data)
        try:
            return watched(path, ffmpeg=ffmpeg)
        except AssertionError as error:
            return str(error)


def _judged(film: OddFilm, made: Joined, seen: Watched | str) -> list[str]:
    if isinstance(seen, str):
        return [seen]
    whole = Made(seen, made.data, made.container == "mp4", made.encoded)
    return problems(whole, [clip.truth for clip in film.clips])


def _kept(verdict: Verdict, film: OddFilm, data: bytes, keep: Path | None) -> Verdict:
    if keep is None or verdict.outcome in (RIGHT, EXPECTED):
        return verdict
    folder = keep / verdict.seed
    folder.mkdir(parents=True, exist_ok=True)
    for clip in film.clips:
        (folder / clip.name).write_bytes(clip.data)
    if data:
        (folder / "film.mp4").write_bytes(data)
    misread = {clip.name: said for clip in film.clips if (said := clip_problems(clip))}
    story = {
        **film.told(),
        "outcome": verdict.outcome,
        "strategy": verdict.strategy,
        "problems": verdict.problems,
        "ffmpeg_differs": misread,
    }
    (folder / "film.json").write_text(json.dumps(story, indent=1, default=str) + "\n", "utf8")
    return verdict
