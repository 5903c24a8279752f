"""A caller who waits for a film is answered before the gateway gives up, whatever was tried at once before."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from functions.compile_videos import handler as compile_videos
from shared import bootstrap
from tests.lambda_context import LambdaContext


@pytest.mark.parametrize(
    ("asked", "gone_seconds", "waited"),
    [(25, 0.5, 25), (25, 2.5, 23), (25, 22, 4), (3, 22, 3), (25, 26, 0), (25, 28, 0), (0, 0, 0)],
)
def test_it_waits_for_no_longer_than_the_gateway_does(
    asked: int, gone_seconds: float, waited: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, waits, job = [1000.0], list[int](), SimpleNamespace(id=uuid4())
    reader = SimpleNamespace(wait=lambda job_id, caller, seconds: waits.append(seconds))
    rows = SimpleNamespace(transaction=lambda: nullcontext(SimpleNamespace(job=lambda account_id, job_id: job)))
    event = APIGatewayProxyEvent({"headers": {"Prefer": f"wait={asked}"}})
    monkeypatch.setattr(bootstrap, "_deadline", {})
    monkeypatch.setattr(bootstrap, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(bootstrap, "status_reader", lambda: reader)
    monkeypatch.setattr(bootstrap, "records", lambda: rows)
    monkeypatch.setattr(compile_videos, "router", SimpleNamespace(current_event=event))

    def answer(event: Any, context: Any) -> Any:
        now[0] += gone_seconds
        return compile_videos._waited_for(job, SimpleNamespace(account_id=uuid4()))  # type: ignore[arg-type]

    monkeypatch.setattr(compile_videos, "_api", answer)
    # The function itself may last for a quarter of an hour: it works for a queue as well.
    context = LambdaContext(milliseconds_left=900_000)

    assert compile_videos.handler({}, context) is job
    assert waits == [waited]
