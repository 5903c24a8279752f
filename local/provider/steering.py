"""Faults and shapes on demand: directives in a prompt steer one prediction, switches steer all.

`[name]` or `[name=value]` with: seconds=N, fail, fail=message, abort, webhook=lost|doubled|early|late,
answer=lost|402|429|500, size=WxH, fps=N or N/M, duration=N, sound=none|mono|stereo|48000,
output=html|truncated|gone|huge|cut|data|object, expire=N, shown=no, throttle=N (seconds before it starts).
A directive wins over a switch of the same name. With on=owner/name the prompt's directives count for that model alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

CHOICES: Mapping[str, tuple[str, ...]] = {
    "webhook": ("lost", "doubled", "early", "late"),
    "answer": ("lost", "402", "429", "500"),
    "sound": ("none", "mono", "stereo", "48000"),
    "output": ("html", "truncated", "gone", "huge", "cut", "data", "object"),
    "shown": ("yes", "no"),
}
NAMES = ("seconds", "fail", "abort", "size", "fps", "duration", "expire", "throttle", "on", *CHOICES)
DEFAULT_FAILURE = "The model could not generate a result for this input"

_DIRECTIVE = re.compile(rf"\[({'|'.join(NAMES)})(?:=([^\[\]]*))?\]")
_MAX_SIDE_PIXELS = 4096
_Value = TypeVar("_Value")


class SteeringError(ValueError):
    """A directive or switch has a value that it cannot have."""


@dataclass(frozen=True)
class Steering:
    """What to do differently from an ordinary prediction; None and False leave it ordinary."""

    seconds: float | None = None
    failure: str | None = None
    abort: bool = False
    webhook: str | None = None
    answer: str | None = None
    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    duration_seconds: float | None = None
    sound: str | None = None
    output: str | None = None
    expire_seconds: float | None = None
    webhook_shown: bool = True
    throttle_seconds: float | None = None


def directives(prompt: str, model: str) -> dict[str, str]:
    """The directives of a prompt for the model `owner/name`, by name; one without a value has ""."""
    found = {match[1]: match[2] or "" for match in _DIRECTIVE.finditer(prompt)}
    return found if found.pop("on", model) == model else {}


def without_directives(prompt: str) -> str:
    """The words of a prompt that are meant for the model."""
    return " ".join(_DIRECTIVE.sub(" ", prompt).split())


def switches_from_json(body: Mapping[str, Any]) -> dict[str, str]:
    """Switches as directives. true means "given without a value"; false and null mean "not given".

    Raises SteeringError for an unknown name or a wrong value.
    """
    given = {
        name: "" if value is True else str(value)
        for name, value in body.items()
        if value is not None and value is not False
    }
    if unknown := set(given) - set(NAMES):
        raise SteeringError(f"unknown switch {', '.join(sorted(unknown))}; known: {', '.join(sorted(NAMES))}")
    steering_of(given)
    return given


def steering_of(given: Mapping[str, str]) -> Steering:
    """Reads directives by name. Raises SteeringError with a sentence that names the wrong one."""
    for name, allowed in CHOICES.items():
        if name in given and given[name] not in allowed:
            raise SteeringError(f"{name} must be one of {', '.join(allowed)}")
    return Steering(
        seconds=_read(given, "seconds", _seconds),
        failure=(given["fail"] or DEFAULT_FAILURE) if "fail" in given else None,
        abort="abort" in given,
        webhook=given.get("webhook"),
        answer=given.get("answer"),
        size=_read(given, "size", _size),
        fps=_read(given, "fps", _fps),
        duration_seconds=_read(given, "duration", _duration),
        sound=given.get("sound"),
        output=given.get("output"),
        expire_seconds=_read(given, "expire", _seconds),
        webhook_shown=given.get("shown") != "no",
        throttle_seconds=_read(given, "throttle", _throttle),
    )


def _read(given: Mapping[str, str], name: str, reader: Callable[[str], _Value]) -> _Value | None:
    if name not in given:
        return None
    try:
        return reader(given[name])
    except (ValueError, ZeroDivisionError) as error:
        raise SteeringError(f"{name}={given[name]} cannot be used: {error}") from error


def _within(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise ValueError(f"must be between {low:g} and {high:g}")
    return value


def _seconds(text: str) -> float:
    return _within(float(text), 0, 86_400)


def _throttle(text: str) -> float:
    return _seconds(text or "2")


def _duration(text: str) -> float:
    return _within(float(text), 0.04, 600)


def _fps(text: str) -> Fraction:
    fps = Fraction(text)
    _within(float(fps), 1, 120)
    return fps


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    sides = (int(width), int(height))
    for side in sides:
        _within(side, 16, _MAX_SIDE_PIXELS)
        if side % 2:
            raise ValueError("sides must be even")
    return sides
