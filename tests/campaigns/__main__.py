"""`make campaign`: runs on where the results file says that something is missing.

`ARGS="--only state-machine,tenants --seconds 600"` narrows it; every slice has a seed of its own and is one line.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import count
from typing import Any
from uuid import uuid4

from tests.campaigns import fairness, lifecycle_run, results, stack_faults, sweeping, tenants, urls, webhooks
from tests.campaigns.results import Slice
from tests.odd_films import running as odd_films

# Cases, violations and, where something is measured, the figure in words.
Run = Callable[["Surroundings", int, int], tuple[int, int] | tuple[int, int, str]]


class Surroundings:
    """What campaigns run on; a stack is started for the first that needs one."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    @cached_property
    def stack(self) -> dict[str, Any]:
        from local.stack import FAULTS_VARIABLE
        from local.temporary import temporary_stack

        os.environ[FAULTS_VARIABLE] = "1"
        _, described = self._stack.enter_context(temporary_stack("vsl-campaign-"))
        return described

    @cached_property
    def plain_stack(self) -> dict[str, Any]:
        """A stack without the fault proxy, which would be a part of what is measured."""
        from local.stack import FAULTS_VARIABLE
        from local.temporary import temporary_stack

        os.environ.pop(FAULTS_VARIABLE, None)
        _, described = self._stack.enter_context(temporary_stack("vsl-campaign-"))
        return described

    @cached_property
    def observed(self) -> Any:
        from tests.faults.observing import Observed

        return Observed(self.stack)

    @cached_property
    def database_url(self) -> str:
        return lifecycle_run.new_database(self.stack["databaseUrl"], f"campaign_{uuid4().hex[:8]}")

    @cached_property
    def tenants(self) -> Any:
        from tests.e2e.client import Api

        return tenants.prepared(
            Api(self.stack["baseUrl"], self.stack["apiKey"]), Api(self.stack["baseUrl"], self.stack["secondApiKey"])
        )


@dataclass(frozen=True)
class Campaign:
    """How many cases it is to reach, and how many one slice runs."""

    target: int
    slice: int
    run: Run
    ledger: str = "none"


def _on_stack(target: int, slice_: int, run: Callable[[Any, int, int], int]) -> Campaign:
    """Of jobs on the running stack, whose provider tells what it billed."""
    return Campaign(target, slice_, lambda on, seed, n: (n, run(on.observed, seed, n)), "amounts")


FAULT_ROWS = len([*stack_faults.directives(), *stack_faults.worlds()])
CAMPAIGNS = {
    "forged-webhooks": Campaign(10_000, 2000, lambda on, seed, n: (n, webhooks.run(seed, n))),
    "hostile-urls": Campaign(5000, 1000, lambda on, seed, n: (n, urls.run(seed, n))),
    "state-machine": Campaign(
        100_000, 3000, lambda on, seed, n: lifecycle_run.run(on.database_url, seed, n), "entries"
    ),
    "odd-films": Campaign(3000, 100, lambda on, seed, n: (n, odd_films.run(seed, n))),
    "long-sweeps": Campaign(60_000, 10_000, lambda on, seed, n: sweeping.run(on.database_url, seed, n)),
    "fairness": Campaign(5, 1, lambda on, seed, n: fairness.run(on.plain_stack, seed, n)),
    "two-tenants": Campaign(10_000, 1000, lambda on, seed, n: (n, tenants.run(on.tenants, seed, n))),
    "fault-rows": _on_stack(5 * FAULT_ROWS, FAULT_ROWS, stack_faults.run_rows),
    "triple-faults": _on_stack(100, 10, stack_faults.run_triples),
    "kill-points": _on_stack(40, 5, stack_faults.run_kills),
    "outage-of-20-s": _on_stack(5, 1, stack_faults.run_outage),
    "whole-stack-killed": _on_stack(3, 1, stack_faults.run_whole_kills),
}
LEDGERS = {name: campaign.ledger for name, campaign in CAMPAIGNS.items()}


def main(arguments: list[str]) -> int:
    """0 when what was run broke no promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns", description=__doc__)
    parser.add_argument("--only", default=",".join(CAMPAIGNS), help="names, separated by commas")
    parser.add_argument("--beyond", type=int, default=0, help="so many cases more than there are, after a change")
    parser.add_argument("--seed", type=int, help="of the first slice, where several run side by side; else the next")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no slice after that long")
    chosen = parser.parse_args(arguments)
    end, broken = time.monotonic() + chosen.seconds, 0
    totals = results.totals(LEDGERS)[0]
    targets = {name: c.target if not chosen.beyond else totals[name] + chosen.beyond for name, c in CAMPAIGNS.items()}
    with ExitStack() as stack:
        on = Surroundings(stack)
        for name in chosen.only.split(","):
            for done in _missing(name, on, end, targets[name], chosen.seed):
                broken += done.violations
                print(
                    f"{name}: {results.totals(LEDGERS)[0][name]} of {targets[name]}, "
                    f"{done.violations} violations, {done.seconds:.0f} s",
                    flush=True,
                )
    results.write_table({name: campaign.target for name, campaign in CAMPAIGNS.items()}, LEDGERS)
    return 1 if broken else 0


def _missing(name: str, on: Surroundings, end: float, target: int, first_seed: int | None) -> Iterator[Slice]:
    campaign = CAMPAIGNS[name]
    seeds = count(first_seed or 1 + sum(done.campaign == name for done in results.slices()))
    while (missing := target - results.totals(LEDGERS)[0][name]) > 0 and time.monotonic() < end:
        seed, began = next(seeds), time.monotonic()
        with quiet():
            cases, violations, *figures = campaign.run(on, seed, min(campaign.slice, missing))
        at = datetime.now(UTC).isoformat(timespec="seconds")
        seconds = round(time.monotonic() - began, 1)
        done = Slice(name, seed, cases, violations, seconds, at, campaign.ledger, "; ".join(figures))
        results.append(done)
        yield done


@contextmanager
def quiet() -> Iterator[None]:
    """Without the product's log lines; a violation is told on stderr."""
    logging.disable(logging.CRITICAL)
    os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"
    with redirect_stdout(sys.stderr):
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
