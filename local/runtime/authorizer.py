"""Runs the REQUEST authorizer of a route and remembers its answers."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.policies import is_allowed
from local.runtime.api import Authorizer, Route
from local.runtime.events import Call, Deployment, authorizer_event
from local.runtime.functions import SourceUnavailable, UnknownFunction
from local.runtime.refusals import Refusal
from local.runtime.runner import Runner, Throttled
from local.runtime.runtime_api import Outcome

_PATIENCE_SECONDS = 10.0
_REMEMBERED = 10_000


@dataclass(frozen=True)
class Grant:
    """What an authorizer said of an identity. `context` is what functions see, all strings."""

    policy_document: Mapping[str, Any]
    context: Mapping[str, str]
    usage_key: str | None


class Authorizers:
    """Answers are kept by identity for the authorizer's time to live, denials as well."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._known: dict[tuple[str, tuple[str, ...]], tuple[float, Grant]] = {}

    async def authorize(
        self, authorizer: Authorizer, call: Call, route: Route, deployment: Deployment, parameters: Mapping[str, str]
    ) -> Grant:
        """Raises Refusal: UNAUTHORIZED, ACCESS_DENIED, AUTHORIZER_FAILURE, AUTHORIZER_CONFIGURATION_ERROR."""
        identity = _identity(authorizer, call)
        grant = self._remembered(authorizer, identity)
        if grant is None:
            event = authorizer_event(call, route, deployment, parameters)
            grant = await self._ask(authorizer, event)
            self._remember(authorizer, identity, grant)
        if not is_allowed([grant.policy_document], "execute-api:Invoke", deployment.method_arn(call)):
            raise Refusal("ACCESS_DENIED")
        return grant

    async def _ask(self, authorizer: Authorizer, event: Mapping[str, Any]) -> Grant:
        try:
            outcome = await self._runner.invoke(
                authorizer.function, json.dumps(event).encode(), patience_seconds=_PATIENCE_SECONDS
            )
        except (Throttled, SourceUnavailable, UnknownFunction) as error:
            raise Refusal("AUTHORIZER_FAILURE") from error
        return _grant(outcome)

    def _remembered(self, authorizer: Authorizer, identity: tuple[str, ...]) -> Grant | None:
        until, grant = self._known.get((authorizer.function, identity), (0.0, None))
        return grant if until > time.monotonic() else None

    def _remember(self, authorizer: Authorizer, identity: tuple[str, ...], grant: Grant) -> None:
        if not authorizer.ttl_seconds or not identity:
            return
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[authorizer.function, identity] = time.monotonic() + authorizer.ttl_seconds, grant


def _identity(authorizer: Authorizer, call: Call) -> tuple[str, ...]:
    """With caching on, a caller without identity is refused unasked, as in AWS."""
    sent = [call.header(name) for name in authorizer.identity_headers]
    sent += [call.query_value(name) for name in authorizer.identity_queries]
    values = tuple(value for value in sent if value)
    if authorizer.ttl_seconds and len(values) < len(sent):
        raise Refusal("UNAUTHORIZED")
    return values


def _grant(outcome: Outcome) -> Grant:
    try:
        answer = json.loads(outcome.payload)
        if outcome.error_type is not None:
            raise Refusal(_failure(answer))
        context = {name: _text(value) for name, value in (answer.get("context") or {}).items()}
        context["principalId"] = str(answer["principalId"])
        return Grant(answer["policyDocument"], context, answer.get("usageIdentifierKey"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refusal("AUTHORIZER_CONFIGURATION_ERROR") from error


def _failure(error: Mapping[str, Any]) -> str:
    is_refusal = error.get("errorMessage") == "Unauthorized"
    return "UNAUTHORIZED" if is_refusal else "AUTHORIZER_CONFIGURATION_ERROR"


def _text(value: object) -> str:
    """Only strings, numbers and booleans may be in the context."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(type(value))
