"""`make bench-api`: status, webhook and generate through the local gateway and in process, in one run.

Caches are hot (Redis holds the job), cold (Redis is emptied ten times a second, so DynamoDB answers) or down (Redis
stands still, so that asking it costs a timeout until the breaker opens). The load generator runs on the same cores.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from bench.api_calls import Api
from bench.in_process_load import Handlers
from bench.load import Measured, at_rate, back_to_back
from bench.results import Row, keep, line_of
from local.temporary import temporary_stack

CALLERS = 8
WARM_SECONDS = 3
RATES_PER_SECOND = (5, 10, 20, 30, 40, 60, 80)
P99_LIMIT_MS = 150
PROCESSES = os.cpu_count() or 1
RESULTS = Path("docs/benchmarks/api.jsonl")
COLUMNS = ("call", "way", "caches", "perSecond", "p50Ms", "p99Ms", "wrong")
HEAD = "| call | way | caches | per second | p50 ms | p99 ms | wrong |\n| --- | --- | --- " + "| ---: " * 4 + "|"


def main(arguments: list[str]) -> int:
    """Prints the table, appends its rows to the results, and is 0 when every answer was right."""
    parser = argparse.ArgumentParser(prog="python -m bench.api", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="how long each row is measured")
    seconds = parser.parse_args(arguments).seconds
    rows: list[Row] = []
    with temporary_stack("vsl-bench-") as (layout, stack):
        api = Api(stack, layout.state)
        for row in measure(api, Handlers(layout, api), seconds):
            rows.append(row)
            print(line_of(row, COLUMNS), flush=True)
    keep(RESULTS, rows)
    return 0 if sum(row["wrong"] for row in rows) == 0 else 1


def measure(api: Api, handlers: Handlers, seconds: float) -> Iterator[Row]:
    """Every row, one after the other; each begins warm and once the work of the one before is done."""
    print(HEAD)
    for caches, state in (("hot", nullcontext), ("cold", api.cold_cache), ("down", api.dead_cache)):
        for name, make in api.makers.items():
            api.wait_until_idle()
            with state():
                back_to_back(make, callers=CALLERS, seconds=WARM_SECONDS)
                yield row_of(name, "gateway", caches, back_to_back(make, callers=CALLERS, seconds=seconds))
            api.wait_until_idle()
            with state():
                yield row_of(name, "in process", caches, handlers.measure(name, PROCESSES, seconds))
    yield highest_rate(api, seconds)


def highest_rate(api: Api, seconds: float) -> Row:
    """The highest rate of webhooks, with as many status reads beside them, at which p99 stays under the limit."""
    best = row_of("webhook and status", "gateway", "hot", Measured(seconds, ()))
    for rate in RATES_PER_SECOND:
        api.wait_until_idle()
        measured = both_at_rate(api, rate, seconds)
        if measured.percentile_ms(99) > P99_LIMIT_MS:
            break
        best = row_of(f"{rate} webhooks and {rate} status reads a second", "gateway", "hot", measured)
    return best


def both_at_rate(api: Api, per_second: float, seconds: float) -> Measured:
    """Webhooks and status reads side by side, each at the rate."""
    with ThreadPoolExecutor(2) as pool:
        makers = (api.webhook, api.status)
        hooks, reads = pool.map(lambda make: at_rate(make, per_second=per_second, seconds=seconds), makers)
    return Measured(seconds, hooks.latencies_ms + reads.latencies_ms, hooks.wrong + reads.wrong)


def row_of(name: str, way: str, caches: str, measured: Measured) -> Row:
    return {"call": name, "way": way, "caches": caches, **measured.figures()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
