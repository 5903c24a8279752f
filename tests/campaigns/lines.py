"""Faults of the lines between the functions and what they use, by the stack's fault proxy (local/faults.py)."""

from __future__ import annotations

import random
import time
import urllib.error
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from local.stack import FAULTY
from tests.campaigns.surroundings import Fault
from tests.faults.observing import Observed, fault
from tests.patience import PATIENCE_SECONDS

HTTP_ROUTES = ("ministack", "s3", "provider")
SERVER_ERRORS = (500, 502, 503, 504)
TENTHS = range(10, 100, 10)
SECONDS = (1.5, 4.0)
# A call through a line that stalls is given up by whoever made it, at the latest by the gateway.
THROTTLED = (
    '{"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", "message": "The level of '
    'configured provisioned throughput for the table was exceeded."}'
)
# Draws the fields of a fault.
Draw = Callable[[random.Random], Mapping[str, Any]]


def lines() -> dict[str, Fault]:
    """Every fault of every line, each over within seconds."""
    of_all: dict[str, Draw] = {
        "is slow to answer": lambda dice: {"latency_ms": dice.uniform(50, 300)},
        "is narrow": lambda dice: {"bytes_per_second": dice.uniform(10_000, 50_000)},
        "resets 30 %": lambda dice: {"reset_probability": 0.3},
        "cuts": lambda dice: {"cut_after_bytes": dice.choice((100, 300, 1000))},
        "stalls": lambda dice: {"stall": True},
    }
    return {
        **{f"{route} {name}": _bad_line(route, draw) for route in FAULTY for name, draw in of_all.items()},
        **{f"{route} answers 30 % with 5xx": _bad_line(route, _server_errors()) for route in HTTP_ROUTES},
        "provider answers 30 % with 429": _bad_line("provider", _refusals(429, 0.3)),
        "provider answers 30 % of reads with 5xx": _bad_line("provider", _server_errors("GET /v1/")),
        "provider resets 30 % of reads": _bad_line(
            "provider", lambda dice: {"reset_probability": 0.3, "only": "GET /v1/"}
        ),
        "the live view is throttled 50 %": _bad_line("ministack", _refusals(400, 0.5, "DynamoDB_", THROTTLED)),
        **{f"downloads are cut at {percent} %": _bad_line("provider", _cut_at(percent)) for percent in TENTHS},
    }


def _server_errors(only: str = "") -> Draw:
    return lambda dice: {"http_status": dice.choice(SERVER_ERRORS), "http_probability": 0.3, "only": only}


def _refusals(status: int, probability: float, only: str = "", body: str = "") -> Draw:
    fields = {"http_status": status, "http_probability": probability, "only": only, "http_body": body}
    return lambda dice: fields


def _cut_at(percent: int) -> Draw:
    return lambda dice: {"cut_at_percent": percent, "only": "GET /delivery/"}


def _bad_line(route: str, draw: Draw) -> Fault:
    def happen(observed: Observed, dice: random.Random) -> Sequence[str]:
        seconds, fields = dice.uniform(*SECONDS), draw(dice)
        with ThreadPoolExecutor() as clients, fault(observed, route, **fields) as felt:
            end = time.monotonic() + seconds
            made = [clients.submit(_generate, observed, f"through {route}")]
            # A line that nobody used would prove nothing.
            while not (touched := felt()) or time.monotonic() < end:
                assert time.monotonic() < end + PATIENCE_SECONDS, f"nobody felt {route} {fields}"
                if not touched and all(job.done() for job in made):
                    made.append(clients.submit(_generate, observed, f"again through {route}"))
                time.sleep(0.1)
        return [job.result() for job in made]

    return happen


def _generate(observed: Observed, prompt: str) -> str:
    """A job of a client that sends the same request until it is taken, then asks how the job is."""
    key, end = uuid4().hex, time.monotonic() + PATIENCE_SECONDS
    body = {
        "userId": f"user-{key[:12]}",
        "mediaType": "image",
        "modelId": "flux-schnell",
        "parameters": {"prompt": prompt},
    }
    while (made := _asked(observed, "POST", "/generate-media", body, key))["httpStatus"] != 202:
        assert made["httpStatus"] in (0, *SERVER_ERRORS), made
        assert time.monotonic() < end, made
        time.sleep(0.2)
    _asked(observed, "GET", f"/status/{made['jobId']}", None, key)
    return str(made["jobId"])


def _asked(observed: Observed, method: str, path: str, body: Any, key: str) -> Any:
    try:
        return observed.call(method, path, body, **{"Idempotency-Key": key})
    except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
        return {"httpStatus": 0, "error": repr(error)}
