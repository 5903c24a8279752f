"""Replicate's JSON in our words. Fields that are missing, new or odd are never an error here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.ports import Prediction

ENDS = frozenset(("succeeded", "failed", "canceled", "aborted"))
LONGEST_ERROR = 500
_LOG_TAIL = 2000
_PERCENT = re.compile(r"(?<![0-9.])([0-9]{1,3})(?:\.[0-9]+)?%", re.ASCII)
_ADDRESS = re.compile(r"(?:https?://|data:[^,\s]*,)\S+", re.IGNORECASE)
# The provider's machine, not the input: "Prediction interrupted; please retry (code: PA)" and the like.
_INTERRUPTED = re.compile(r"\(code: P[A-Z]\)|prediction interrupted|please retry|out of memory", re.IGNORECASE)
_DEEPEST = 4
_LONGEST_SECONDS = 7 * 24 * 3600


def to_prediction(body: Mapping[str, Any]) -> Prediction:
    """A prediction from the provider's JSON object. Raises ValueError when it has no id or status."""
    provider_id, status = body.get("id"), body.get("status")
    if not isinstance(provider_id, str) or not provider_id or not isinstance(status, str) or not status:
        raise ValueError("a prediction without id or status")
    outputs, text = outputs_and_text(body.get("output"))
    return Prediction(
        id=provider_id,
        status=status if status in ENDS else "running",
        provider_status=status,
        outputs=outputs,
        text=text,
        error=_error(body.get("error")),
        progress=_progress(body.get("logs")),
        predict_seconds=_predict_seconds(body.get("metrics")),
        removed=body.get("data_removed") is True,
        retryable=_is_retryable(status, body.get("error")),
        logs=_logs(body.get("logs")),
        tokens=_tokens(body.get("metrics")),
    )


def is_prediction(entry: Any) -> bool:
    """Whether an entry of a list can be read as one."""
    return isinstance(entry, dict) and all(
        isinstance(entry.get(name), str) and entry[name] for name in ("id", "status")
    )


def created_at(entry: Mapping[str, Any]) -> datetime | None:
    """When it was made by the provider's clock, where it says so."""
    try:
        made = datetime.fromisoformat(entry["created_at"])
    except (KeyError, TypeError, ValueError):
        return None
    return made if made.tzinfo else None


def is_answer_to(entry: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Whether model (or version) and input are the request's."""
    model, _, version = str(request["version"]).rpartition(":")
    if not model and "/" in version:
        same_model = entry.get("model") == version
    else:
        same_model = entry.get("version") == version and (
            not model or not entry.get("model") or entry["model"] == model
        )
    return same_model and entry.get("input") == request["input"]


def outputs_and_text(output: Any) -> tuple[tuple[str, ...], str | None]:
    """The addresses and the text of an output.

    A list is media when all its strings are addresses; otherwise they are pieces of one text, which may well
    hold an address. The values of an object are looked at one by one.
    """
    addresses: list[str] = []
    texts: list[str] = []
    for strings in _groups(output, 0):
        if all(_ADDRESS.fullmatch(string) for string in strings):
            addresses.extend(strings)
        else:
            texts.append("".join(strings))
    return tuple(addresses), "\n".join(texts) or None


def _groups(output: Any, depth: int) -> Iterator[Sequence[str]]:
    """Strings that belong together, empty ones left out."""
    together = output if isinstance(output, list) else [output]
    if strings := [piece for piece in together if isinstance(piece, str) and piece]:
        yield strings
    apart = list(output.values()) if isinstance(output, dict) else together
    for inner in apart if depth < _DEEPEST else []:
        if inner is not output and (isinstance(inner, (dict, list)) or isinstance(output, dict)):
            yield from _groups(inner, depth + 1)


def _error(error: Any) -> str | None:
    if error is None or error == "":
        return None
    return (error if isinstance(error, str) else json.dumps(error))[:LONGEST_ERROR]


def _is_retryable(status: str, error: Any) -> bool:
    """Replicate gives no code for the reason of a failure: its own interruptions are known by their words."""
    if status == "aborted":
        return True
    return status == "failed" and isinstance(error, str) and _INTERRUPTED.search(error) is not None


def _logs(logs: Any) -> str | None:
    """Their end without addresses, which may hold bearer tokens."""
    if not isinstance(logs, str) or not logs.strip():
        return None
    return _ADDRESS.sub("[address]", logs[-_LOG_TAIL:]).replace("\0", "").strip()


def _tokens(metrics: Any) -> int | None:
    """Of a language model: tokens read and written."""
    counts = [metrics.get(f"{way}_token_count") for way in ("input", "output")] if isinstance(metrics, dict) else []
    known = [count for count in counts if isinstance(count, int) and not isinstance(count, bool) and count >= 0]
    return sum(known) if known else None


def _progress(logs: Any) -> int | None:
    """The last `NN%` of the logs, as tqdm writes it."""
    if not isinstance(logs, str):
        return None
    percents = [int(text) for text in _PERCENT.findall(logs[-_LOG_TAIL:])]
    return percents[-1] if percents and percents[-1] <= 100 else None


def _predict_seconds(metrics: Any) -> float | None:
    seconds = metrics.get("predict_time") if isinstance(metrics, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    return float(seconds) if 0 <= seconds <= _LONGEST_SECONDS else None
