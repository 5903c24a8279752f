"""How a prediction goes wrong on purpose: directives in its prompt in square brackets over global switches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

_DIRECTIVE = re.compile(r"\[([a-z]+)(?:=([^\[\]]*))?\]")


@dataclass(frozen=True)
class Steering:
    """What is asked of one prediction; every value as text, empty when unset. `seconds` is rendering time."""

    seconds: str = ""
    fail: str = ""
    abort: str = ""
    webhook: str = ""
    answer: str = ""
    size: str = ""
    fps: str = ""
    duration: str = ""
    sound: str = ""
    output: str = ""
    expire: str = ""


NAMES = tuple(field.name for field in fields(Steering))


def steering_of(prompt: str, switches: Mapping[str, str]) -> Steering:
    """The directives of a prompt over the global switches. A bare `[fail]` counts as `yes`."""
    found = {name: value or "yes" for name, value in _DIRECTIVE.findall(prompt) if name in NAMES}
    return Steering(**{**{k: v for k, v in switches.items() if k in NAMES}, **found})


def shown_prompt(prompt: str) -> str:
    """The prompt without its directives."""
    return _DIRECTIVE.sub("", prompt).strip()
