"""What IAM policies allow, by action and resource: those of roles, and those an authorizer answers.

Deny wins, nothing is allowed unless said (https://docs.aws.amazon.com/IAM/latest/UserGuide/
reference_policies_evaluation-logic.html). Of conditions, `StringEquals` and `StringLike` are interpreted, on keys
that the caller gives. Others and policy variables are not: a statement with one allows nothing and denies all it names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

Policy = Mapping[str, Any]


def is_allowed(
    policies: Iterable[Policy], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """Whether the policies together allow `service:Action` on the ARN. `context`: the request's condition keys."""
    effects = {
        statement.get("Effect")
        for statement in _statements(policies)
        if _applies(statement, action, resource, context or {})
    }
    return "Allow" in effects and "Deny" not in effects


def _statements(policies: Iterable[Policy]) -> Iterator[Policy]:
    for policy in policies:
        statements = policy.get("Statement", [])
        yield from [statements] if isinstance(statements, Mapping) else statements


def _applies(statement: Policy, action: str, resource: str, context: Mapping[str, str]) -> bool:
    if statement.get("Effect") == "Allow" and not _hold(statement.get("Condition", {}), context):
        return False
    # Actions are compared without regard to case, resources are not.
    return _names(statement, "Action", action.lower(), str.lower) and _names(statement, "Resource", resource, str)


def _hold(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Whether all are known and met. A key that the request has not meets none of them."""
    return all(
        operator in _STRING_OPERATORS
        and key in context
        and any(_STRING_OPERATORS[operator](value, context[key]) for value in _list(values))
        for operator, condition in conditions.items()
        for key, values in condition.items()
    )


def _names(statement: Policy, element: str, value: str, fold: Callable[[str], str]) -> bool:
    """Whether the value is among the element's patterns, or is not among those of `NotElement`."""
    name = element if element in statement else f"Not{element}"
    listed = any(_matches(fold(pattern), value) for pattern in _list(statement.get(name, [])))
    return name in statement and listed is (name == element)


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _matches(pattern: str, value: str) -> bool:
    return _compiled(pattern).fullmatch(value) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """`*` is any run of characters, `?` any one; all else, `[` too, is itself."""
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


_STRING_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {"StringEquals": str.__eq__, "StringLike": _matches}
