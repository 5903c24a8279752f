"""Each store in memory and its real adapter keep the same promises, on the local stack's own servers."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import boto3
import pytest
from botocore.config import Config

from shared.adapters import s3
from shared.adapters.aws import DynamoKeyDirectory, DynamoLiveView, SqsQueue
from shared.adapters.clock import SystemClock
from shared.adapters.redis_cache import RedisConnection, RedisStatusCache, RedisWaiters, connect
from shared.adapters.s3 import S3MediaStore
from shared.domain.errors import DependencyDown, NotFound
from tests.memory import MemoryKeys, MemoryMedia, MemoryQueue, MemoryView, MemoryWaiters


def client(stack: dict[str, Any], service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=stack["s3Endpoint" if service == "s3" else "awsEndpoint"],
        aws_access_key_id=stack["awsAccessKeyId"],
        aws_secret_access_key=stack["awsSecretAccessKey"],
        region_name=stack["region"],
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}) if service == "s3" else None,
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
        return RedisStatusCache(RedisConnection(lambda: connect(stack["redisUrl"]), SystemClock()))
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


@pytest.fixture(params=["memory", "s3"])
def media(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryMedia()
    stack = request.getfixturevalue("stack")
    return S3MediaStore(client(stack, "s3"), stack["bucket"])


@pytest.fixture
def key(media: Any) -> Iterator[str]:
    name = f"generated/contract/{uuid4()}/original.mp4"
    yield name
    media.delete([name])


def test_media_come_back_as_they_went(media: Any, key: str, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"picture" * 1000)
    assert media.upload(tmp_path / "up", key, "video/mp4") == 7000
    assert media.download(key, tmp_path / "down") == 7000
    assert (tmp_path / "down").read_bytes() == b"picture" * 1000
    assert media.head(key) == {"sizeBytes": 7000, "contentType": "video/mp4"}


def test_absent_media_are_not_found(media: Any, tmp_path: Path) -> None:
    assert media.head("generated/none") is None
    with pytest.raises(NotFound):
        media.download("generated/none", tmp_path / "down")


def test_write_once_keeps_the_first(media: Any, key: str, tmp_path: Path) -> None:
    media.write_once(key, io.BytesIO(b"first"), "video/mp4")
    media.write_once(key, io.BytesIO(b"second"), "video/mp4")
    media.download(key, tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == b"first"


def test_deleting_twice_is_no_error(media: Any, key: str) -> None:
    media.write_text(key, "text")
    assert key in media.keys(key.rpartition("/")[0])
    media.delete([key])
    media.delete([key])
    assert media.keys(key) == []


def test_more_objects_are_deleted_than_one_request_takes(media: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "MOST_DELETED", 2)
    folder = f"generated/contract/{uuid4()}/"
    for number in range(5):
        media.write_text(f"{folder}{number}", "text")
    media.delete([found.key for found in media.page(folder, "", 1000)])
    media.delete([])
    assert media.keys(folder) == []


def test_an_upload_is_open_until_it_is_given_up(stack: dict[str, Any]) -> None:
    raw, store = client(stack, "s3"), S3MediaStore(client(stack, "s3"), stack["bucket"])
    folder = f"generated/contract/{uuid4()}/"
    for name in ("a", "b"):
        raw.create_multipart_upload(Bucket=stack["bucket"], Key=folder + name)
    first, second = store.open_uploads(folder, "", 10)
    assert [upload.key for upload in store.open_uploads(folder, first.key, 10)] == [second.key]
    for upload in (first, second, first):
        store.abort_upload(upload)
    assert store.open_uploads(folder, "", 10) == []


def test_a_signed_url_opens_its_object_and_no_other(stack: dict[str, Any], tmp_path: Path) -> None:
    store = S3MediaStore(client(stack, "s3"), stack["bucket"])
    store.write_text("generated/contract/signed.txt", "signed")
    url = store.signed_url("generated/contract/signed.txt")
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"signed"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url.replace("signed.txt", "other.txt"))


@pytest.mark.parametrize("name", ["a.png", "a b+c.png", "\u00e9.png", "x"])
def test_a_url_of_the_bucket_names_its_key_and_no_other_does(media: Any, name: str) -> None:
    url = media.signed_url(f"uploads/{name}")

    assert media.key_of(url) == f"uploads/{name}"
    assert media.key_of(url.partition("?")[0]) == f"uploads/{name}"
    for other in (url.replace("://", "://evil."), url.replace("://", "://user@"), "https://evil.example/" + url, ""):
        assert media.key_of(other) is None


def test_a_bucket_in_aws_is_known_by_its_own_host() -> None:
    signing = Config(signature_version="s3v4")
    client = boto3.client("s3", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b", config=signing)
    media = S3MediaStore(client, "vsl-dev-media")

    assert media.key_of(media.signed_url("uploads/a b.png")) == "uploads/a b.png"
    assert media.key_of("https://vsl-dev-media.s3.amazonaws.com.evil.example/uploads/a.png") is None


@pytest.fixture(params=["memory", "dynamodb"])
def directory(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryKeys()
    stack = request.getfixturevalue("stack")
    return DynamoKeyDirectory(client(stack, "dynamodb"), f"vsl-{stack['stage']}-api-keys")


def test_a_key_is_found_by_its_hash_with_its_revocation(directory: Any) -> None:
    account, name = uuid4(), uuid4().hex
    made = {"keyHash": name, "accountId": account, "scopes": ["read"], "usagePlanKey": "plan", "revokedAt": None}
    directory.put(made)
    found = directory.get(name)
    assert (found["accountId"], found["scopes"], "revokedAt" in found) == (str(account), ["read"], False)
    directory.put({**made, "revokedAt": "2026-01-01T00:00:00.000Z"})
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
    sender.send("calls", {"jobId": "1"})
    assert received() == [{"jobId": "1"}]


def test_a_text_that_is_replaced_reads_as_the_last_one(media: Any) -> None:
    key = f"catalog/{uuid4()}.json"
    with pytest.raises(NotFound):
        media.read_text(key)
    for text in ("{}", '{"é": 1}'):
        media.replace_text(key, text)
    assert media.read_text(key) == '{"é": 1}'


@pytest.fixture(params=["memory", "redis"])
def waiters(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryWaiters(most_of_account=1, most_of_stage=2)
    redis = RedisConnection(lambda: connect(request.getfixturevalue("stack")["redisUrl"]), SystemClock())
    redis.attempt(lambda client: client.delete("waiters:{stage}"))
    return RedisWaiters(redis, most_of_account=1, most_of_stage=2)


def test_an_account_has_so_many_places_and_gives_them_back(waiters: Any) -> None:
    account = uuid4()
    with waiters.place(account, 25) as first, waiters.place(account, 25) as second:
        assert (first, second) == (True, False)
    with waiters.place(account, 25) as again:
        assert again is True


def test_a_stage_has_so_many_places(waiters: Any) -> None:
    with waiters.place(uuid4(), 25) as first, waiters.place(uuid4(), 25) as second, waiters.place(uuid4(), 25) as third:
        assert (first, second, third) == (True, True, False)


def test_without_redis_there_is_a_place() -> None:
    redis = RedisConnection(lambda: connect("redis://127.0.0.1:1/0"), SystemClock())
    with RedisWaiters(redis, most_of_account=0, most_of_stage=0).place(uuid4(), 25) as free:
        assert free is True
