"""Routes, keys, and the answers API Gateway gives without asking a function."""

from __future__ import annotations

import json
import re

import pytest

from infra.stacks.api import PUBLIC_ROUTES
from infra.stages import STAGES
from tests.infra.templates import Properties, Templates

PUBLIC = {
    ("POST", "/webhook"): "webhook",
    ("POST", "/webhook/replicate"): "webhook",
    ("GET", "/health"): "status",
}
KEYED = {
    ("POST", "/generate-media"): "generate_media",
    ("GET", "/models"): "generate_media",
    ("GET", "/models/{mediaType}/{modelId}"): "generate_media",
    ("POST", "/jobs/{jobId}/cancel"): "generate_media",
    ("POST", "/jobs/{jobId}/retry"): "generate_media",
    ("GET", "/status/{jobId}"): "status",
    ("GET", "/jobs"): "status",
    ("GET", "/jobs/{jobId}/events"): "status",
    ("POST", "/api/uploads"): "review",
    ("POST", "/api/scripts"): "review",
    ("GET", "/api/scripts"): "review",
    ("GET", "/api/scripts/{scriptId}"): "review",
    ("GET", "/api/section-videos"): "review",
    ("PATCH", "/api/section-videos/{videoId}"): "review",
    ("POST", "/api/section-videos/{videoId}/approve"): "review",
    ("POST", "/api/section-videos/{videoId}/reject"): "review",
    ("POST", "/api/scripts/{scriptId}/compile"): "compile_videos",
    ("POST", "/compile-videos"): "compile_videos",
    ("POST", "/compile-videos/plan"): "compile_videos",
    ("POST", "/probe"): "compile_videos",
    ("GET", "/api/usage"): "account",
    ("DELETE", "/api/videos/{jobId}"): "retention",
    ("DELETE", "/api/section-videos/{videoId}"): "retention",
    ("DELETE", "/api/scripts/{scriptId}"): "retention",
    ("DELETE", "/api/users/{userId}"): "retention",
    ("GET", "/api/erasures/{erasureId}"): "retention",
    ("GET", "/api/budgets"): "account",
    ("PUT", "/api/budgets"): "account",
}
for routes in (PUBLIC, KEYED):
    routes |= {("HEAD", path): function for (method, path), function in routes.items() if method == "GET"}
ERROR_FIELDS = {"success", "error", "code", "details", "requestId"}
# Trying again helps, and only then does the header stand there.
WAITS = {
    "THROTTLED",
    "QUOTA_EXCEEDED",
    "INTEGRATION_TIMEOUT",
    "INTEGRATION_FAILURE",
    "AUTHORIZER_FAILURE",
    "AUTHORIZER_CONFIGURATION_ERROR",
    "DEFAULT_5XX",
}
# Of what came in, what an answer of the gateway may hold.
VARIABLE = re.compile(r"(?:context|stageVariables|method\.request)\.[A-Za-z.]+")
every_keyed_route = pytest.mark.parametrize("route", KEYED, ids=" ".join)
every_public_route = pytest.mark.parametrize("route", PUBLIC, ids=" ".join)


def test_there_are_these_routes_and_no_others(templates: Templates) -> None:
    routes = {route for route in _methods(templates) if route[0] != "OPTIONS"}

    assert routes == set(PUBLIC) | set(KEYED)


@every_keyed_route
def test_a_keyed_route_asks_the_authorizer_and_counts_for_the_key(templates: Templates, route: tuple[str, str]) -> None:
    (authorizer,) = templates.all("AWS::ApiGateway::Authorizer")

    method = _methods(templates)[route]

    assert (method["AuthorizationType"], method["AuthorizerId"]) == ("CUSTOM", authorizer)
    assert method["ApiKeyRequired"] is True


@every_public_route
def test_a_public_route_asks_for_no_key(templates: Templates, route: tuple[str, str]) -> None:
    assert _is_open(_methods(templates)[route])


@pytest.mark.parametrize(("route", "function"), (PUBLIC | KEYED).items(), ids=lambda part: str(part))
def test_a_route_leads_to_its_function(templates: Templates, route: tuple[str, str], function: str) -> None:
    integration = _methods(templates)[route]["Integration"]

    assert integration["Type"] == "AWS_PROXY"
    assert f"/{templates.function_name(function)}.Arn/" in integration["Uri"]


def test_browsers_may_ask_before_they_call_any_route_without_a_key(templates: Templates) -> None:
    methods = _methods(templates)
    asked = {path for method, path in methods if method == "OPTIONS"}

    assert {path for _, path in (*PUBLIC, *KEYED)} - {"/webhook", "/webhook/replicate"} == asked
    assert all(_is_open(methods["OPTIONS", path]) for path in asked)


def test_api_gateway_may_invoke_every_function_with_a_route_and_the_authorizer(templates: Templates) -> None:
    permissions = templates.all("AWS::Lambda::Permission").values()
    allowed = {p["FunctionName"] for p in permissions if p["Principal"] == "apigateway.amazonaws.com"}

    routed = {*PUBLIC.values(), *KEYED.values(), "authorizer"}

    assert allowed == {f"{templates.function_name(name)}.Arn" for name in routed}


