"""The results file: one line a slice, appended; what is missing is what the next run goes on with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.campaigns.fairness import FILMS

FILE = Path(__file__).resolve().parents[2] / "docs" / "campaigns.jsonl"

HEAD = (
    "# Campaigns",
    "",
    "Written by `make campaign` from `campaigns.jsonl`; the figures add up over all runs. The ledger was compared with "
    "the `amounts` that the provider billed, or by `entries`: each call has its own, and the budgets are their sum. "
    "`Besides` are earlier runs that compared less; they count for nothing here.",
    "",
    "`fault-rows`: every fault alone, in five rounds; `triple-faults`: two faults that the provider is asked for and "
    "one of the surroundings or the lines. A fault of a line (`tests/campaigns/lines.py`) lasts until it was felt.",
    "",
    "`odd-films`: films of clips with odd edit lists, tracks, clocks, shapes and indexes, by every rung of the plan, "
    "held against what was generated (`tests/odd_films`). A refusal that no oddness explains is listed by the run and "
    "is no violation.",
    "",
    "How time passes: in `state-machine` by one virtual clock, which is the process's and, as `now()`, the database's; "
    "its slices before 2026-11-21T11:40 moved what waits in the database into the past instead and left the process "
    "its own clock. On the stack time is real, but once a fault is over, checks and announcements that are not due "
    "yet, and after 30 s leases, are moved into the past; so are, after 40 s, deadlines of calls that nobody can "
    "find out.",
    "",
    "`long-sweeps`: the minute sweep over 10,000 jobs that are due, one of which raises at a statement on it; a "
    "violation is a sweep of 200 MB or 60 s, and a row that was not handled.",
    "",
    f"`fairness`: the median of {FILMS} films of three clips of one account, alone and while another account sends "
    "every route as many calls as two cores answer; a violation is more than twice as long.",
    "",
    "| campaign | cases | to reach | violations | ledger | besides | last figure |",
    "| --- | ---: | ---: | ---: | --- | ---: | --- |",
)


@dataclass(frozen=True, slots=True)
class Slice:
    """One seeded piece of a campaign: how many cases it ran and how many of them broke a promise.

    `figure` is what was measured, in words.
    `ledger` is what the ledger was compared with at its end: `amounts` that the provider billed, `entries` (each call
    has its own, and the budgets are their sum), or `none` where nothing is paid.
    """

    campaign: str
    seed: int
    count: int
    violations: int
    seconds: float
    at: str
    ledger: str
    figure: str = ""


def append(done: Slice, file: Path = FILE) -> None:
    """Adds a line; a slice that was cut short by a kill leaves none."""
    with file.open("a", encoding="utf8") as lines:
        lines.write(json.dumps(asdict(done)) + "\n")


def slices(file: Path = FILE) -> list[Slice]:
    """Everything that was run so far."""
    if not file.exists():
        return []
    return [Slice(**json.loads(line)) for line in file.read_text("utf8").splitlines()]


def totals(ledgers: Mapping[str, str], file: Path = FILE) -> tuple[Counter[str], Counter[str]]:
    """Cases by campaign, of the slices whose ledger was compared as `ledgers` says; violations of all."""
    counts, violations = Counter[str](), Counter[str]()
    for done in slices(file):
        if done.ledger == ledgers[done.campaign]:
            counts[done.campaign] += done.count
        violations[done.campaign] += done.violations
    return counts, violations


def write_table(targets: Mapping[str, int], ledgers: Mapping[str, str], file: Path = FILE) -> None:
    """docs/campaigns.md: what was reached of what is to be reached."""
    counts, violations = totals(ledgers, file)
    earlier = Counter[str]()
    for done in slices(file):
        earlier[done.campaign] += done.count if done.ledger != ledgers[done.campaign] else 0
    figures = {done.campaign: done.figure for done in slices(file)}
    rows = [
        f"| {name} | {counts[name]:,} | {target:,} | {violations[name]} | {ledgers[name]} | {earlier[name] or ''} "
        f"| {figures.get(name, '')} |"
        for name, target in targets.items()
    ]
    file.with_suffix(".md").write_text("\n".join([*HEAD, *rows, ""]), encoding="utf8")
