"""The REST API: routes, authorizer, keys and usage plan, gateway responses, CORS."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from aws_cdk import Duration, RemovalPolicy, aws_apigateway, aws_lambda, aws_logs, aws_ssm
from constructs import Construct

from infra.constructs.function import ProductFunction, log_retention
from infra.constructs.queries import access_log_name
from infra.stages import Stage

PUBLIC_ROUTES = (
    ("POST", "/webhook", "webhook"),
    ("POST", "/webhook/replicate", "webhook"),
    ("GET", "/health", "status"),
)
KEYED_ROUTES = (
    ("POST", "/generate-media", "generate_media"),
    ("GET", "/models", "generate_media"),
    ("GET", "/models/{mediaType}/{modelId}", "generate_media"),
    ("GET", "/status/{jobId}", "status"),
    ("GET", "/jobs", "status"),
    ("GET", "/jobs/{jobId}/events", "status"),
    ("POST", "/jobs/{jobId}/cancel", "generate_media"),
    ("POST", "/jobs/{jobId}/retry", "generate_media"),
    ("POST", "/api/uploads", "review"),
    ("POST", "/api/scripts", "review"),
    ("GET", "/api/scripts", "review"),
    ("GET", "/api/scripts/{scriptId}", "review"),
    ("DELETE", "/api/scripts/{scriptId}", "retention"),
    ("POST", "/api/scripts/{scriptId}/compile", "compile_videos"),
    ("GET", "/api/section-videos", "review"),
    ("PATCH", "/api/section-videos/{videoId}", "review"),
    ("DELETE", "/api/section-videos/{videoId}", "retention"),
    ("POST", "/api/section-videos/{videoId}/approve", "review"),
    ("POST", "/api/section-videos/{videoId}/reject", "review"),
    ("POST", "/compile-videos", "compile_videos"),
    ("POST", "/compile-videos/plan", "compile_videos"),
    ("POST", "/probe", "compile_videos"),
    ("GET", "/api/usage", "account"),
    ("DELETE", "/api/videos/{jobId}", "retention"),
    ("DELETE", "/api/users/{userId}", "retention"),
    ("GET", "/api/erasures/{erasureId}", "retention"),
    ("GET", "/api/budgets", "account"),
    ("PUT", "/api/budgets", "account"),
)
ALLOWED_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
ALLOWED_HEADERS = ["X-API-Key", "Idempotency-Key", "Prefer", "If-Match", "If-None-Match", "Content-Type"]
EXPOSED_HEADERS = ["ETag", "Retry-After", "Location"]
# Fields of the access log. Nothing that a caller writes is among them, so that nobody can forge a line. "-" stands for
# what a call has not: an account where no authorizer was asked or it refused, an error where there was none.
ACCESS_FIELDS = {
    "time": "$context.requestTimeEpoch",
    "requestId": "$context.requestId",
    "ip": "$context.identity.sourceIp",
    "account": "$context.authorizer.accountId",
    "keyId": "$context.authorizer.keyId",
    "method": "$context.httpMethod",
    "route": "$context.resourcePath",
    "status": "$context.status",
    "latencyMs": "$context.responseLatency",
    "integrationStatus": "$context.integration.integrationStatus",
    "integrationMs": "$context.integration.latency",
    "authorizerStatus": "$context.authorizer.status",
    "error": "$context.error.responseType",
    "responseBytes": "$context.responseLength",
}
# type of response, status, code, sentence, seconds to wait before trying again
RESPONSES = (
    ("UNAUTHORIZED", 401, "unauthorized", "Send a valid key in the header X-API-Key.", None),
    ("ACCESS_DENIED", 403, "forbidden", "This key may not do this.", None),
    ("INVALID_API_KEY", 403, "forbidden", "This account is not part of the stage's usage plan.", None),
    ("MISSING_AUTHENTICATION_TOKEN", 404, "not_found", "There is no such route: see the API's documentation.", None),
    ("REQUEST_TOO_LARGE", 413, "too_large", "The body is too large: upload media by POST /api/uploads.", None),
    ("THROTTLED", 429, "throttled", "Too many requests: wait for the seconds in Retry-After.", 1),
    ("QUOTA_EXCEEDED", 429, "quota_exceeded", "The day's quota is used up: try again tomorrow.", 3600),
    ("INTEGRATION_TIMEOUT", 504, "timeout", "This takes longer than a request may: ask for the job's status.", 5),
    ("INTEGRATION_FAILURE", 502, "internal", "This went wrong on our side; send the same request again.", 5),
    ("AUTHORIZER_FAILURE", 503, "dependency_down", "Keys cannot be checked right now; try again.", 5),
    ("AUTHORIZER_CONFIGURATION_ERROR", 503, "dependency_down", "Keys cannot be checked right now; try again.", 5),
    ("DEFAULT_4XX", None, "refused", "The request was refused by the gateway.", None),
    ("DEFAULT_5XX", None, "internal", "This went wrong on our side; send the same request again.", 5),
)


class ProductApi(Construct):
    """`api` with all routes; each keyed one asks the authorizer."""

    def __init__(self, scope: Construct, stage: Stage, functions: Mapping[str, ProductFunction]) -> None:
        super().__init__(scope, "api")
        self.api = aws_apigateway.RestApi(
            self,
            "rest",
            rest_api_name=f"vsl-{stage.name}",
            deploy_options=_options(self, stage),
            api_key_source_type=aws_apigateway.ApiKeySourceType.AUTHORIZER,
            endpoint_types=[aws_apigateway.EndpointType.REGIONAL],
            # The account has one such role in a region, and the stage that came last has set it: it outlives each of
            # them, also one whose creation is rolled back. Neither it nor the setting has a name that could be taken.
            cloud_watch_role=not stage.is_local,
            cloud_watch_role_removal_policy=None if stage.is_local else RemovalPolicy.RETAIN,
        )
        authorizer = aws_apigateway.RequestAuthorizer(
            self,
            "key-authorizer",
            handler=functions["authorizer"],
            identity_sources=[aws_apigateway.IdentitySource.header("X-API-Key")],
            results_cache_ttl=Duration.seconds(stage.authorizer_cache_seconds),
        )
        integrations: dict[str, aws_apigateway.LambdaIntegration] = {}
        for method, path, name in (*PUBLIC_ROUTES, *KEYED_ROUTES):
            keyed = (method, path, name) in KEYED_ROUTES
            integration = integrations.setdefault(name, _integration(functions[name]))
            resource = self.api.root.resource_for_path(path)
            for verb in (method, "HEAD") if method == "GET" else (method,):
                resource.add_method(verb, integration, authorizer=authorizer if keyed else None, api_key_required=keyed)
        self._preflights(stage)
        _responses(self.api, stage)
        self._plan(stage)
        if not stage.is_local:
            aws_ssm.StringParameter(
                self,
                "public-base-url",
                parameter_name=f"/vsl/{stage.name}/public-base-url",
                string_value=self.api.url,
            )

    def _plan(self, stage: Stage) -> None:
        """How much each key may call."""
        plan = self.api.add_usage_plan(
            "plan",
            name=f"vsl-{stage.name}",
            throttle=aws_apigateway.ThrottleSettings(
                rate_limit=stage.throttle_per_second, burst_limit=stage.throttle_burst
            ),
            quota=aws_apigateway.QuotaSettings(limit=stage.quota_per_day, period=aws_apigateway.Period.DAY),
        )
        plan.add_api_stage(stage=self.api.deployment_stage)

    def _preflights(self, stage: Stage) -> None:
        """For every route but the webhooks, which no browser calls."""
        for path in sorted({path for _, path, name in (*PUBLIC_ROUTES, *KEYED_ROUTES) if name != "webhook"}):
            self.api.root.resource_for_path(path).add_cors_preflight(
                allow_origins=list(stage.cors_origins),
                allow_methods=ALLOWED_METHODS,
                allow_headers=ALLOWED_HEADERS,
                expose_headers=EXPOSED_HEADERS,
                max_age=Duration.minutes(10),
            )


def _integration(function: aws_lambda.IFunction) -> aws_apigateway.LambdaIntegration:
    # One permission a function instead of one a method: the policy of a function is limited to 20 KB.
    return aws_apigateway.LambdaIntegration(function, scope_permission_to_method=False)


def _options(scope: Construct, stage: Stage) -> aws_apigateway.StageOptions:
    if stage.is_local:
        return aws_apigateway.StageOptions(stage_name=stage.name)
    logs = aws_logs.LogGroup(
        scope,
        "access",
        log_group_name=access_log_name(stage),
        retention=log_retention(stage),
        removal_policy=RemovalPolicy.DESTROY,
    )
    return aws_apigateway.StageOptions(
        stage_name=stage.name,
        tracing_enabled=True,
        metrics_enabled=True,
        throttling_rate_limit=stage.method_per_second,
        throttling_burst_limit=2 * stage.method_per_second,
        access_log_destination=aws_apigateway.LogGroupLogDestination(logs),
        access_log_format=aws_apigateway.AccessLogFormat.custom(json.dumps(ACCESS_FIELDS)),
        method_options={
            # What is set for a method takes the place of all that is set for every method: metrics, too.
            f"{path}/{method}": aws_apigateway.MethodDeploymentOptions(
                metrics_enabled=True,
                data_trace_enabled=False,
                throttling_rate_limit=rate,
                throttling_burst_limit=2 * rate,
            )
            for method, path, rate in _public_throttles(stage)
        },
    )


def _public_throttles(stage: Stage) -> Iterator[tuple[str, str, int]]:
    """Calls a second of each method that asks for no key."""
    for method, path, name in PUBLIC_ROUTES:
        rate = stage.webhook_per_second if name == "webhook" else stage.health_per_second
        yield from ((verb, path, rate) for verb in ((method, "HEAD") if method == "GET" else (method,)))


def _readers(stage: Stage) -> str:
    """Who may read the gateway's own answers: the stage's origin, or any where it has several.

    A gateway response has one header value: a literal, or what was in the request; nothing in it can choose from a list
    (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html). To echo
    the request's Origin allows as many as `*` does, and depends on the case in which the header is sent. These answers
    are fixed texts: see `docs/decisions/0009-who-may-read-the-gateways-answers.md`.
    """
    return stage.cors_origins[0] if len(stage.cors_origins) == 1 else "*"


def _responses(api: aws_apigateway.RestApi, stage: Stage) -> None:
    for kind, status, code, sentence, wait_seconds in RESPONSES:
        headers = {
            "Access-Control-Allow-Origin": f"'{_readers(stage)}'",
            "Access-Control-Expose-Headers": f"'{','.join(EXPOSED_HEADERS)}'",
        }
        if wait_seconds is not None:
            headers["Retry-After"] = f"'{wait_seconds}'"
        body = {"success": False, "error": sentence, "code": code, "details": [], "requestId": "$context.requestId"}
        api.add_gateway_response(
            kind.lower(),
            type=aws_apigateway.ResponseType.of(kind),
            response_headers=headers,
            status_code=None if status is None else str(status),
            templates={"application/json": json.dumps(body)},
        )
