"""How often a chain of invocations came to a function, counted as Lambda counts it, and where Lambda ends it.

"Lambda uses an AWS X-Ray trace header primitive called Lineage to track the number of times a function has been
invoked with an event"; after about 16 of one chain it stops the next one, unless the function's `RecursiveLoop` is
`Allow` (https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html). The count travels in the header:
botocore sends it with each request of a function, SQS keeps it with the message. AWS does not document the field's
form; here it is `Lineage=<hash of a function>:<times>|...`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

MOST_ROUNDS = 16
_QUEUE = b'"aws:sqs"'
_FIELD = re.compile(r"(?:^|;)\s*Lineage=([0-9a-f:|]*)")


def rounds_of(trace: str, arn: str) -> int:
    """How often the chain has come to the function."""
    return _counts(trace).get(_hash(arn), 0)


def with_round(trace: str, arn: str) -> str:
    """The header as the function's own requests carry it on."""
    counts = _counts(trace)
    counts[_hash(arn)] = counts.get(_hash(arn), 0) + 1
    lineage = "|".join(f"{name}:{times}" for name, times in counts.items())
    rest = _FIELD.sub("", trace).strip(";")
    return f"{rest};Lineage={lineage}" if rest else f"Lineage={lineage}"


def trace_of_messages(payload: bytes, arn: str) -> str | None:
    """The trace header of a queue's messages; of several the one whose chain is longest at this function."""
    if _QUEUE not in payload:
        return None
    traces = list(_message_traces(json.loads(payload)))
    return max(traces, key=lambda trace: rounds_of(trace, arn), default=None)


def _message_traces(event: Any) -> Iterator[str]:
    records = event.get("Records") if isinstance(event, Mapping) else None
    for record in records if isinstance(records, list) else ():
        trace = (record.get("attributes") or {}).get("AWSTraceHeader")
        if isinstance(trace, str):
            yield trace


def _counts(trace: str) -> dict[str, int]:
    found = _FIELD.search(trace)
    pairs = [item.partition(":") for item in (found[1].split("|") if found else ())]
    return {name: int(times) for name, _, times in pairs if name and times.isdigit()}


def _hash(arn: str) -> str:
    return hashlib.sha256(arn.encode()).hexdigest()[:8]
