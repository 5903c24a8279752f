"""A call as the gateway received it, and the event a function gets of it.

Shapes as recorded from API Gateway REST APIs: header names keep their case, `path`,
`requestContext.path` and path parameters keep the caller's percent-encoding, query parameters are
decoded (`+` is a space), the last of several values wins in the single-valued maps, Content-Length
and hop-by-hop headers are left out.
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.runtime.api import Route

_DROPPED_HEADERS = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}
)
_NO_CALLER = {
    "accessKey": None,
    "accountId": None,
    "caller": None,
    "cognitoAuthenticationProvider": None,
    "cognitoAuthenticationType": None,
    "cognitoIdentityId": None,
    "cognitoIdentityPoolId": None,
    "principalOrgId": None,
    "user": None,
    "userArn": None,
}
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Call:
    """`path` is without the stage and, like `full_path`, as sent. `epoch_seconds` is when it came in."""

    method: str
    full_path: str
    path: str
    protocol: str
    host: str
    headers: Pairs
    query: Pairs
    source_ip: str
    request_id: str
    extended_request_id: str
    trace_id: str
    epoch_seconds: float

    def header(self, name: str) -> str | None:
        """The last value sent under a name of any case."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return values[-1] if values else None

    def query_value(self, name: str) -> str | None:
        return dict(self.query).get(name)


@dataclass(frozen=True)
class Deployment:
    """What the events say of the API itself."""

    account: str
    api_id: str
    region: str
    stage: str

    def method_arn(self, call: Call) -> str:
        path = call.path.lstrip("/")
        return f"arn:aws:execute-api:{self.region}:{self.account}:{self.api_id}/{self.stage}/{call.method}/{path}"


def api_id(name: str) -> str:
    """Ten characters like those of AWS, the same for the same API name."""
    return base64.b32encode(hashlib.sha256(name.encode()).digest()).decode().lower()[:10]


def forwarded(headers: Iterable[tuple[str, str]], *, source_ip: str, port: int, trace_id: str) -> Pairs:
    """The headers a function sees: the caller's, plus those API Gateway sets."""
    kept = [(name, value) for name, value in headers if name.lower() not in _DROPPED_HEADERS]
    earlier = [value for name, value in kept if name.lower() == "x-forwarded-for"]
    set_here = {
        "X-Amzn-Trace-Id": trace_id,
        "X-Forwarded-For": ", ".join([*earlier, source_ip]),
        "X-Forwarded-Port": str(port),
        "X-Forwarded-Proto": "http",
    }
    names = {name.lower() for name in set_here}
    return (*((name, value) for name, value in kept if name.lower() not in names), *set_here.items())


def proxy_event(
    call: Call,
    route: Route,
    deployment: Deployment,
    *,
    path_parameters: Mapping[str, str],
    authorizer: Mapping[str, Any] | None,
    api_key: Mapping[str, str],
    body: str | None,
    is_base64: bool,
) -> dict[str, Any]:
    """The event of a Lambda proxy integration. `api_key` is `{}` or `{apiKey, apiKeyId}`."""
    context = _request_context(call, route, deployment, api_key)
    if authorizer is not None:
        context["authorizer"] = dict(authorizer)
    return {
        **_message(call, route),
        "pathParameters": dict(path_parameters) or None,
        "stageVariables": None,
        "requestContext": context,
        "body": body,
        "isBase64Encoded": is_base64,
    }


def authorizer_event(
    call: Call, route: Route, deployment: Deployment, path_parameters: Mapping[str, str]
) -> dict[str, Any]:
    """The event of a REQUEST authorizer: empty maps where a proxy event has null."""
    message = _message(call, route)
    return {
        "type": "REQUEST",
        "methodArn": deployment.method_arn(call),
        **{name: value if value is not None else {} for name, value in message.items()},
        "pathParameters": dict(path_parameters),
        "stageVariables": {},
        "requestContext": _request_context(call, route, deployment, {}),
    }


def _message(call: Call, route: Route) -> dict[str, Any]:
    return {
        "resource": route.resource_path,
        "path": call.path,
        "httpMethod": call.method,
        "headers": dict(call.headers),
        "multiValueHeaders": _grouped(call.headers),
        "queryStringParameters": dict(call.query) or None,
        "multiValueQueryStringParameters": _grouped(call.query) or None,
    }


def _request_context(call: Call, route: Route, deployment: Deployment, api_key: Mapping[str, str]) -> dict[str, Any]:
    identity = {**_NO_CALLER, **api_key, "sourceIp": call.source_ip, "userAgent": call.header("User-Agent")}
    received = datetime.fromtimestamp(call.epoch_seconds, UTC)
    return {
        "resourceId": route.resource_id,
        "resourcePath": route.resource_path,
        "httpMethod": call.method,
        "extendedRequestId": call.extended_request_id,
        "requestTime": received.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(call.epoch_seconds * 1000),
        "path": call.full_path,
        "accountId": deployment.account,
        "protocol": call.protocol,
        "stage": deployment.stage,
        "domainName": call.host,
        "domainPrefix": deployment.api_id,
        "deploymentId": deployment.api_id[:6],
        "requestId": call.request_id,
        "identity": identity,
        "apiId": deployment.api_id,
    }


def _grouped(pairs: Pairs) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return groups
