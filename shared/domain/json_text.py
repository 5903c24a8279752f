"""JSON texts by value: one kind of number, no NaN."""

from __future__ import annotations

import json
from typing import Any

# Integers of 64 bits, as databases and providers keep them.
LEAST_INTEGER, MOST_INTEGER = -(2**63), 2**63 - 1
# Every integer of so many digits is within the range of a double, sign included.
_DIGITS_OF_A_DOUBLE = 308


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError, also for NaN and Infinity, and RecursionError.

    RFC 8259 section 6 has one kind of number: `2.0` and `2e0` are the integer 2, in checks, hashes and calls alike.
    A number beyond the range of a double is infinite, however it is written.
    """
    return json.loads(text, parse_float=_number, parse_int=_integer, parse_constant=_refuse_constant)


def whole_number(value: Any) -> Any:
    """An integral float as the integer it is; anything else, and what 64 bits do not hold, unchanged."""
    if isinstance(value, float) and value.is_integer() and LEAST_INTEGER <= value <= MOST_INTEGER:
        return int(value)
    return value


def _number(text: str) -> int | float:
    number: int | float = whole_number(float(text))
    return number


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= _DIGITS_OF_A_DOUBLE else float(text)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
