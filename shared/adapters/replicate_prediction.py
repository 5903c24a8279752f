"""Replicate's JSON in our words. Fields that are missing, new or odd are never an error here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.domain.json_text import parse_json
from shared.ports import Prediction

ENDS = frozenset(("succeeded", "failed", "canceled", "aborted"))
LONGEST_ERROR = 500
LONGEST_STATUS = 32
# Of a language model: read and written, each under its newer and its older name.
_TOKENS = (("token_input_count", "input_token_count"), ("token_output_count", "output_token_count"))
_LOG_TAIL = 2000
_PERCENT = re.compile(r"(?<![0-9.])([0-9]{1,3})(?:\.[0-9]+)?%", re.ASCII)
_ADDRESS = re.compile(r"(?:https?://|data:[^,\s]*,)\S+", re.IGNORECASE)
# The provider's machine, not the input: "Prediction interrupted; please retry (code: PA)", "Director: unexpected error
# handling prediction (E8765)", E1000 unknown, E6716 timeout starting; E003 and E004 high demand, unavailable
# (https://replicate.com/docs/reference/error-codes). Not E1001, out of memory: its remedy is a smaller input.
_INTERRUPTED = re.compile(
    r"\(code: P[A-Z]\)|prediction interrupted|director: unexpected error|\((?:E003|E004|E1000|E6716)\)", re.IGNORECASE
)
# What was asked for, in whatever other words come with it: "flagged as sensitive. Please try again ... (E005)".
_OBJECTED = re.compile(r"\(E005\)|nsfw|flagged|sensitive|safety|moderat|content polic|copyright", re.IGNORECASE)
_SECRET = re.compile(r"\b(?:r8|hf|sk|whsec)_\S+|\bBearer\s+\S+", re.IGNORECASE)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_DEEPEST = 4
_MOST_UNITS = 10**9
_LONGEST_SECONDS = 7 * 24 * 3600


def to_prediction(body: Mapping[str, Any]) -> Prediction:
    """A prediction from the provider's JSON object. Raises ValueError when it has no id or status."""
    provider_id, status = body.get("id"), body.get("status")
    if not isinstance(provider_id, str) or not provider_id or not isinstance(status, str) or not status:
        raise ValueError("a prediction without id or status")
    outputs, text, caption = outputs_and_text(body.get("output"))
    told = body.get("metrics")
    metrics: Mapping[str, Any] = told if isinstance(told, dict) else {}
    return Prediction(
        id=_storable(provider_id),
        status=status if status in ENDS else "running",
        provider_status=_storable(status)[:LONGEST_STATUS],
        outputs=outputs,
        text=None if text is None else _storable(text),
        caption=None if caption is None else _storable(caption),
        error=_error(body.get("error")),
        progress=_progress(body.get("logs")),
        predict_seconds=_seconds(metrics, "predict_time"),
        removed=body.get("data_removed") is True,
        retryable=_is_retryable(status, body.get("error")),
        logs=_logs(body.get("logs")),
        tokens=_sum([_count(metrics, *names) for names in _TOKENS]),
        images=_count(metrics, "image_output_count"),
        media_seconds=_seconds(metrics, "video_output_duration_seconds", "audio_output_duration_seconds"),
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
    sent = request["input"]
    return same_model and _compared(entry.get("input"), sent) == _compared(sent, sent)


def _compared(given: Any, sent: Mapping[str, Any]) -> Any:
    """An input without what may differ though it is the same: a signature in an address, and how data is kept."""
    if not isinstance(given, dict):
        return given
    data = {name for name, value in sent.items() if isinstance(value, str) and value[:5].lower() == "data:"}
    return {
        name: value.partition("?")[0] if isinstance(value, str) and _ADDRESS.fullmatch(value) else value
        for name, value in given.items()
        if name not in data
    }


def outputs_and_text(output: Any) -> tuple[tuple[str, ...], str | None, str | None]:
    """The addresses in an output, its text as a language model wrote it, and the text beside its addresses.

    A list of strings that are all addresses is media. Any other string is text that a model may have written, so it is
    kept whole in the second; addresses that stand alone in a list, or in a string that is JSON, count as media too, for
    a model that makes media says a caption or its answer's JSON in this way. The values of an object are looked at one
    by one. The third has no addresses: it is what a media job keeps of the text.
    """
    addresses: list[str] = []
    texts: list[str] = []
    captions: list[str] = []
    for strings in _groups(output, 0):
        found, others = _addresses_among(strings)
        addresses.extend(found)
        if others:
            texts.append("".join(strings))
            captions.append(("\n" if found else "").join(filter(None, others)))
    return tuple(addresses), "\n".join(texts) or None, "\n".join(filter(None, captions)) or None


def _addresses_among(strings: Sequence[str]) -> tuple[list[str], list[str]]:
    """Addresses of strings that belong together, and the strings that are none; one that is JSON is looked into."""
    addresses: list[str] = []
    others: list[str] = []
    for string in strings:
        if _ADDRESS.fullmatch(string.strip()):
            addresses.append(string.strip())
        else:
            within = _addresses_in_json(string)
            addresses += within
            others += [""] if within else [string]
    return addresses, others


def _addresses_in_json(text: str) -> list[str]:
    if text.lstrip()[:1] not in ("{", "["):
        return []
    try:
        value = parse_json(text)
    except (ValueError, RecursionError):
        return []
    strings = [string.strip() for group in _groups(value, 0) for string in group]
    return [string for string in strings if _ADDRESS.fullmatch(string)]


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
    return _shown(error if isinstance(error, str) else json.dumps(error))[:LONGEST_ERROR]


def _is_retryable(status: str, error: Any) -> bool:
    """Replicate gives no code for the reason of a failure: its own interruptions are known by their words."""
    if status == "aborted":
        return True
    if status != "failed" or not isinstance(error, str) or _OBJECTED.search(error):
        return False
    return _INTERRUPTED.search(error) is not None


def _logs(logs: Any) -> str | None:
    """Their end."""
    if not isinstance(logs, str) or not logs.strip():
        return None
    # From the first whole word on: half an address would not be known for one.
    tail = logs if len(logs) <= _LOG_TAIL else "".join(logs[-_LOG_TAIL:].split(None, 1)[1:])
    return _shown(tail).strip()


def _shown(text: str) -> str:
    """Without addresses and tokens, which may open doors, and without what no database keeps."""
    return _storable(_SECRET.sub("[secret]", _ADDRESS.sub("[address]", text)))


def _storable(text: str) -> str:
    return _UNSTORABLE.sub("", text)


def _progress(logs: Any) -> int | None:
    """The last `NN%` of the logs, as tqdm writes it."""
    if not isinstance(logs, str):
        return None
    percents = [int(text) for text in _PERCENT.findall(logs[-_LOG_TAIL:])]
    return percents[-1] if percents and percents[-1] <= 100 else None


def _count(metrics: Mapping[str, Any], *names: str) -> int | None:
    """The first of these that is a sound count."""
    for count in map(metrics.get, names):
        if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _MOST_UNITS:
            return count
    return None


def _sum(counts: Sequence[int | None]) -> int | None:
    """None unless all are known: a part of what was used must not be charged for the whole."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _seconds(metrics: Mapping[str, Any], *names: str) -> float | None:
    """The first of these that is a sound number."""
    for seconds in map(metrics.get, names):
        if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds <= _LONGEST_SECONDS:
            return float(seconds)
    return None
