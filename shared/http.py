"""HTTP at the edge: the resolver, the caller, what was sent, and errors mapped to statuses once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig, Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from shared.domain import errors
from shared.domain.api_keys import keys_sent
from shared.domain.errors import InvalidRequest, MalformedRequest, Mistake, NotFound, TooLarge, Unauthorized
from shared.domain.jobs import Caller
from shared.domain.json_text import parse_json
from shared.domain.row_limits import USER_AGENT_CHARACTERS
from shared.observability import logger
from shared.wire import DEEPEST_NESTING, M, serial_of, validated

BODY_LIMIT_BYTES = 1_000_000
# Lambda answers at most 6 MB (Lambda quotas, payload); the rest is for headers and what stands around a page.
PAGE_BYTES = 5_000_000
LONGEST_WAIT_SECONDS = 25
# API Gateway waits 29 s for an answer, a cold start among them. The last of them are for one more look at the stores,
# which may be slow, and for the answer's way.
LONGEST_CALL, ANSWERING = timedelta(seconds=29), timedelta(seconds=3)
STATUS_OF: Mapping[type[errors.ProductError], int] = {
    errors.MalformedRequest: 400,
    errors.Unauthorized: 401,
    errors.OverBudget: 402,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.OutputGone: 410,
    errors.TooLarge: 413,
    errors.InvalidRequest: 422,
    errors.BadMedia: 422,
    errors.RateLimited: 429,
    errors.ProviderRefused: 502,
    errors.ProviderBusy: 503,
    errors.AnswerLost: 502,
    errors.DependencyDown: 503,
    errors.OwnFailure: 500,
    errors.OutOfPatience: 504,
}
ALLOWED_HEADERS = ["X-API-Key", "Idempotency-Key", "Prefer", "If-Match", "If-None-Match", "Content-Type"]
EXPOSED_HEADERS = ["ETag", "Retry-After", "Location"]
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_TAGS = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"', re.ASCII)
_VERSIONS = re.compile(r'\*|(?:"[0-9]{1,18}"|[0-9]{1,18})(?:\s*,\s*(?:"[0-9]{1,18}"|[0-9]{1,18}))*')
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,3})(?:$|[,;\s])")


def api_handler(router: Router, cors_origins: Callable[[], str]) -> Callable[[Any, Any], dict[str, Any]]:
    """A Lambda handler over the router's routes; the resolver is built at the first event."""
    built: list[APIGatewayRestResolver] = []

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        if not built:
            built.append(_resolver(router, cors_origins()))
        logger.set_correlation_id(event.get("requestContext", {}).get("requestId"))
        if event.get("httpMethod") == "HEAD":
            # As GET, whose answer without its body it is (RFC 9110 section 9.3.2).
            return {**built[0].resolve({**event, "httpMethod": "GET"}, context), "body": ""}
        return built[0].resolve(event, context)

    return handle


def caller_of(router: Router, *scopes: str) -> Caller:
    """Who calls, as the authorizer said. Raises Forbidden without one of the scopes, Unauthorized for two keys.

    The authorizer refuses two keys as well, but is not asked where the gateway remembers one of them.
    """
    event = router.current_event.raw_event
    if len(keys_sent(event)) > 1:
        raise Unauthorized("Send X-API-Key once, with one key.")
    context = event["requestContext"]
    said = context.get("authorizer") or {}
    granted = frozenset(str(said.get("scopes", "")).split())
    identity = context.get("identity") or {}
    agent = str(identity.get("userAgent") or "")[:USER_AGENT_CHARACTERS]
    key_id = UUID(said["keyId"]) if said.get("keyId") else None
    caller = Caller(UUID(said["accountId"]), granted, identity.get("sourceIp"), agent or None, key_id)
    caller.require(*scopes)
    return caller


def body_of(
    router: Router, model: type[M], further: Callable[[Mapping[str, Any]], Sequence[Mistake]] = lambda _: ()
) -> M:
    """The body as a wire model. Raises MalformedRequest, TooLarge, InvalidRequest with every mistake.

    `further` finds the mistakes the model cannot see; it is asked only of a body that is refused anyway.
    """
    return validated(model, _json_object(router), further)


