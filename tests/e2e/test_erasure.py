"""A job's media and a user's data are erased from every store, and the receipt says so."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from redis.cluster import RedisCluster

from shared.domain.erasure import STORES
from tests.e2e.client import Api, a_text, eventually
from tests.e2e.conftest import Rows

NOTHING_LEFT = dict.fromkeys(STORES, 0)


@pytest.fixture(scope="session")
def admin(stack: dict[str, Any]) -> Api:
    return Api(stack["baseUrl"], stack["adminApiKey"])


@pytest.fixture(scope="session")
def s3(stack: dict[str, Any]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=stack["s3Endpoint"],
        region_name=stack["region"],
        aws_access_key_id=stack["awsAccessKeyId"],
        aws_secret_access_key=stack["awsSecretAccessKey"],
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def objects(s3: Any, stack: dict[str, Any], words: str) -> list[str]:
    """Every key of the bucket with the words in it."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=stack["bucket"])
    return [entry["Key"] for page in pages for entry in page.get("Contents", []) if words in entry["Key"]]


def everywhere(stack: dict[str, Any], rows: Rows, words: str) -> list[str]:
    """Every table of the product with the words in any row."""
    tables = rows("SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('vsl', 'vsl_frontend')")
    return [
        table for (table,) in tables if rows(f"SELECT 1 FROM {table} t WHERE t::text LIKE %s LIMIT 1", f"%{words}%")
    ]


def test_an_erased_job_is_gone_from_every_store(
    admin: Api, stack: dict[str, Any], s3: Any, rows: Rows, words: str
) -> None:
    job_id = admin.generate(f"{words} a tree", metadata={"who": words})
    admin.completed(job_id)
    admin.get(f"/status/{job_id}").data()

    receipt = admin.call("DELETE", f"/api/videos/{job_id}").data()

    assert (receipt["status"], receipt["left"]) == ("completed", NOTHING_LEFT)
    erased = {store: count for store, count in receipt["erased"].items() if count}
    assert erased["objects"] == 2
    written = {"liveView", "cache", "jobs", "attempts", "events", "outbox", "webhookInbox", "storageOperations"}
    assert erased.keys() == {"objects"} | written
    assert objects(s3, stack, job_id) == []
    assert everywhere(stack, rows, words) == []
    assert views(stack, job_id, "tester") == []
    assert "anew" in admin.get(f"/status/{job_id}").refuses(410, "gone")
    admin.post("/compile-videos", {"clips": [{"jobId": job_id}]}).refuses(410, "gone")
    admin.get(f"/jobs/{job_id}/events").refuses(410, "gone")
    for action in ("retry", "cancel"):
        admin.post(f"/jobs/{job_id}/{action}").refuses(410, "gone")
    again = admin.call("DELETE", f"/api/videos/{job_id}").data()
    assert again == receipt == admin.get(f"/api/erasures/{receipt['erasureId']}").data()


def views(stack: dict[str, Any], job_id: str, words: str) -> list[str]:
    """The views of a job that tell of it."""
    dynamodb = boto3.client(
        "dynamodb",
        endpoint_url=stack["awsEndpoint"],
        region_name=stack["region"],
        aws_access_key_id=stack["awsAccessKeyId"],
        aws_secret_access_key=stack["awsSecretAccessKey"],
    )
    item = dynamodb.get_item(TableName=f"vsl-{stack['stage']}-realtime-jobs", Key={"jobId": {"S": job_id}})
    cached = RedisCluster.from_url(stack["redisUrl"]).get(f"status:{{{job_id}}}")
    return [view for view in (str(item), str(cached)) if words in view]


def test_a_film_stays_when_one_of_its_clips_is_erased_and_the_receipt_names_it(admin: Api) -> None:
    script_id = admin.script()
    clip, other = (admin.generate(prompt, scriptId=script_id) for prompt in ("a gate", "a bell"))
    for job_id in (clip, other):
        admin.completed(job_id)
    for video in admin.videos(script_id):
        admin.post(f"/api/section-videos/{video['videoId']}/approve").data()
    film = admin.post(f"/api/scripts/{script_id}/compile").data()["jobId"]

    receipt = admin.call("DELETE", f"/api/videos/{clip}").data()

    assert receipt["films"] == [film]
    assert [video["jobId"] for video in admin.videos(script_id)] == [other]
    assert admin.get(f"/api/scripts/{script_id}").data()["compiledVideoUrl"]
    assert admin.call("DELETE", f"/api/videos/{film}").data()["erased"]["scripts"] == 1
    assert admin.get(f"/api/scripts/{script_id}").data()["compiledVideoUrl"] is None


