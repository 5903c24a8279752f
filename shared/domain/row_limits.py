"""How much a job's row may keep: what is larger is refused, or lies in the bucket and is named by its key.

The sum stays below the 250,000 bytes that `vsl.jobs` allows (constraint `jobs_bounded`), whatever comes in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

# Kept up to three times: as asked, and in the calls of the model and of its fallback.
PARAMETERS_BYTES = 48_000
# Kept twice.
METADATA_BYTES = 16_000
USER_AGENT_CHARACTERS = 500
# A text that a model has written, a plan or a probe.
RESULT_BYTES = 64_000
# The facts of a decoded clip.
DECODED_BYTES = 48_000
MOST_OUTPUTS = 100
# Entries of one list of a film's proof, such as its dark stretches.
MOST_ITEMS = 100
# Sentences of one list, such as why a plan refuses to copy.
MOST_SENTENCES = 50


def json_bytes(value: Any) -> int:
    """The size of a value in bytes of UTF-8, as PostgreSQL shows a `jsonb`."""
    return len(json.dumps(value, ensure_ascii=False, default=str).encode(errors="surrogatepass"))


def first_sentences(sentences: Sequence[str]) -> list[str]:
    """The first of them, and how many more there are."""
    if len(sentences) <= MOST_SENTENCES:
        return list(sentences)
    more = len(sentences) - MOST_SENTENCES + 1
    return [*sentences[: MOST_SENTENCES - 1], f"There are {more} more of these."]


def first_items(found: Any) -> Any:
    """The first hundred of each list, at any depth, and of a longer one how many it had, under `<name>Count`."""
    if isinstance(found, Mapping):
        counts = {f"{name}Count": len(value) for name, value in found.items() if _is_long(value)}
        return {name: first_items(value) for name, value in found.items()} | counts
    if isinstance(found, (list, tuple)):
        return [first_items(value) for value in found[:MOST_ITEMS]]
    return found


def _is_long(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > MOST_ITEMS


def bounded_record(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The facts of a decoded clip, within `DECODED_BYTES`.

    Without the parts that a film can read from the clip again, if need be; None when not even the rest is small.
    """
    for dropped in ((), ("heads",), ("heads", "shown")):
        kept = {name: value for name, value in record.items() if name not in dropped}
        if json_bytes(kept) <= DECODED_BYTES:
            return kept
    return None
