"""Answers of the gateway itself, in the shape the API's gateway responses give them.

Types, statuses and messages: https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

import json
import re
from collections.abc import Mapping

from local.runtime.api import GatewayResponse
from local.runtime.events import Call

_DEFAULT_TEMPLATE = '{"message":$context.error.messageString}'
_VARIABLE = re.compile(r"\$context\.((?:error|identity)\.[A-Za-z]+|[A-Za-z]+)")
_KINDS: dict[str, tuple[int, str | None]] = {
    "ACCESS_DENIED": (403, "User is not authorized to access this resource"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, None),
    "AUTHORIZER_FAILURE": (500, None),
    "BAD_REQUEST_BODY": (400, "Invalid request body"),
    "INTEGRATION_FAILURE": (502, "Internal server error"),
    "INTEGRATION_TIMEOUT": (504, "Endpoint request timed out"),
    "INVALID_API_KEY": (403, "Forbidden"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "Missing Authentication Token"),
    "QUOTA_EXCEEDED": (429, "Limit Exceeded"),
    "REQUEST_TOO_LARGE": (413, "Request Too Long"),
    "THROTTLED": (429, "Too Many Requests"),
    "UNAUTHORIZED": (401, "Unauthorized"),
}


class Refusal(Exception):
    """The gateway answers in place of the function; `kind` is a gateway response type."""

    def __init__(self, kind: str, status: int | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        default_status, self.message = _KINDS[kind]
        self.status = status or default_status


def render(refusal: Refusal, call: Call, responses: Mapping[str, GatewayResponse]) -> tuple[int, dict[str, str], str]:
    """Status, headers and body, from the response of its own kind or else of its class."""
    family = "DEFAULT_4XX" if refusal.status < 500 else "DEFAULT_5XX"
    response = responses.get(refusal.kind) or responses.get(family) or GatewayResponse(None, {}, None)
    values = _context(refusal, call)
    body = _VARIABLE.sub(lambda found: values.get(found[1], ""), response.template or _DEFAULT_TEMPLATE)
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": _error_type(refusal.kind)}
    for name, expression in response.headers.items():
        value = _header_value(expression, call, values)
        if value is not None:
            headers[name] = value
    return response.status or refusal.status, headers, body


def _context(refusal: Refusal, call: Call) -> dict[str, str]:
    return {
        "error.message": refusal.message or "",
        "error.messageString": json.dumps(refusal.message),
        "error.responseType": refusal.kind,
        "error.validationErrorString": "",
        "extendedRequestId": call.extended_request_id,
        "httpMethod": call.method,
        "identity.sourceIp": call.source_ip,
        "path": call.full_path,
        "protocol": call.protocol,
        "requestId": call.request_id,
        "requestTimeEpoch": str(int(call.epoch_seconds * 1000)),
    }


def _header_value(expression: str, call: Call, values: Mapping[str, str]) -> str | None:
    if expression.startswith("'"):
        return expression.strip("'")
    if expression.startswith("method.request.header."):
        return call.header(expression.removeprefix("method.request.header."))
    return values.get(expression.removeprefix("context."))


def _error_type(kind: str) -> str:
    return "".join(word.capitalize() for word in kind.split("_")) + "Exception"
