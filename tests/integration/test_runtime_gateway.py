"""The local REST API in front of real function processes."""

import base64
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime_handlers.started import Runtime, running_runtime

CALLERS = ("ann", "bob", "cat", "dan", "eve", "fay")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authorizer") / "runs"


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory, runs: Path) -> Iterator[Runtime]:
    functions: dict[str, dict[str, Any]] = {
        "rt-test-echo": {"handler": "echo.handler", "timeout": 10},
        "rt-test-gatekeeper": {"handler": "gatekeeper.handler", "environment": {"RUNS_FILE": str(runs)}},
    }
    keys = tuple(f"plan-{name}" for name in CALLERS)
    with running_runtime(tmp_path_factory.mktemp("gateway"), functions, keys=keys) as started:
        yield started


def test_a_function_gets_the_event_of_a_rest_api(runtime: Runtime) -> None:
    headers = {"X-API-Key": "ann", "User-Agent": "tester", "X-Forwarded-For": "10.1.2.3"}
    event = runtime.request("GET", "/things/a%20b?x=1&x=2&note=q+r", headers).json
    context = event["requestContext"]
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/things/{thingId}", "/things/a%20b", "GET")
    assert event["pathParameters"] == {"thingId": "a%20b"}
    assert event["queryStringParameters"] == {"x": "2", "note": "q r"}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "note": ["q r"]}
    assert event["headers"]["X-Forwarded-For"] == "10.1.2.3, 127.0.0.1"
    assert event["headers"]["X-Forwarded-Proto"] == "http"
    assert event["multiValueHeaders"]["User-Agent"] == ["tester"]
    assert (context["path"], context["stage"]) == ("/local/things/a%20b", "local")
    assert context["identity"]["userAgent"] == "tester"
    assert context["identity"]["apiKey"] == "plan-ann"
    assert context["authorizer"] == {"principalId": "user-ann", "scopes": "read", "limit": "3", "isAdmin": "false"}


def test_what_is_absent_is_null(runtime: Runtime) -> None:
    event = runtime.request("GET", "/health").json
    names = ("body", "pathParameters", "queryStringParameters", "multiValueQueryStringParameters", "stageVariables")
    assert [event[name] for name in names] == [None] * len(names)
    assert "authorizer" not in event["requestContext"]


def test_a_greedy_parameter_takes_the_rest_of_the_path(runtime: Runtime) -> None:
    event = runtime.request("PUT", "/files/a/b%2Fc/", {"X-API-Key": "ann"}, b"text").json
    assert event["pathParameters"] == {"path": "a/b%2Fc"}
    assert event["body"] == "text"


def test_the_answer_carries_status_headers_and_cookies(runtime: Runtime) -> None:
    answer = runtime.request("GET", "/health?do=cookies")
    assert answer.status == 201
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]  # type: ignore[attr-defined]
    assert answer.headers["x-amzn-Remapped-Date"] == "now"
    assert answer.headers["x-amzn-RequestId"]
    assert answer.headers["x-amz-apigw-id"]


def test_binary_bodies_travel_as_base64_both_ways(runtime: Runtime) -> None:
    sent = runtime.request("POST", "/things", {"X-API-Key": "bob", "Content-Type": "image/png"}, b"\x89PNG").json
    assert (sent["isBase64Encoded"], sent["body"]) == (True, base64.b64encode(b"\x89PNG").decode())
    assert runtime.request("GET", "/health?do=picture", {"Accept": "image/png"}).body == b"\x89PNG"
    assert runtime.request("GET", "/health?do=picture", {"Accept": "*/*"}).body == b"iVBORw=="


def test_the_authorizer_is_asked_once_for_an_identity(runtime: Runtime, runs: Path) -> None:
    statuses = [
        runtime.request(*call, {"X-API-Key": "cat"}).status for call in (("GET", "/things/1"), ("POST", "/things"))
    ]
    assert statuses == [200, 200]
    assert runs.read_text().split().count("cat") == 1


def test_a_call_without_identity_is_refused_unasked(runtime: Runtime) -> None:
    answer = runtime.request("GET", "/things/1")
    assert answer.status == 401
    assert answer.json["code"] == "UNAUTHORIZED"
    assert answer.json["error"] == "Unauthorized"
    assert answer.json["requestId"] == answer.headers["x-amzn-RequestId"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("key", "status", "error"),
    [
        ("unknown", 401, "UnauthorizedException"),
        ("denied", 403, "AccessDeniedException"),
        ("broken", 500, "AuthorizerConfigurationErrorException"),
        ("without-plan", 403, "InvalidApiKeyException"),
    ],
)
def test_an_identity_is_refused_for_what_the_authorizer_says(
    runtime: Runtime, key: str, status: int, error: str
) -> None:
    answer = runtime.request("GET", "/things/1", {"X-API-Key": key})
    assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (status, error)


def test_a_key_is_throttled_by_the_rate_of_its_plan(runtime: Runtime) -> None:
    statuses = [runtime.request("GET", "/things/1", {"X-API-Key": "dan"}).status for _ in range(6)]
    assert statuses == [200] * 5 + [429]


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("DELETE", "/things"), ("GET", "/things/1/2")])
def test_an_unknown_route_has_the_mapped_answer(runtime: Runtime, method: str, path: str) -> None:
    answer = runtime.request(method, path)
    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_a_slow_function_is_left_after_the_integrations_timeout(runtime: Runtime) -> None:
    answer = runtime.request("GET", "/things?do=sleep", {"X-API-Key": "eve"})
    assert answer.status == 502  # half a second is within the timeout, but its answer is no response
    slow = runtime.request("GET", "/things?do=nap", {"X-API-Key": "eve"})
    assert slow.status == 504


@pytest.mark.parametrize("wish", ["fail", "malformed", "die", "large"])
def test_a_function_that_fails_is_a_bad_gateway(runtime: Runtime, wish: str) -> None:
    answer = runtime.request("GET", f"/health?do={wish}")
    assert (answer.status, answer.json["message"]) == (502, "Internal server error")


def test_a_body_over_the_limits_is_refused(runtime: Runtime) -> None:
    headers = {"X-API-Key": "fay"}
    sizes = {size: runtime.request("POST", "/things", headers, b"x" * size).status for size in (7_000_000, 10_500_000)}
    assert sizes == {7_000_000: 413, 10_500_000: 413}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://a.example", "http://a.example"),
        ("http://b.example", "http://b.example"),
        ("http://c.example", "http://a.example"),
    ],
)
def test_a_preflight_names_the_origin_that_asks(runtime: Runtime, origin: str, allowed: str) -> None:
    answer = runtime.request("OPTIONS", "/things", {"Origin": origin})
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == allowed
    assert answer.headers["Access-Control-Allow-Headers"] == "X-API-Key,Content-Type"
    assert answer.headers["Vary"] == "Origin"


def test_the_access_log_holds_no_path_and_no_query(runtime: Runtime) -> None:
    answer = runtime.request("GET", "/health?secret=1")
    line = (runtime.config.logs_dir / "gateway.log").read_text().splitlines()[-1]
    assert '"resourcePath": "/health"' in line
    assert answer.headers["x-amzn-RequestId"] in line
    assert "secret" not in line


def test_the_gateway_listens_on_loopback_only(runtime: Runtime) -> None:
    with socket.socket() as other:
        assert other.connect_ex(("127.0.0.2", runtime.config.gateway_port)) != 0
