"""The API key of a request, as API Gateway reports headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADER = "x-api-key"


def keys_sent(event: Mapping[str, Any]) -> list[str]:
    """Every value of X-API-Key in an event of a REST API, under a name of any case.

    `headers` has the last value of each spelling only; `multiValueHeaders` has all of them. Over HTTP/1.1 names
    keep their case, so that one request may have several spellings.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
    """
    every: Mapping[str, list[str]] = event.get("multiValueHeaders") or {}
    single: Mapping[str, str] = event.get("headers") or {}
    found = [value for name, values in every.items() if name.lower() == HEADER for value in values]
    return found or [value for name, value in single.items() if name.lower() == HEADER]
