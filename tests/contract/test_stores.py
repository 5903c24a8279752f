"""Each store in memory and its real adapter keep the same promises, on the local stack's own servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import boto3
import pytest

from shared.adapters.aws import DynamoKeyDirectory, DynamoLiveView, SqsQueue
from shared.adapters.clock import SystemClock
from shared.adapters.redis_cache import RedisConnection, RedisStatusCache, RedisWaiters, connect
from shared.domain.errors import DependencyDown
from tests.memory import MemoryKeys, MemoryQueue, MemoryView, MemoryWaiters


def client(stack: dict[str, Any], service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=stack["awsEndpoint"],
        aws_access_key_id=stack["awsAccessKeyId"],
        aws_secret_access_key=stack["awsSecretAccessKey"],
        region_name=stack["region"],
    )


def snapshot(version: int, job_id: str | None = None, completed_at: str | None = None) -> dict[str, Any]:
    return {
        "jobId": job_id or str(uuid4()),
        "accountId": str(uuid4()),
        "version": version,
        "status": "generating",
        "completedAt": completed_at,
    }


@pytest.fixture(params=["memory", "dynamodb", "redis"])
def view(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryView()
    stack = request.getfixturevalue("stack")
    if request.param == "redis":
        return RedisStatusCache(RedisConnection(lambda: connect(stack["functionsRedisUrl"]), SystemClock()))
    return DynamoLiveView(client(stack, "dynamodb"), f"vsl-{stack['stage']}-realtime-jobs", SystemClock())


def test_a_snapshot_is_replaced_whatever_its_version_and_the_view_tells_of_it(view: Any) -> None:
    wrong, right = snapshot(9), snapshot(3)
    right["jobId"] = wrong["jobId"]
    assert view.replace(wrong) is False
    assert view.replace(right) is True
    assert view.replace(right) is False
    assert view.get(right["jobId"]) == right


@pytest.mark.parametrize("view", ["memory", "dynamodb"], indirect=True)
def test_a_view_is_gone_through_page_by_page_until_nothing_is_in_it(view: Any) -> None:
    shown = [snapshot(version) for version in (1, 2, 3)]
    for one in shown:
        view.put(one)
    seen, cursor = view.page(None, 2)
    while cursor is not None:
        page, cursor = view.page(cursor, 2)
        seen = {**seen, **page}
    assert {UUID(one["jobId"]): one["version"] for one in shown}.items() <= seen.items()
    for _ in range(2):
        view.remove(UUID(shown[0]["jobId"]))
    assert view.get(UUID(shown[0]["jobId"])) is None


def test_a_view_gives_back_what_was_put(view: Any) -> None:
    shown = snapshot(1)
    view.put(shown)
    assert view.get(shown["jobId"]) == shown


@pytest.mark.parametrize("view", ["dynamodb"], indirect=True)
def test_what_is_too_large_for_the_live_view_is_left_to_the_truth_and_never_shown_as_it_was(view: Any) -> None:
    small = snapshot(1)
    large = {**small, "version": 2, "result": {"clips": ["x" * 1000] * 450}}
    for one in (small, large, small):
        view.put(one)
    assert view.get(small["jobId"]) is None
    assert view.replace({**small, "version": 3}) is True
    assert view.get(small["jobId"])["version"] == 3


def test_a_view_knows_nothing_of_an_unknown_job(view: Any) -> None:
    assert view.get(uuid4()) is None


def test_an_older_snapshot_never_replaces_a_newer_one(view: Any) -> None:
    newer = snapshot(5)
    view.put(newer)
    view.put({**snapshot(4, newer["jobId"]), "status": "pending"})
    assert view.get(newer["jobId"])["version"] == 5


def test_a_newer_snapshot_replaces_an_older_one(view: Any) -> None:
    older = snapshot(1)
    view.put(older)
    view.put({**older, "version": 2, "status": "completed", "completedAt": "2026-01-01T00:00:00.000Z"})
    assert view.get(older["jobId"])["status"] == "completed"


def test_a_cache_that_is_down_is_a_miss() -> None:
    cache = RedisStatusCache(RedisConnection(lambda: connect("redis://127.0.0.1:1/0"), SystemClock()))
    cache.put(snapshot(1))
    assert cache.get(uuid4()) is None
    with pytest.raises(DependencyDown):
        cache.replace(snapshot(1))


@pytest.fixture(params=["memory", "dynamodb"])
def directory(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryKeys()
    stack = request.getfixturevalue("stack")
    return DynamoKeyDirectory(client(stack, "dynamodb"), f"vsl-{stack['stage']}-api-keys")


def test_a_key_is_found_by_its_hash_with_its_revocation(directory: Any) -> None:
    account, key_id, name = uuid4(), str(uuid4()), uuid4().hex
    made = {
        "keyHash": name,
        "keyId": key_id,
        "accountId": account,
        "scopes": ["read"],
        "usagePlanKey": "plan",
        "revokedAt": None,
    }
    assert directory.put(made)
    found = directory.get(name)
    assert (found["accountId"], found["scopes"], "revokedAt" in found) == (str(account), ["read"], False)
    assert found["keyId"] == key_id
    assert directory.put({**made, "revokedAt": "2026-01-01T00:00:00.000Z"})
    assert "revokedAt" in directory.get(name)
    assert not directory.put(made)
    assert "revokedAt" in directory.get(name)
    assert directory.get("unknown") is None
    assert (directory.is_empty(), name in directory.hashes()) == (False, True)
    for _ in range(2):
        directory.remove(name)
    assert (directory.get(name), name in directory.hashes()) == (None, False)


@pytest.fixture(params=["memory", "sqs"])
def queue(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    if request.param == "memory":
        memory = MemoryQueue()
        memory.topics = ("calls",)
        yield memory, lambda: [dict(body) for body in memory.of("calls")]
        return
    sqs = client(request.getfixturevalue("stack"), "sqs")
    url = sqs.create_queue(QueueName=f"contract-{uuid4().hex}")["QueueUrl"]
    yield SqsQueue(sqs, {"calls": url}), lambda: _received(sqs, url)
    sqs.delete_queue(QueueUrl=url)


def _received(sqs: Any, url: str) -> list[Any]:
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
    return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def test_a_message_arrives_with_its_body(queue: tuple[Any, Any]) -> None:
    sender, received = queue
    assert list(sender.send("calls", [({"jobId": "1"}, 0)])) == [0]
    assert received() == [{"jobId": "1"}]


def test_a_queue_says_which_topics_it_carries(queue: tuple[Any, Any]) -> None:
    sender, _ = queue
    assert [sender.carries(topic) for topic in ("calls", "store")] == [True, False]


@pytest.fixture(params=["memory", "redis"])
def waiters(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryWaiters(most_of_account=1, most_of_stage=2)
    stack = request.getfixturevalue("stack")
    clear_places(stack)
    redis = RedisConnection(lambda: connect(stack["functionsRedisUrl"]), SystemClock())
    return RedisWaiters(redis, most_of_account=1, most_of_stage=2)


def clear_places(stack: dict[str, Any]) -> None:
    """As the operator: the functions may not delete keys."""
    with connect(stack["redisUrl"]) as operator:
        operator.delete("waiters:{stage}")


def test_an_account_has_so_many_places_and_gives_them_back(waiters: Any) -> None:
    account = uuid4()
    with waiters.place(account, 25) as first, waiters.place(account, 25) as second:
        assert (first, second) == (True, False)
    with waiters.place(account, 25) as again:
        assert again is True


def test_a_stage_has_so_many_places(waiters: Any) -> None:
    with waiters.place(uuid4(), 25) as first, waiters.place(uuid4(), 25) as second, waiters.place(uuid4(), 25) as third:
        assert (first, second, third) == (True, True, False)


def test_a_short_wait_ends_no_longer_one(stack: dict[str, Any]) -> None:
    """`wait=1` shortened the life of all places, and with it the cap fell."""
    redis = RedisConnection(lambda: connect(stack["functionsRedisUrl"]), SystemClock())
    clear_places(stack)
    waiters = RedisWaiters(redis, most_of_account=2, most_of_stage=2)
    account = uuid4()
    with waiters.place(account, 25), waiters.place(account, 1):
        for room in (f"waiters:{{{account}}}", "waiters:{stage}"):
            assert redis.attempt(lambda client, room=room: client.ttl(room)) > 20


def test_without_redis_there_is_a_place() -> None:
    redis = RedisConnection(lambda: connect("redis://127.0.0.1:1/0"), SystemClock())
    with RedisWaiters(redis, most_of_account=0, most_of_stage=0).place(uuid4(), 25) as free:
        assert free is True
