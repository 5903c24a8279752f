"""Reads a create call: which model, a valid input, webhooks, deadline, wait and steering."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from local.provider.answers import ApiError, invalid, not_found
from local.provider.models import MODELS, Model, by_version
from local.provider.predictions import HIDDEN_VERSION, NewPrediction
from local.provider.schemas import InvalidField, input_problems
from local.provider.steering import SteeringError, directives, steering_of
from local.provider.webhooks import EVENTS, may_be_called

_MIN_DEADLINE_SECONDS = 5
_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")
_SPAN_SECONDS = (86_400, 3600, 60, 1)
_MAX_WAIT_SECONDS = 60.0


def model_of_path(owner: str, name: str) -> Model:
    """The model of /v1/models/{owner}/{name}. Raises 404."""
    model = MODELS.get(f"{owner}/{name}")
    if model is None:
        raise not_found()
    return model


def new_prediction(
    body: Mapping[str, Any], headers: Mapping[str, str], switches: Mapping[str, str], model: Model | None
) -> NewPrediction:
    """`model` is given when the path names it, else `version` of the body does. Raises ApiError 422."""
    version = HIDDEN_VERSION
    if model is None:
        model, version = _resolved(body.get("version"))
    values = body.get("input")
    if not isinstance(values, dict):
        raise invalid([InvalidField("required", "input", "input is required")])
    if problems := input_problems(model, values):
        raise invalid(problems)
    webhook, events = _webhook(body)
    return NewPrediction(
        model.key,
        version,
        values,
        webhook,
        events,
        _directives(values, switches, model),
        _deadline(headers.get("Cancel-After")),
    )


def wait_seconds(prefer: str | None) -> float | None:
    """`Prefer: wait` or `wait=n` with n from 1 to 60; None when the caller does not wait."""
    match = re.fullmatch(r"wait(?:=(\d+))?", (prefer or "").strip())
    if match is None:
        return None
    return min(_MAX_WAIT_SECONDS, max(1.0, float(match[1] or _MAX_WAIT_SECONDS)))


def _resolved(reference: Any) -> tuple[Model, str]:
    """An official model by name, any model by version id, alone or after `owner/name:`."""
    if not isinstance(reference, str) or not reference:
        raise invalid([InvalidField("required", "version", "version is required")])
    name, _, version = reference.rpartition(":")
    found = by_version(version or reference)
    if found and name in ("", found.key):
        return found, version or reference
    named = MODELS.get(reference)
    if named and named.official:
        return named, HIDDEN_VERSION
    raise ApiError(
        422,
        "Invalid version or not permitted",
        "The specified version does not exist (or perhaps you don't have permission to use it?)",
    )


def _webhook(body: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    legacy = body.get("webhook_completed") if body.get("webhook") is None else None
    url = legacy or body.get("webhook")
    if url is None:
        return None, ()
    if not isinstance(url, str) or not may_be_called(url):
        raise invalid([InvalidField("format", "webhook", "must be a valid HTTPS URL")])
    wanted = ["completed"] if legacy else body.get("webhook_events_filter") or EVENTS
    if unknown := set(wanted) - set(EVENTS):
        listed = ", ".join(sorted(map(str, unknown)))
        raise invalid([InvalidField("enum", "webhook_events_filter", f"unknown events: {listed}")])
    return url, tuple(wanted)


def _directives(values: Mapping[str, Any], switches: Mapping[str, str], model: Model) -> dict[str, str]:
    given = dict(switches) | directives(str(values.get("prompt") or ""), model.key)
    try:
        steering_of(given)
    except SteeringError as error:
        raise invalid([InvalidField("steering", "input.prompt", str(error))]) from error
    return given


def _deadline(cancel_after: str | None) -> float | None:
    if cancel_after is None:
        return None
    match = _SPAN.fullmatch(cancel_after.strip())
    parts = match.groups() if match else ()
    seconds = sum(int(part) * unit for part, unit in zip(parts, _SPAN_SECONDS, strict=False) if part)
    if seconds < _MIN_DEADLINE_SECONDS:
        raise invalid([InvalidField("format", "Cancel-After", "must be a duration of at least 5 seconds")])
    return time.time() + seconds
