"""The text members of a large JSON object, without building anything else of it."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from json import decoder
from typing import Any, cast

# JSON with more arrays and objects inside one another than this is nobody's data.
DEEPEST_NESTING = 1000
_SPACE = re.compile(r"[ \t\n\r]*")
_STRUCTURE = re.compile(r'["\[\]{}]')
_LITERAL = re.compile(r"-?[0-9][0-9.eE+-]*|true|false|null|NaN|-?Infinity")


def top_level_texts(text: str, names: Container[str]) -> dict[str, str]:
    """The string members of a JSON object that have these names; of a name given twice the last value counts.

    Everything else is stepped over, so that memory stays within that of the text. Members that are nested are not
    checked for their grammar. Raises ValueError for what is no object, or nested over 1,000 deep.
    """
    found: dict[str, str] = {}
    for name, value in _members(text):
        if name in names:
            found.pop(name, None)
            found |= {} if value is None else {name: value}
    return found


def _members(text: str) -> Iterator[tuple[str, str | None]]:
    """Names and values of the outermost object; None for a value that is no string."""
    at = _after_space(text, _after("{", text, 0))
    more = text[at : at + 1] != "}"
    while more:
        name, at = _string(text, _after('"', text, at))
        value, at = _value(text, _after_space(text, _after(":", text, at)))
        yield name, value
        at = _after_space(text, at)
        more = text[at : at + 1] != "}"
        at = _after(",", text, at) if more else at
    if _after_space(text, _after("}", text, at)) != len(text):
        raise ValueError("more than one JSON value")


def _value(text: str, at: int) -> tuple[str | None, int]:
    """The string that begins here, or None for any other value; and where it ends."""
    if text[at : at + 1] == '"':
        return _string(text, at + 1)
    if text[at : at + 1] in ("[", "{"):
        return None, _end_of_nested(text, at)
    literal = _LITERAL.match(text, at)
    if literal is None:
        raise ValueError("no JSON value")
    return None, literal.end()


def _end_of_nested(text: str, at: int) -> int:
    depth = 0
    while 0 <= depth <= DEEPEST_NESTING:
        mark = _STRUCTURE.search(text, at)
        if mark is None:
            raise ValueError("an array or object without an end")
        at = _string(text, mark.end())[1] if mark[0] == '"' else mark.end()
        depth += {'"': 0, "[": 1, "{": 1}.get(mark[0], -1)
        if depth == 0:
            return at
    raise ValueError(f"nested over {DEEPEST_NESTING} deep")


def _string(text: str, at: int) -> tuple[str, int]:
    """The string whose quote ended at `at`, and where it ends."""
    scan: Any = decoder.scanstring  # type: ignore[attr-defined]
    return cast(tuple[str, int], scan(text, at))


def _after(mark: str, text: str, at: int) -> int:
    at = _after_space(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"no {mark} at {at}")
    return at + 1


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    assert space is not None
    return space.end()