def _json_object(router: Router) -> dict[str, Any]:
    # Some editors and tools begin a file with a byte order mark; a reader may pass over it (RFC 8259 section 8.1).
    text = (router.current_event.decoded_body or "").removeprefix("\ufeff") or "{}"
    if len(text.encode()) > BODY_LIMIT_BYTES:
        raise TooLarge("The body is over 1 MB: upload media with POST /api/uploads and name it by s3Key.")
    try:
        value = parse_json(text)
    except ValueError as error:
        raise MalformedRequest("The body is not valid JSON: send one JSON object.") from error
    except RecursionError as error:
        raise MalformedRequest(f"The JSON is nested over {DEEPEST_NESTING} deep: send it flatter.") from error
    if not isinstance(value, dict):
        raise MalformedRequest("The body must be one JSON object.")
    return value


def path_id(text: str, what: str) -> UUID:
    """A UUID out of the path. Raises NotFound: a malformed id names nothing."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"There is no {what} {text[:64]!r}: list yours to find its id.") from None


def path_number(text: str, what: str) -> int:
    """A serial id out of the path. Raises NotFound."""
    number = serial_of(text)
    if number is None:
        raise NotFound(f"There is no {what} {text[:64]!r}: list yours to find its id.")
    return number


def query_of(router: Router, model: type[M]) -> M:
    """The query string as a model. Raises InvalidRequest with every mistake."""
    given: Mapping[str, Any] = router.current_event.query_string_parameters or {}
    return validated(model, given)


def idempotency_key(router: Router | APIGatewayRestResolver) -> str | None:
    """The Idempotency-Key header. Raises InvalidRequest when it is not 1 to 255 printable characters."""
    key = header(router, "idempotency-key")
    if key is not None and _KEY.fullmatch(key) is None:
        problem = "must be 1 to 255 printable ASCII characters"
        raise InvalidRequest(f"Idempotency-Key {problem}.", details=[Mistake("Idempotency-Key", problem)])
    return key


def versions_seen(router: Router) -> frozenset[int] | None:
    """The versions in If-Match, quoted as an ETag or bare; None without it and for `*`. Raises InvalidRequest."""
    given = (header(router, "if-match") or "*").strip()
    if _VERSIONS.fullmatch(given) is None:
        problem = 'must be the version that was seen, as "3"'
        raise InvalidRequest(f"If-Match {problem}.", details=[Mistake("If-Match", problem)])
    return None if given == "*" else frozenset(int(number) for number in re.findall("[0-9]+", given))


def arrived_at(router: Router, now: datetime) -> datetime:
    """When the gateway took the call; `now` where that cannot be, as the two clocks are far apart.

    `requestTimeEpoch` is in milliseconds (API Gateway, "$context variables").
    """
    return _taken_at(router.current_event.raw_event, now)


def _taken_at(event: Mapping[str, Any], now: datetime) -> datetime:
    taken_ms = event["requestContext"].get("requestTimeEpoch")
    taken = datetime.fromtimestamp(taken_ms / 1000, UTC) if isinstance(taken_ms, int) else now
    return taken if timedelta() <= now - taken <= LONGEST_CALL else now


def version_tag(version: int) -> dict[str, str]:
    """The ETag of a row in this version, to be sent back in If-Match."""
    return {"ETag": f'"{version}"'}


def _check_key(resolver: APIGatewayRestResolver, following: Callable[..., Response[str]]) -> Response[str]:
    """A middleware: an ill-formed key is refused on every route that changes something."""
    if resolver.current_event.http_method != "GET":
        idempotency_key(resolver)
    return following(resolver)


def wait_seconds(router: Router) -> int:
    """N of `Prefer: wait=N` as `bounded_wait` has it, 0 without."""
    found = _WAIT.search(header(router, "prefer") or "")
    return bounded_wait(router, int(found[1])) if found else 0


def bounded_wait(router: Router, asked_seconds: int) -> int:
    """As many of the seconds as leave time to answer, 25 at most."""
    if asked_seconds <= 0:
        return 0
    left = seconds_to_answer(router.current_event.raw_event, router.lambda_context)
    return min(asked_seconds, LONGEST_WAIT_SECONDS, int(left))


def seconds_to_answer(event: Mapping[str, Any], context: Any) -> float:
    """How long a call may still be worked on, so that its caller is answered by us and not by the gateway.

    The function's own time begins after a cold start, the gateway's before.
    """
    now = own_time()
    of_gateway = LONGEST_CALL - (now - _taken_at(event, now))
    of_function = timedelta(milliseconds=context.get_remaining_time_in_millis())
    return max((min(of_gateway, of_function) - ANSWERING).total_seconds(), 0.0)


def own_time() -> datetime:
    """This machine's clock: good enough for how long a caller waits, and for nothing else."""
    return datetime.now(UTC)