def test_the_authorizer_reads_one_header_and_is_asked_once_a_minute(templates: Templates) -> None:
    (authorizer,) = templates.all("AWS::ApiGateway::Authorizer").values()

    assert (authorizer["Type"], authorizer["IdentitySource"]) == ("REQUEST", "method.request.header.X-API-Key")
    assert authorizer["AuthorizerResultTtlInSeconds"] == 60
    assert f"/{templates.function_name('authorizer')}.Arn/" in authorizer["AuthorizerUri"]


def test_the_authorizer_names_the_key_that_the_usage_plan_throttles(templates: Templates) -> None:
    (api,) = templates.all("AWS::ApiGateway::RestApi").values()
    (plan,) = templates.all("AWS::ApiGateway::UsagePlan").values()

    assert (api["Name"], api["ApiKeySourceType"]) == (f"vsl-{templates.stage}", "AUTHORIZER")
    assert plan["UsagePlanName"] == f"vsl-{templates.stage}"
    assert plan["Throttle"]["RateLimit"] == STAGES[templates.stage].throttle_per_second
    assert len(plan["ApiStages"]) == 1


def test_the_gateways_own_answers_have_the_shape_of_our_errors(templates: Templates) -> None:
    for kind, response in _responses(templates).items():
        body = json.loads(response["ResponseTemplates"]["application/json"])

        assert set(body) == ERROR_FIELDS, kind
        assert (body["success"], body["details"]) == (False, [])
        assert body["error"].endswith(".")
        assert body["requestId"] == "$context.requestId"


def test_browsers_of_all_origins_of_a_stage_may_read_the_gateways_own_answers(templates: Templates) -> None:
    header, origins = "gatewayresponse.header.Access-Control-Allow-Origin", STAGES[templates.stage].cors_origins
    readers = {response["ResponseParameters"][header].strip("'") for response in _responses(templates).values()}

    assert readers == ({"*"} if len(origins) > 1 else set(origins))


def test_the_gateways_own_answers_tell_nothing_but_fixed_texts(templates: Templates) -> None:
    told = {name for response in _responses(templates).values() for name in VARIABLE.findall(json.dumps(response))}

    assert told == {"context.requestId"}


def test_the_gateway_says_when_to_try_again_where_that_helps(templates: Templates) -> None:
    header = "gatewayresponse.header.Retry-After"
    responses = _responses(templates).items()

    assert {kind for kind, response in responses if header in response["ResponseParameters"]} == WAITS


def test_every_kind_of_gateway_answer_is_ours(templates: Templates) -> None:
    named = {"UNAUTHORIZED", "ACCESS_DENIED", "INVALID_API_KEY", "MISSING_AUTHENTICATION_TOKEN", "REQUEST_TOO_LARGE"}

    assert set(_responses(templates)) == WAITS | named | {"DEFAULT_4XX"}


def _responses(templates: Templates) -> dict[str, Properties]:
    return {r["ResponseType"]: r for r in templates.all("AWS::ApiGateway::GatewayResponse").values()}


def _methods(templates: Templates) -> dict[tuple[str, str], Properties]:
    """By method and path."""
    resources = templates.all("AWS::ApiGateway::Resource")
    methods = templates.all("AWS::ApiGateway::Method").values()
    return {(m["HttpMethod"], _path(m["ResourceId"], resources)): m for m in methods}


def _path(resource_id: str, resources: dict[str, Properties]) -> str:
    if resource_id not in resources:
        return ""
    resource = resources[resource_id]
    return f"{_path(resource['ParentId'], resources)}/{resource['PathPart']}"


def _is_open(method: Properties) -> bool:
    return method["AuthorizationType"] == "NONE" and not method.get("ApiKeyRequired") and "AuthorizerId" not in method


def test_the_access_log_names_the_account_that_called(dev: Templates) -> None:
    (stage,) = dev.all("AWS::ApiGateway::Stage").values()

    logged = json.loads(stage["AccessLogSetting"]["Format"])

    assert logged["account"] == "$context.authorizer.accountId"


def test_every_method_has_a_throttle_that_no_key_is_needed_to_meet(dev: Templates) -> None:
    (stage,) = dev.all("AWS::ApiGateway::Stage").values()

    (default,) = [one for one in stage["MethodSettings"] if (one["ResourcePath"], one["HttpMethod"]) == ("/*", "*")]

    numbers = STAGES["dev"]
    assert (default["ThrottlingRateLimit"], default["ThrottlingBurstLimit"]) == (200, 400)
    # An account at its own limit still gets an answer of ours.
    assert numbers.throttle_per_second <= default["ThrottlingRateLimit"]


def test_public_routes_have_throttles_of_their_own(dev: Templates) -> None:
    (stage,) = dev.all("AWS::ApiGateway::Stage").values()

    throttled = {(one["ResourcePath"], one["HttpMethod"]): one for one in stage["MethodSettings"]}

    public = {(method, path) for method, path, _ in PUBLIC_ROUTES} | {("HEAD", "/health")}
    for method, path in public:
        setting = throttled[(f"/~1{path[1:].replace('/', '~1')}", method)]
        assert 0 < setting["ThrottlingRateLimit"] <= setting["ThrottlingBurstLimit"] <= 500