def test_the_same_user_of_another_account_keeps_everything(admin: Api, stranger: Api) -> None:
    user = f"user-{uuid4().hex}"
    theirs = stranger.post("/generate-media", a_text("theirs", userId=user)).data(202)["jobId"]
    stranger.completed(theirs)

    receipt = admin.call("DELETE", f"/api/users/{user}").data()

    assert receipt["erased"] == NOTHING_LEFT
    assert stranger.get(f"/status/{theirs}").data()["userId"] == user
    stranger.get(f"/api/erasures/{receipt['erasureId']}").refuses(403, "missing_scope")


def test_a_user_is_erased_with_the_films_that_show_their_clips_and_the_sums_stay(
    admin: Api, stack: dict[str, Any], s3: Any, rows: Rows
) -> None:
    user = f"user-{uuid4().hex}"
    script_id = admin.script()
    clip, other = (admin.generate("a gate", scriptId=script_id, userId=who) for who in (user, "somebody-else"))
    for job_id in (clip, other):
        admin.completed(job_id)
    for video in admin.videos(script_id):
        admin.post(f"/api/section-videos/{video['videoId']}/approve").data()
    film = admin.post(f"/api/scripts/{script_id}/compile").data()["jobId"]
    spent = rows("SELECT sum(amount_usd) FROM vsl.cost_ledger WHERE entry = 'actual'")

    receipt = admin.call("DELETE", f"/api/users/{user}").data()

    assert (receipt["status"], receipt["left"], receipt["erased"]["jobs"]) == ("completed", NOTHING_LEFT, 2)
    assert receipt["films"] == [film]
    assert user not in str(receipt)
    assert everywhere(stack, rows, user) == [] == objects(s3, stack, user) == objects(s3, stack, film)
    assert admin.get(f"/api/scripts/{script_id}").data()["compiledVideoUrl"] is None
    admin.get(f"/status/{film}").refuses(410, "gone")
    assert admin.get(f"/status/{other}").data()["status"] == "completed"
    assert rows("SELECT sum(amount_usd) FROM vsl.cost_ledger WHERE entry = 'actual'") == spent


def test_what_still_runs_is_cancelled_and_the_erasure_stays_open_until_workers_are_done(
    admin: Api, stack: dict[str, Any], rows: Rows
) -> None:
    user = f"user-{uuid4().hex}"
    job_id = admin.post("/generate-media", a_text("[seconds=60] running", userId=user)).data(202)["jobId"]

    answer = admin.call("DELETE", f"/api/users/{user}")

    assert (answer.status, answer.body["status"]) == (202, "processing")
    assert rows("SELECT status::text FROM vsl.jobs WHERE id = %s", job_id) == [("cancelled",)]
    erasure_id = answer.body["erasureId"]
    waits = {wait["reason"]: wait["until"] for wait in answer.body["waitsFor"]}
    assert waits["workers"] > answer.body["requestedAt"]
    assert waits.keys() <= {"workers", "calls"}
    # Its call was cancelled at the provider, which tells in its own time.
    eventually(
        lambda: rows("SELECT 1 FROM vsl.provider_attempts WHERE job_id = %s AND state = 'finished'", job_id),
        lambda: str(rows("SELECT * FROM vsl.provider_attempts WHERE job_id = %s", job_id)),
    )
    rows("UPDATE vsl.erasures SET settled_at = now(), due_at = now() WHERE id = %s RETURNING 1", erasure_id)
    lambda_client = boto3.client(
        "lambda",
        endpoint_url=stack["awsEndpoint"],
        region_name=stack["region"],
        aws_access_key_id=stack["awsAccessKeyId"],
        aws_secret_access_key=stack["awsSecretAccessKey"],
    )
    lambda_client.invoke(FunctionName=f"vsl-{stack['stage']}-retention", Payload=b"{}")
    eventually(
        lambda: admin.get(f"/api/erasures/{erasure_id}").data()["waitsFor"] == [],
        lambda: str(admin.get(f"/api/erasures/{erasure_id}").body),
    )
    assert everywhere(stack, rows, user) == []


def test_another_accounts_job_is_not_found_and_a_users_key_may_not_erase(
    admin: Api, api: Api, stack: dict[str, Any], stranger: Api
) -> None:
    theirs = stranger.post("/generate-media", a_text("theirs")).data(202)["jobId"]

    admin.call("DELETE", f"/api/videos/{theirs}").refuses(404, "not_found")
    api.call("DELETE", f"/api/videos/{theirs}").refuses(403, "missing_scope")
    assert stranger.completed(theirs)["status"] == "completed"
