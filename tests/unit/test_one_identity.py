"""A request has one key, or none: of two the gateway and the authorizer might each take another."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from functions.authorizer.handler import handler as authorize
from functions.generate_media.handler import handler as generate_media
from local.runtime.api import Route
from local.runtime.events import Call, Deployment, Pairs, authorizer_event
from shared import bootstrap
from tests.lambda_context import LambdaContext
from tests.memory import MemoryKeys

KEYS = {"k1": uuid4(), "k2": uuid4()}
TWICE: list[Pairs] = [
    (("X-API-Key", "k1"), ("X-API-Key", "k2")),
    (("X-API-Key", "k1"), ("X-API-Key", "k1")),
    (("X-API-Key", "k1"), ("x-api-key", "k2")),
    (("x-api-key", "k2"), ("X-API-KEY", "k1")),
    (("X-API-Key", "k1"), ("X-API-Key", "unknown")),
    (("X-API-Key", "unknown"), ("x-api-key", "k1")),
    (("X-API-Key", "k1, k2"),),
    (("X-API-Key", ""),),
    (),
]


@pytest.fixture(autouse=True)
def directory(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = MemoryKeys()
    for text, account in KEYS.items():
        digest = hashlib.sha256(text.encode()).hexdigest()
        keys.put({"keyHash": digest, "accountId": account, "scopes": ["read"], "usagePlanKey": "p", "revokedAt": None})
    monkeypatch.setattr(bootstrap, "key_directory", lambda: keys)
    monkeypatch.setattr(bootstrap, "catalog", lambda: SimpleNamespace(models={}))
    monkeypatch.setattr(bootstrap, "settings", lambda _: SimpleNamespace(cors_origins="https://example.com"))


def event_of(headers: Pairs) -> dict[str, Any]:
    """As the local gateway sends it, and API Gateway."""
    route = Route("GET", "/models", "r", "generate_media", None, None, True, 29.0)
    call = Call(
        "GET", "/local/models", "/models", "HTTP/1.1", "localhost", headers, (), "127.0.0.1", "i", "x", "t", 0.0
    )
    return authorizer_event(call, route, Deployment("1", "a", "eu-west-1", "local"), {})


@pytest.mark.parametrize("name", ["X-API-Key", "x-api-key"])
def test_one_key_in_any_case_is_an_identity(name: str) -> None:
    assert authorize(event_of(((name, "k1"),)), LambdaContext())["principalId"] == str(KEYS["k1"])


def test_a_key_is_read_where_an_event_has_single_values_only() -> None:
    event = event_of((("X-API-Key", "k1"),)) | {"multiValueHeaders": None}

    assert authorize(event, LambdaContext())["principalId"] == str(KEYS["k1"])


@pytest.mark.parametrize("headers", TWICE, ids=str)
def test_anything_but_one_key_is_unauthorized(headers: Pairs) -> None:
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        authorize(event_of(headers), LambdaContext())


@pytest.mark.parametrize(("headers", "status"), [((("X-API-Key", "k1"),), 200), *((each, 401) for each in TWICE[:6])])
def test_a_function_refuses_two_keys_of_which_the_gateway_remembers_one(headers: Pairs, status: int) -> None:
    event = event_of(headers)
    event["requestContext"]["authorizer"] = {"accountId": str(KEYS["k1"]), "scopes": "read"}

    assert generate_media(event, LambdaContext())["statusCode"] == status
