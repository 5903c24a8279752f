"""Builds the `api.RestApi` from synthesized templates."""

import re

from local.runtime.api import (
    Authorizer,
    GatewayResponse,
    Preflight,
    Rate,
    RestApi,
    Route,
    UsagePlan,
)
from local.runtime.template import Properties, Resource, TemplateMistake, Templates

_ORIGIN_CONDITION = re.compile(r'\$origin == "([^"]+)"')
_DEFAULT_TIMEOUT_MS = 29_000
_DEFAULT_TTL_SECONDS = 300


def rest_api(templates: Templates, stage: str) -> RestApi:
    """The one REST API of the templates. Raises TemplateMistake."""
    apis = templates.of_kind("AWS::ApiGateway::RestApi")
    if len(apis) != 1:
        raise TemplateMistake(f"expected one REST API in the templates, found {len(apis)}")
    properties = apis[0].properties
    return RestApi(
        name=properties.get("Name", apis[0].logical_id),
        stage=stage,
        routes=tuple(_route(templates, method) for method in templates.of_kind("AWS::ApiGateway::Method")),
        responses=_responses(templates),
        binary_media_types=frozenset(properties.get("BinaryMediaTypes", ())),
        keys_from_authorizer=properties.get("ApiKeySourceType") == "AUTHORIZER",
        plan=_plan(templates),
        rate=_stage_rate(templates),
    )


def _route(templates: Templates, method: Resource) -> Route:
    properties = method.properties
    integration = properties["Integration"]
    is_mock = integration["Type"] == "MOCK"
    resource_path = _resource_path(templates, method)
    function = None if is_mock else templates.function_name(method.home, integration.get("Uri"))
    if not is_mock and function is None:
        raise TemplateMistake(f"{properties['HttpMethod']} {resource_path} is neither Lambda proxy nor MOCK")
    return Route(
        method=properties["HttpMethod"],
        resource_path=resource_path,
        resource_id=method.logical_id[-6:].lower(),
        function=function,
        preflight=_preflight(integration) if is_mock else None,
        authorizer=_authorizer(templates, method),
        api_key_required=properties.get("ApiKeyRequired", False),
        timeout_seconds=integration.get("TimeoutInMillis", _DEFAULT_TIMEOUT_MS) / 1000,
    )


def _resource_path(templates: Templates, method: Resource) -> str:
    parts: list[str] = []
    current = next(templates.referred(method.home, method.properties["ResourceId"]))
    while current.kind == "AWS::ApiGateway::Resource":
        parts.insert(0, current.properties["PathPart"])
        current = next(templates.referred(current.home, current.properties["ParentId"]))
    return "/" + "/".join(parts)


def _authorizer(templates: Templates, method: Resource) -> Authorizer | None:
    if method.properties.get("AuthorizationType") != "CUSTOM":
        return None
    found = next(templates.referred(method.home, method.properties["AuthorizerId"]))
    properties = found.properties
    function = templates.function_name(found.home, properties["AuthorizerUri"])
    if properties["Type"] != "REQUEST" or function is None:
        raise TemplateMistake(f"{found.logical_id}: only REQUEST authorizers that are functions are run here")
    sources = [source.strip() for source in properties.get("IdentitySource", "").split(",")]
    return Authorizer(
        function=function,
        identity_headers=_sources(sources, "method.request.header."),
        identity_queries=_sources(sources, "method.request.querystring."),
        ttl_seconds=properties.get("AuthorizerResultTtlInSeconds", _DEFAULT_TTL_SECONDS),
    )


def _sources(sources: list[str], prefix: str) -> tuple[str, ...]:
    return tuple(source.removeprefix(prefix) for source in sources if source.startswith(prefix))


def _preflight(integration: Properties) -> Preflight:
    """CDK's preflight for several origins is a template of `$origin == "..."` conditions."""
    response = integration["IntegrationResponses"][0]
    parameters: dict[str, str] = response.get("ResponseParameters", {})
    template = response.get("ResponseTemplates", {}).get("application/json", "")
    return Preflight(
        status=int(response["StatusCode"]),
        headers={name.rpartition(".")[2]: value.strip("'") for name, value in parameters.items()},
        origins=frozenset(_ORIGIN_CONDITION.findall(template)) - {""},
    )


def _responses(templates: Templates) -> dict[str, GatewayResponse]:
    return {
        resource.properties["ResponseType"]: _response(resource.properties)
        for resource in templates.of_kind("AWS::ApiGateway::GatewayResponse")
    }


def _response(properties: Properties) -> GatewayResponse:
    prefix = "gatewayresponse.header."
    parameters: dict[str, str] = properties.get("ResponseParameters", {})
    status = properties.get("StatusCode")
    return GatewayResponse(
        status=int(status) if status else None,
        headers={name.removeprefix(prefix): value for name, value in parameters.items()},
        template=properties.get("ResponseTemplates", {}).get("application/json"),
    )


def _plan(templates: Templates) -> UsagePlan | None:
    plans = templates.of_kind("AWS::ApiGateway::UsagePlan")
    if not plans:
        return None
    properties = plans[0].properties
    quota = properties.get("Quota", {})
    return UsagePlan(
        name=properties.get("UsagePlanName", ""),
        rate=_rate(properties.get("Throttle", {}), "RateLimit", "BurstLimit"),
        quota=quota.get("Limit"),
        quota_period=quota.get("Period", "DAY"),
    )


def _stage_rate(templates: Templates) -> Rate | None:
    """The limit of the whole stage; limits of single methods are not read."""
    stages = templates.of_kind("AWS::ApiGateway::Stage")
    settings = [setting for stage in stages for setting in stage.properties.get("MethodSettings", ())]
    whole: Properties = next((setting for setting in settings if setting.get("HttpMethod") == "*"), {})
    return _rate(whole, "ThrottlingRateLimit", "ThrottlingBurstLimit")


def _rate(properties: Properties, rate: str, burst: str) -> Rate | None:
    if rate not in properties:
        return None
    return Rate(float(properties[rate]), int(properties.get(burst, properties[rate])))
