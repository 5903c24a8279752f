"""The REST API as the templates describe it: routes, authorizers, responses, limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Authorizer:
    """A REQUEST authorizer. `identity_headers` and `identity_queries` must all be sent."""

    function: str
    identity_headers: tuple[str, ...]
    identity_queries: tuple[str, ...]
    ttl_seconds: int


@dataclass(frozen=True)
class Preflight:
    """A MOCK integration: fixed headers, and origins the response names instead when one of them asks."""

    status: int
    headers: Mapping[str, str]
    origins: frozenset[str]


@dataclass(frozen=True)
class Route:
    """One method of one resource; exactly one of `function` and `preflight` is set."""

    method: str
    resource_path: str
    resource_id: str
    function: str | None
    preflight: Preflight | None
    authorizer: Authorizer | None
    api_key_required: bool
    timeout_seconds: float


@dataclass(frozen=True)
class GatewayResponse:
    """`headers` values are API Gateway mapping expressions such as `'*'` or `method.request.header.Origin`."""

    status: int | None
    headers: Mapping[str, str]
    template: str | None


@dataclass(frozen=True)
class Rate:
    per_second: float
    burst: int


@dataclass(frozen=True)
class UsagePlan:
    name: str
    rate: Rate | None
    quota: int | None
    quota_period: str
    """DAY, WEEK or MONTH."""


@dataclass(frozen=True)
class RestApi:
    name: str
    stage: str
    routes: tuple[Route, ...]
    responses: Mapping[str, GatewayResponse] = field(default_factory=dict)
    binary_media_types: frozenset[str] = frozenset()
    keys_from_authorizer: bool = False
    plan: UsagePlan | None = None
    rate: Rate | None = None


class NoSuchRoute(LookupError):
    """API Gateway calls it MISSING_AUTHENTICATION_TOKEN."""


class RouteTable:
    """Finds the route of a method and raw path; fixed parts win over parameters, those over `{name+}`."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self._resources: dict[tuple[str, ...], dict[str, Route]] = {}
        for route in routes:
            parts = _split(route.resource_path)
            self._resources.setdefault(parts, {})[route.method] = route
        self._ordered = sorted(self._resources, key=lambda parts: [_openness(part) for part in parts])

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Path parameters keep the caller's percent-encoding. Raises NoSuchRoute."""
        parts = _split(path)
        for pattern in self._ordered:
            parameters = _match(pattern, parts)
            if parameters is not None:
                return self._method(pattern, method), parameters
        raise NoSuchRoute(path)

    def _method(self, pattern: tuple[str, ...], method: str) -> Route:
        methods = self._resources[pattern]
        route = methods.get(method) or methods.get("ANY")
        if route is None:
            raise NoSuchRoute(method)
        return route


def _split(path: str) -> tuple[str, ...]:
    """A slash at the end changes nothing."""
    stripped = path.strip("/")
    return tuple(stripped.split("/")) if stripped else ()


def _openness(part: str) -> int:
    if part.endswith("+}"):
        return 2
    return 1 if part.startswith("{") else 0


def _match(pattern: tuple[str, ...], parts: tuple[str, ...]) -> dict[str, str] | None:
    parameters: dict[str, str] = {}
    for index, expected in enumerate(pattern):
        if index >= len(parts):
            return None
        if _openness(expected) == 2:
            return {**parameters, expected[1:-2]: "/".join(parts[index:])}
        if _openness(expected) == 1:
            parameters[expected[1:-1]] = parts[index]
        elif expected != parts[index]:
            return None
    return parameters if len(pattern) == len(parts) else None
