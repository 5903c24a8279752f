"""With the fault proxy between the functions and what they use, jobs end once, whatever the line does."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from local.stack import FAULTY
from tests.campaigns.stack_faults import settle_all
from tests.faults.observing import Observed, fault

JOBS = 3


def jobs(observed: Observed, words: str) -> list[str]:
    return [observed.generate(f"{words} {n}") for n in range(JOBS)]


def test_the_functions_reach_everything_through_the_proxy_only(proxied: Observed) -> None:
    made = jobs(proxied, "no fault")
    assert settle_all(proxied, made) == 0

    with fault(proxied, "postgres", reset_probability=1):
        answer = proxied.call("GET", "/health")

    assert answer["httpStatus"] == 503


def test_a_slow_line_only_slows(proxied: Observed) -> None:
    with ExitStack() as faults:
        for route in FAULTY:
            faults.enter_context(fault(proxied, route, latency_ms=20))
        assert settle_all(proxied, jobs(proxied, "slow")) == 0


@pytest.mark.parametrize(
    ("route", "what"),
    [
        ("ministack", {"http_status": 503, "http_probability": 0.2}),
        ("s3", {"cut_after_bytes": 20_000}),
        ("provider", {"http_status": 429, "http_probability": 0.3}),
        ("redis", {"stall": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_a_bad_line_is_outlived(proxied: Observed, route: str, what: dict[str, Any]) -> None:
    made = jobs(proxied, f"bad line {route}")
    with fault(proxied, route, **what):
        for _ in range(3):
            proxied.let_time_pass(made[0])
            proxied.invoke("reconcile")

    assert settle_all(proxied, made) == 0


def test_a_database_that_resets_connections_loses_nothing(proxied: Observed) -> None:
    made = jobs(proxied, "resets")
    with fault(proxied, "postgres", reset_probability=0.5, cut_after_bytes=60_000):
        for _ in range(3):
            proxied.call("GET", f"/status/{made[0]}")

    assert settle_all(proxied, made) == 0