def header(router: Router | APIGatewayRestResolver, name: str) -> str | None:
    """A header by its lower-case name."""
    headers: Mapping[str, str] = router.current_event.headers or {}
    return next((value for key, value in headers.items() if key.lower() == name), None)


def base_url(router: Router) -> str:
    """Where this API was called, without a slash at its end; custom domains included."""
    event = router.current_event
    context = event.raw_event["requestContext"]
    prefix = context["path"].removesuffix(event.path)
    return f"{header(router, 'x-forwarded-proto') or 'https'}://{context['domainName']}{prefix}"


def answer(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response[str]:
    """A JSON answer."""
    return Response(
        status_code=status,
        content_type="application/json",
        body=json.dumps(body, separators=(",", ":")),
        headers=dict(headers or {}),
    )


def answer_if_new(router: Router, body: Mapping[str, Any]) -> Response[str]:
    """200 and the body with an ETag, or 304 where the caller has these very bytes already.

    The ETag is strong and made of the bytes, so that it changes with all that does: the job, what it still takes, the
    signing window of its URLs, and the credentials they are signed with, which end with these.
    """
    whole = answer(200, body, {"Cache-Control": "private, no-cache"})
    tag = f'"{hashlib.sha256((whole.body or "").encode()).hexdigest()[:32]}"'
    whole.headers["ETag"] = tag
    if _names(header(router, "if-none-match") or "", tag):
        return Response(status_code=304, body="", headers=whole.headers)
    return whole


def _names(if_none_match: str, tag: str) -> bool:
    """A list, compared weakly, as caches and compressing proxies may have weakened ours (RFC 9110 section 13.1.2)."""
    return if_none_match.strip() == "*" or tag in (one.removeprefix("W/") for one in _TAGS.findall(if_none_match))


def status_of(error: errors.ProductError) -> int:
    """The HTTP status of an error: by its class, or the nearest of those it is made from."""
    return next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 500)


def page_of(items: Sequence[dict[str, Any]], beside: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """As many of the first items as fit an answer that has this beside them, at least one."""
    left = PAGE_BYTES - _sent_bytes(beside or {})
    page: list[dict[str, Any]] = []
    for item in items:
        left -= _sent_bytes(item)
        if page and left < 0:
            break
        page.append(item)
    return page


def _sent_bytes(value: Mapping[str, Any]) -> int:
    """What it takes of Lambda's answer, in which the body is a string: escapes are escaped again."""
    return len(json.dumps(json.dumps(value)))


def _cors(cors_origins: str) -> CORSConfig | None:
    """For the origins of a list with commas; without any no browser reads an answer, not even a page without origin."""
    origins = [origin for origin in cors_origins.split(",") if origin]
    if not origins:
        return None
    return CORSConfig(
        allow_origin=origins[0],
        extra_origins=origins[1:],
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        max_age=600,
    )


def _resolver(router: Router, cors_origins: str) -> APIGatewayRestResolver:
    resolver = APIGatewayRestResolver(cors=_cors(cors_origins))
    resolver.include_router(router)
    resolver.use([_check_key])

    @resolver.not_found
    def no_route(_: Exception) -> Response[str]:
        return _error(resolver, NotFound("There is no such route: see the API's documentation."))

    @resolver.exception_handler(errors.ProductError)  # type: ignore[untyped-decorator]
    def product_error(error: errors.ProductError) -> Response[str]:
        return _error(resolver, error)

    @resolver.exception_handler(Exception)  # type: ignore[untyped-decorator]
    def unexpected(_: Exception) -> Response[str]:
        logger.exception("unexpected_error")
        return _error(resolver, errors.ProductError("This went wrong on our side; send the same request again."))

    return resolver


def _error(resolver: APIGatewayRestResolver, error: errors.ProductError) -> Response[str]:
    status = status_of(error)
    body = {
        "success": False,
        "error": error.sentence,
        "code": error.code,
        "details": [{"path": one.path, "message": one.message, **one.facts} for one in error.details],
        "requestId": resolver.current_event.raw_event["requestContext"].get("requestId"),
    }
    retry = {"Retry-After": str(error.retry_after_seconds)} if error.retry_after_seconds else {}
    logger.info("refused", extra={"status": status, "code": error.code})
    return answer(status, body, retry)
