"""Replicate's error bodies, its rate limit, and the gate every /v1 call passes."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from local.provider.schemas import InvalidField

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CREATES_PER_MINUTE = 600
OTHERS_PER_MINUTE = 3000


class ApiError(Exception):
    """An answer of `{"title", "detail", "status"}` with Replicate's extra fields, if any."""

    def __init__(self, status: int, title: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.body: dict[str, Any] = {"title": title, "detail": detail, "status": status} | extra


def not_found() -> ApiError:
    return ApiError(404, "Not found", "The requested resource could not be found.")


def invalid(problems: Sequence[InvalidField]) -> ApiError:
    detail = "".join(f"- {problem.field}: {problem.description}\n" for problem in problems)
    fields = [{"type": p.type, "field": p.field, "description": p.description} for p in problems]
    return ApiError(422, "Input validation failed", detail, invalid_fields=fields)


def problem(body: Mapping[str, Any], status: int) -> web.Response:
    """A refusal with the media type of RFC 9457, which Replicate gives its own."""
    return web.json_response(dict(body), status=status, content_type="application/problem+json")


def throttled(seconds: int) -> web.Response:
    """429 as Replicate words it: the wait stands in Retry-After, ratelimit-reset and the text."""
    return web.json_response(
        {"detail": f"Request was throttled. Your rate limit resets in ~{seconds}s."},
        status=429,
        headers={"Retry-After": str(seconds), "ratelimit-remaining": "0", "ratelimit-reset": str(seconds)},
    )


@dataclass
class Bucket:
    """A token bucket that refills evenly to `per_minute` tokens."""

    per_minute: int
    tokens: float = field(init=False)
    at: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens, self.at = float(self.per_minute), time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self.tokens = min(self.per_minute, self.tokens + (now - self.at) * self.per_minute / 60)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    @property
    def reset_seconds(self) -> int:
        """Until the next call is allowed."""
        return max(1, math.ceil((1 - self.tokens) * 60 / self.per_minute))


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal, also aiohttp's own, in Replicate's shape."""
    try:
        return await handler(request)
    except ApiError as error:
        return problem(error.body, error.status)
    except web.HTTPError as error:
        return problem({"title": error.reason, "detail": error.reason, "status": error.status}, error.status)


def gate(token: str | None) -> Middleware:
    """Bearer token and rate limit for /v1. Without `token` any one is taken."""
    creates, others = Bucket(CREATES_PER_MINUTE), Bucket(OTHERS_PER_MINUTE)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/v1/"):
            return await handler(request)
        if not _authenticated(request.headers, token):
            raise ApiError(401, "Unauthenticated", "You did not pass a valid authentication token")
        creating = request.method == "POST" and request.path.endswith("/predictions")
        bucket = creates if creating else others
        if not bucket.take():
            return throttled(bucket.reset_seconds)
        answer = await handler(request)
        if not answer.prepared:
            answer.headers.setdefault("ratelimit-remaining", str(int(bucket.tokens)))
            answer.headers.setdefault("ratelimit-reset", str(bucket.reset_seconds))
        return answer

    return check


def _authenticated(headers: Mapping[str, str], token: str | None) -> bool:
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    if scheme.lower() not in ("bearer", "token") or not given.strip():
        return False
    return token is None or given.strip() == token
