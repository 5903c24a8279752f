"""A function's handler called in this process, one event after the other, as an execution environment does.

`python -m bench.in_process HANDLER SECONDS RESULT < EVENTS` writes `{"seconds", "latenciesMs", "wrong"}`; each line
of EVENTS is `{"event": ..., "expected": status}`, and they are called in turn. The environment is the function's own.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

WARM_CALLS = 3


class Context:
    """The part of awslambdaric's context that the handlers read."""

    function_name = memory_limit_in_mb = invoked_function_arn = "bench"

    def __init__(self) -> None:
        self.aws_request_id = str(uuid4())

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


def measure(handler: Any, events: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Calls for so long; the first few calls, which connect, do not count."""
    for wanted in events[:WARM_CALLS]:
        handler(wanted["event"], Context())
    latencies_ms: list[float] = []
    wrong = 0
    began = time.monotonic()
    for wanted in itertools.cycle(events[WARM_CALLS:]):
        started = time.monotonic()
        if started - began >= seconds:
            break
        answer = handler(wanted["event"], Context())
        if answer["statusCode"] == wanted["expected"]:
            latencies_ms.append((time.monotonic() - started) * 1000)
        else:
            wrong += 1
    return {"seconds": time.monotonic() - began, "latenciesMs": latencies_ms, "wrong": wrong}


def main(arguments: list[str]) -> int:
    path, seconds, result = arguments
    module, _, name = path.rpartition(".")
    handler = getattr(import_module(module), name)
    events = [json.loads(line) for line in sys.stdin]
    Path(result).write_text(json.dumps(measure(handler, events, float(seconds))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
