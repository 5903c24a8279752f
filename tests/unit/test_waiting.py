"""A caller who waits is answered before the gateway gives up, whatever came before the wait: a cold start, or work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from functions.compile_videos import handler as compile_videos
from functions.generate_media import handler as generate_media
from functions.status import handler as status
from shared import bootstrap, http
from tests.lambda_context import LambdaContext
from tests.memory import MemoryClock

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
JOB = SimpleNamespace(
    id=uuid4(),
    media_type="image",
    status=SimpleNamespace(value="pending"),
    estimated_seconds=1,
    estimated_cost_usd=1,
    notes=[],
)


class CallContext(LambdaContext):
    """Of an invocation whose time passes."""

    def __init__(self, left: Callable[[], int]) -> None:
        super().__init__()
        object.__setattr__(self, "get_remaining_time_in_millis", left)


class Waiting:
    """Calls of the handlers with all behind them replaced; `waits` are the seconds that they would have waited."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.clock, self.waits = MemoryClock(START), list[int]()
        self.patch = patch
        rows = SimpleNamespace(transaction=lambda: nullcontext(SimpleNamespace(job=lambda *_: JOB)), clock=self.clock)
        patch.setattr(bootstrap, "settings", lambda _: SimpleNamespace(cors_origins="", source_origins=""))
        patch.setattr(bootstrap, "_deadline", {})
        patch.setattr(bootstrap, "clock", lambda: self.clock)
        patch.setattr(http, "own_time", self.clock.now)
        patch.setattr(bootstrap, "records", lambda: rows)
        patch.setattr(bootstrap, "media", lambda: None)
        patch.setattr(bootstrap, "status_reader", lambda: SimpleNamespace(wait=self._wait))

    def _wait(self, job_id: Any, caller: Any, seconds: int) -> Any:
        self.waits.append(seconds)
        return {"completedAt": None}

    def status(self, asked: int, cold_seconds: float, left_seconds: float = 29) -> None:
        self.patch.setattr(status, "present", lambda *_: {})
        query = {"wait": str(asked)}
        self._call(status.handler, "GET", f"/status/{JOB.id}", cold_seconds, left_seconds, query=query)

    def generate(self, asked: int, cold_seconds: float, left_seconds: float = 29) -> None:
        self.patch.setattr(generate_media.control, "retry_job", lambda *_, **__: JOB)
        headers = {"Prefer": f"wait={asked}"}
        self._call(generate_media.handler, "POST", f"/jobs/{JOB.id}/retry", cold_seconds, left_seconds, headers)

    def compile(self, asked: int, cold_seconds: float, left_seconds: float = 29, worked_seconds: float = 0) -> None:
        def worked(*_: Any) -> Any:
            self.clock.sleep(worked_seconds)
            return JOB

        self.patch.setattr(compile_videos, "_requested", worked)
        self.patch.setattr(compile_videos, "may_run_inline", lambda _: False)
        self.patch.setattr(compile_videos, "_under_way", lambda _: http.answer(202, {}))
        headers = {"Prefer": f"wait={asked}"}
        self._call(compile_videos.handler, "POST", "/api/scripts/1/compile", cold_seconds, left_seconds, headers)

    def _call(
        self,
        handler: Callable[[Any, Any], Any],
        method: str,
        path: str,
        cold_seconds: float,
        left_seconds: float,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> None:
        began = self.clock.now()
        taken = int((began - timedelta(seconds=cold_seconds)).timestamp() * 1000)
        caller = {"accountId": str(uuid4()), "scopes": "read generate compile"}
        event = {
            "httpMethod": method,
            "path": path,
            "headers": headers or {},
            "queryStringParameters": query,
            "body": None,
            "requestContext": {
                "authorizer": caller,
                "requestTimeEpoch": taken,
                "path": path,
                "domainName": "api",
                "identity": {},
                "requestId": "r",
            },
        }

        def left() -> int:
            return int((left_seconds - (self.clock.now() - began).total_seconds()) * 1000)

        answer = handler(event, CallContext(left))
        assert answer["statusCode"] in (200, 202), answer


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    return Waiting(monkeypatch)


@pytest.mark.parametrize("route", ["status", "generate", "compile"])
@pytest.mark.parametrize(
    ("asked", "cold_seconds", "waited"),
    [(25, 0, 25), (25, 1.5, 24), (25, 8, 18), (3, 8, 3), (25, 26, 0), (25, 28, 0), (999, 0.2, 25)],
)
def test_a_cold_start_is_taken_from_the_wait(
    waiting: Waiting, route: str, asked: int, cold_seconds: float, waited: int
) -> None:
    getattr(waiting, route)(asked, cold_seconds)

    assert sum(waiting.waits) == waited


@pytest.mark.parametrize("route", ["status", "generate", "compile"])
def test_it_waits_for_no_longer_than_the_function_lasts(waiting: Waiting, route: str) -> None:
    getattr(waiting, route)(25, 0, left_seconds=9.5)

    assert waiting.waits == [6]


def test_what_was_worked_on_before_is_taken_from_the_wait(waiting: Waiting) -> None:
    # The function itself may last for a quarter of an hour: it works for a queue as well.
    waiting.compile(25, 1, left_seconds=900, worked_seconds=21)

    assert waiting.waits == [4]


def test_work_for_a_caller_ends_in_time_after_a_cold_start(waiting: Waiting) -> None:
    waiting.compile(0, 8, left_seconds=900)

    assert bootstrap.seconds_left() <= 29 - 8 - 3
