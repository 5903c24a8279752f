"""The results file: one line a slice, appended; what is missing is what the next run goes on with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "docs" / "campaigns.jsonl"


@dataclass(frozen=True, slots=True)
class Slice:
    """One seeded piece of a campaign: how many cases it ran and how many of them broke a promise."""

    campaign: str
    seed: int
    count: int
    violations: int
    seconds: float
    at: str


def append(done: Slice, file: Path = FILE) -> None:
    """Adds a line; a slice that was cut short by a kill leaves none."""
    with file.open("a", encoding="utf8") as lines:
        lines.write(json.dumps(asdict(done)) + "\n")


def slices(file: Path = FILE) -> list[Slice]:
    """Everything that was run so far."""
    if not file.exists():
        return []
    return [Slice(**json.loads(line)) for line in file.read_text("utf8").splitlines()]


def totals(file: Path = FILE) -> tuple[Counter[str], Counter[str]]:
    """Cases and violations by campaign."""
    counts, violations = Counter[str](), Counter[str]()
    for done in slices(file):
        counts[done.campaign] += done.count
        violations[done.campaign] += done.violations
    return counts, violations


def write_table(targets: Mapping[str, int], file: Path = FILE) -> None:
    """docs/campaigns.md: what was reached of what is to be reached."""
    counts, violations = totals(file)
    lines = [
        "# Campaigns",
        "",
        "Written by `make campaign` from `campaigns.jsonl`; the figures add up over all runs.",
        "",
    ]
    lines += ["| campaign | cases | to reach | violations |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {name} | {counts[name]:,} | {target:,} | {violations[name]} |" for name, target in targets.items()]
    file.with_suffix(".md").write_text("\n".join([*lines, ""]), encoding="utf8")
