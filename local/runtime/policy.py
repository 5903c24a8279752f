"""Whether an authorizer's IAM policy lets a caller invoke a method."""

import re
from collections.abc import Mapping
from typing import Any

_ACTION = "execute-api:Invoke"


def allows(document: Mapping[str, Any], method_arn: str) -> bool:
    """Deny wins, silence denies. A statement with conditions or Not* elements never matches here."""
    statements = _listed(document.get("Statement", []))
    effects = {statement.get("Effect") for statement in statements if _matches(statement, method_arn)}
    return "Allow" in effects and "Deny" not in effects


def _matches(statement: Mapping[str, Any], method_arn: str) -> bool:
    if "Condition" in statement:
        return False
    return _any_like(statement.get("Action", []), _ACTION, re.IGNORECASE) and _any_like(
        statement.get("Resource", []), method_arn
    )


def _any_like(patterns: Any, value: str, flags: int = 0) -> bool:
    return any(re.fullmatch(_expression(pattern), value, flags) for pattern in _listed(patterns))


def _expression(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
