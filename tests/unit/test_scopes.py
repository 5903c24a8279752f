"""Each route needs the scope of the work it starts, whichever route starts it."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from infra.stacks.api import KEYED_ROUTES
from shared import bootstrap
from shared.domain.jobs import Job
from shared.usecases.manage_accounts import SCOPES
from tests.lambda_context import LambdaContext

ACCOUNT, ANY_ID = UUID(int=7), str(UUID(int=7))
FUNCTION_OF = {(method, path): function for method, path, function in KEYED_ROUTES}
JOB = Job(UUID(int=7), ACCOUNT, "user", "generate", "route", {}, "hash", datetime.now(UTC), datetime.now(UTC))
FOREIGN = {"url": "https://example.com/a.mp4"}
READ, GENERATE, COMPILE, REVIEW, ADMIN = {"read"}, {"generate"}, {"compile"}, {"review"}, {"admin"}
EITHER = GENERATE | COMPILE


@dataclass(frozen=True)
class Row:
    """A call and the scopes it needs: one of each set. `kind` is that of the job it names."""

    method: str
    path: str
    needs: tuple[set[str], ...]
    body: Mapping[str, Any] | None = None
    kind: str = "generate"

    def allows(self, scopes: set[str]) -> bool:
        return all(scopes & one_of for one_of in self.needs)


TABLE = [
    Row("POST", "/generate-media", (GENERATE,)),
    Row("GET", "/models", (READ,)),
    Row("GET", "/models/{mediaType}/{modelId}", (READ,)),
    Row("GET", "/status/{jobId}", (READ,)),
    Row("GET", "/jobs", (READ,)),
    Row("GET", "/jobs/{jobId}/events", (READ,)),
    Row("POST", "/api/uploads", (GENERATE,)),
    Row("POST", "/api/scripts", (REVIEW,)),
    Row("GET", "/api/scripts", (READ,)),
    Row("GET", "/api/scripts/{scriptId}", (READ,)),
    Row("DELETE", "/api/scripts/{scriptId}", (REVIEW,)),
    Row("POST", "/api/scripts/{scriptId}/compile", (COMPILE,)),
    Row("GET", "/api/section-videos", (READ,)),
    Row("PATCH", "/api/section-videos/{videoId}", (REVIEW,)),
    Row("DELETE", "/api/section-videos/{videoId}", (REVIEW,)),
    Row("POST", "/api/section-videos/{videoId}/approve", (REVIEW,)),
    Row("POST", "/api/section-videos/{videoId}/reject", (REVIEW,)),
    Row("POST", "/api/section-videos/{videoId}/reject", (REVIEW, GENERATE), {"regenerate": True}),
    Row("POST", "/compile-videos", (COMPILE,)),
    Row("POST", "/compile-videos/plan", (COMPILE,)),
    Row("POST", "/compile-videos/plan", (COMPILE,), {"clips": [FOREIGN]}),
    Row("POST", "/probe", (READ,), {"jobId": ANY_ID}),
    Row("POST", "/probe", (READ, COMPILE), FOREIGN),
    Row("GET", "/api/usage", (READ,)),
    Row("DELETE", "/api/videos/{jobId}", (ADMIN,)),
    Row("DELETE", "/api/users/{userId}", (ADMIN,)),
    Row("GET", "/api/erasures/{erasureId}", (ADMIN,)),
    Row("GET", "/api/budgets", (READ,)),
    Row("PUT", "/api/budgets", (ADMIN,)),
    *(
        Row("POST", f"/jobs/{{jobId}}/{verb}", (EITHER, scope), kind=kind)
        for verb in ("cancel", "retry")
        for kind, scope in (("generate", GENERATE), ("upload", GENERATE), ("compile", COMPILE), ("plan", COMPILE))
    ),
    *(Row("POST", f"/jobs/{{jobId}}/{verb}", (EITHER, COMPILE), kind="probe") for verb in ("cancel", "retry")),
]
KEYS = [{scope} for scope in SCOPES] + [set(SCOPES) - {scope} for scope in SCOPES] + [set(SCOPES), {"review", "read"}]


class OneJob:
    """Records of one job of a kind; whatever else is asked of them fails, which is past the check of scopes."""

    clock = None

    def __init__(self, kind: str) -> None:
        self._job = replace(JOB, kind=kind)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        yield SimpleNamespace(job=lambda *_: self._job, lock_job=lambda *_: self._job)


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The answer of a route's function in this process: its status and its body."""
    settings = SimpleNamespace(cors_origins="https://example.com", source_origins="")
    monkeypatch.setattr(bootstrap, "settings", lambda _: settings)
    monkeypatch.setattr(bootstrap, "media", lambda: SimpleNamespace(key_of=lambda _: None))
    for store in ("catalog", "schemas", "aftermath", "status_reader", "live_view", "status_cache"):
        monkeypatch.setattr(bootstrap, store, lambda: None)

    def ask(row: Row, scopes: set[str]) -> tuple[int, Mapping[str, Any]]:
        monkeypatch.setattr(bootstrap, "records", lambda: OneJob(row.kind))
        function = importlib.import_module(f"functions.{FUNCTION_OF[row.method, row.path]}.handler")
        answer = function.handler(event_of(row, scopes), LambdaContext())
        return answer["statusCode"], json.loads(answer["body"])

    return ask


def event_of(row: Row, scopes: set[str]) -> dict[str, Any]:
    path = re.sub(r"{(\w+)}", ANY_ID, row.path)
    return {
        "httpMethod": row.method,
        "path": path,
        "headers": {},
        "multiValueHeaders": {},
        "queryStringParameters": None,
        "body": None if row.body is None else json.dumps(row.body),
        "isBase64Encoded": False,
        "requestContext": {
            "requestId": "r",
            "path": f"/local{path}",
            "domainName": "example.com",
            "authorizer": {"accountId": str(ACCOUNT), "scopes": " ".join(sorted(scopes))},
        },
    }


def test_the_table_has_every_keyed_route() -> None:
    assert {(row.method, row.path) for row in TABLE} == set(FUNCTION_OF)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.method} {row.path} {row.kind} {row.body or ''}")
def test_a_route_needs_the_scope_of_what_it_starts(row: Row, answered: Any) -> None:
    for scopes in KEYS:
        status, body = answered(row, scopes)

        assert (status == 403) is not row.allows(scopes), (scopes, body)
        if status == 403:
            lacking = next(one_of for one_of in row.needs if not scopes & one_of)
            assert body["code"] == "missing_scope"
            assert all(repr(scope) in body["error"] for scope in lacking)
