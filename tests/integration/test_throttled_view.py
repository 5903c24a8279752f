"""DynamoDB answers some calls, or all, with ProvisionedThroughputExceededException: the live view waits, nothing else.

The client is the product's own and speaks to the stack's DynamoDB; what is throttled does not leave the machine.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from botocore import endpoint
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from shared import bootstrap
from shared.adapters.aws import DynamoLiveView
from shared.domain.errors import DependencyDown
from shared.domain.jobs import snapshot
from shared.domain.messages import PredictionSeen
from shared.usecases.read_status import StatusReader
from shared.usecases.reconcile import Sweep
from tests.integration.inside import TURNS, World, stored
from tests.memory import MemoryView, MemoryWaiters

CODE = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"


class Body(BytesIO):
    """An answer's body as botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


@dataclass
class Throttle:
    """Which of the calls are refused, and how many have been."""

    refuses: Callable[[], bool]
    refused: int = 0

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        if not self.refuses():
            return None
        self.refused += 1
        body = Body(
            json.dumps({"__type": CODE, "message": "The level of configured throughput was exceeded."}).encode()
        )
        return AWSResponse(request.url, 400, {"content-type": "application/x-amz-json-1.0"}, body)


@pytest.fixture
def throttle() -> Throttle:
    return Throttle(lambda: False)


@pytest.fixture
def view(stack: dict[str, Any], throttle: Throttle, monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoLiveView]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", stack["awsEndpoint"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", stack["awsAccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", stack["awsSecretAccessKey"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", stack["region"])
    monkeypatch.setenv("DYNAMODB_TABLE", f"vsl-{stack['stage']}-realtime-jobs")
    # Between its tries the client waits; here that time is over at once.
    monkeypatch.setattr(endpoint, "time", SimpleNamespace(sleep=lambda _seconds: None))
    bootstrap.aws.cache_clear()
    bootstrap.live_view.cache_clear()
    bootstrap.aws("dynamodb").meta.events.register("before-send.dynamodb", throttle)
    yield bootstrap.live_view()
    bootstrap.aws.cache_clear()
    bootstrap.live_view.cache_clear()


@pytest.fixture
def shown(world: World, view: DynamoLiveView) -> World:
    """The world with the real live view."""
    return replace(world, live=view)


def failed_job(world: World) -> UUID:
    job_id, attempt_id, provider_id = world.accepted()
    world.settler.take(PredictionSeen(str(job_id), str(attempt_id), provider_id, "failed"))
    return job_id


def sweep(world: World) -> int:
    """How many live views were behind."""
    world.sql("UPDATE vsl.jobs SET updated_at = now() - interval '1 minute' WHERE published_version < version")
    return Sweep(world.records, world.clock, world.aftermath, TURNS).run()["unpublished"]


def in_truth(world: World, job_id: UUID) -> dict[str, Any]:
    with world.records.transaction() as tx:
        job = tx.job(world.caller.account_id, job_id)
    assert job is not None
    return snapshot(job)


def test_a_call_that_is_throttled_is_made_again(view: DynamoLiveView, throttle: Throttle) -> None:
    turns = iter([True, False] * 100)
    throttle.refuses = lambda: next(turns)
    for _ in range(5):
        job_id = uuid4()
        held = {"jobId": str(job_id), "accountId": "", "version": 1, "completedAt": None}
        view.put(held)
        assert view.get(job_id) == held
    assert throttle.refused == 10


def test_with_half_of_all_calls_throttled_every_view_is_written_in_the_end(shown: World, throttle: Throttle) -> None:
    dice = random.Random(16)  # one by which last writes fail for good as well
    throttle.refuses = lambda: dice.random() < 0.5

    jobs = [failed_job(shown) for _ in range(3)]
    for _ in range(30):
        sweep(shown)
    throttle.refuses = lambda: False

    assert throttle.refused > len(jobs)
    assert [shown.live.get(job_id) for job_id in jobs] == [in_truth(shown, job_id) for job_id in jobs]


def test_with_all_calls_throttled_postgresql_answers_and_jobs_go_on(shown: World, throttle: Throttle) -> None:
    throttle.refuses = lambda: True
    job_id, attempt_id, provider_id = shown.accepted()
    shown.settler.take(stored(job_id, attempt_id, provider_id))
    ended = failed_job(shown)
    reader = StatusReader(
        records=shown.records,
        live=shown.live,
        cache=MemoryView(),
        aftermath=shown.aftermath,
        waiters=MemoryWaiters(most_of_account=1, most_of_stage=1),
        clock=shown.clock,
    )

    assert [reader.read(one, shown.caller)["status"] for one in (job_id, ended)] == ["processing", "failed"]
    assert [body["jobId"] for body in shown.queue.of("inspect")] == [str(job_id)]
    with pytest.raises(DependencyDown):
        shown.live.get(job_id)

    throttle.refuses = lambda: False
    assert shown.live.get(ended) is None
    sweep(shown)
    assert shown.live.get(ended) == in_truth(shown, ended)
