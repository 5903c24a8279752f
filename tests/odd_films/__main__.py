"""`make odd-films`: films of odd clips by seed, until the results file has the number to reach.

`ARGS="--seed 7 --films 50 --seconds 600"` narrows it; `--keep FOLDER` leaves films that are wrong or refused, with
their clips and how they were generated; `--only 7-12` makes film 12 of slice 7 again. `--second`: the FFmpeg on the
PATH watches the films as well. `--trial` records nothing.

Refusals that no oddness explains are listed and counted apart; they are no violations.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from tests.campaigns import results
from tests.campaigns.__main__ import CAMPAIGNS, LEDGERS, quiet
from tests.campaigns.results import Slice
from tests.odd_films.running import EXPECTED, REFUSED, RIGHT, WRONG, Verdict, run_slice

NAME = "odd-films"


def main(arguments: list[str]) -> int:
    """0 when no film is wrong."""
    parser = argparse.ArgumentParser(prog="make odd-films", description=__doc__)
    parser.add_argument("--films", type=int, help="so many; by default those that are missing")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no slice after that long")
    parser.add_argument("--seed", type=int, help="of the first slice, else the next")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--second", action="store_const", const=shutil.which("ffmpeg"))
    parser.add_argument("--trial", action="store_true", help="record nothing")
    parser.add_argument("--only", nargs="+", metavar="SEED", help="these films alone; nothing is recorded")
    chosen = parser.parse_args(arguments)
    if chosen.only:
        verdicts = run_slice(chosen.only, 1, keep=chosen.keep, second=chosen.second)
        print("\n".join(map(described, verdicts)))
        return int(any(verdict.outcome == WRONG for verdict in verdicts))
    wrong = sum(done.violations for done in _slices(chosen))
    results.write_table({name: campaign.target for name, campaign in CAMPAIGNS.items()}, LEDGERS)
    return int(wrong > 0)


def _slices(chosen: argparse.Namespace) -> Iterator[Slice]:
    """Slice after slice, each recorded once it is done."""
    end = time.monotonic() + chosen.seconds
    target, size = CAMPAIGNS[NAME].target, CAMPAIGNS[NAME].slice
    missing = target - results.totals(LEDGERS)[0][NAME] if chosen.films is None else chosen.films
    seeds = count(chosen.seed or 1 + sum(done.campaign == NAME for done in results.slices()))
    while missing > 0 and time.monotonic() < end:
        seed, films, began = next(seeds), min(size, missing), time.monotonic()
        with quiet():
            verdicts = run_slice(
                [f"{seed}-{n}" for n in range(films)], chosen.processes, keep=chosen.keep, second=chosen.second
            )
        at = datetime.now(UTC).isoformat(timespec="seconds")
        counted = Counter(verdict.outcome for verdict in verdicts)
        done = Slice(NAME, seed, films, counted[WRONG], round(time.monotonic() - began, 1), at, LEDGERS[NAME])
        if not chosen.trial:
            results.append(done)
        missing -= films
        _report(done, verdicts, counted)
        yield done


def _report(done: Slice, verdicts: list[Verdict], counted: Counter[str]) -> None:
    for verdict in verdicts:
        if verdict.outcome in (WRONG, REFUSED):
            print(described(verdict))
    outcomes = ", ".join(f"{counted[one]} {one}" for one in (RIGHT, WRONG, REFUSED, EXPECTED))
    strategies = Counter(verdict.strategy for verdict in verdicts if verdict.strategy)
    print(f"slice {done.seed}: {outcomes}; {dict(strategies)}; {done.seconds:.0f} s", flush=True)


def described(verdict: Verdict) -> str:
    """A verdict in one line."""
    clips = [
        f"{clip['video']}/{clip['audio']}"
        + "".join(f" +{name}" for name, _ in clip["oddnesses"])
        + (f" in {clip['container']}" if "container" in clip else "")
        for clip in verdict.told["clips"]
    ]
    options = f" {verdict.told['options']}" if verdict.told["options"] else ""
    said = "; ".join(verdict.problems[:3])
    return f"{verdict.seed} {verdict.outcome} {verdict.strategy}{options}: {said} [{' | '.join(clips)}]"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
