"""Every message and every scheduled event that comes a second time, or while its reader lacks something it needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from infra.stacks.service import READERS
from tests.e2e.bringing import bring
from tests.e2e.client import Api
from tests.faults.observing import Observed, emptied, fault, wait_for, waiting
from tests.footage import clip
from tests.scripted_server import by_path, reply, scripted

TABLES = (
    "vsl.jobs",
    "vsl.provider_attempts",
    "vsl.job_events",
    "vsl.cost_ledger",
    "vsl_frontend.section_videos",
    "vsl.source_fetches",
)
SCHEDULED = ("reconcile", "retention", "provider-catalog", "migrate")


def everything(observed: Observed, jobs: list[str]) -> dict[str, Any]:
    """What is known and kept of some jobs, in all stores that tell the truth."""
    ours = {
        table: observed.rows(f"SELECT t.* FROM {table} t WHERE t::text ~ ANY(%(jobs)s) ORDER BY t::text", jobs=jobs)
        for table in TABLES
    }
    listed = observed.aws("s3").get_paginator("list_objects_v2").paginate(Bucket=observed.stack["bucket"])
    objects = {one["Key"]: (one["ETag"], one["LastModified"]) for page in listed for one in page.get("Contents", [])}
    budgets = observed.rows("SELECT * FROM vsl.budgets ORDER BY account_id, user_id, period")
    return {**ours, "objects": objects, "budgets": budgets, "made": len(observed.predictions(jobs[0]))}


@pytest.fixture
def ended(observed: Observed, tmp_path: Path) -> tuple[list[str], str]:
    """Jobs that were generated, uploaded and compiled, one clip fetched by URL; and the key that was uploaded to."""
    for topic in READERS:
        emptied(observed, topic)
        emptied(observed, f"{topic}-dlq")
    api = Api(observed.stack["baseUrl"], observed.stack["apiKey"])
    script = api.script()
    generated = observed.generate("[duration=1][size=64x64] delivered twice", "seedance-1-lite", scriptId=script)
    take = clip(tmp_path / "take.mp4")
    key = bring(api, take, scriptId=script)
    uploaded = key.rpartition("/")[2].partition(".")[0]
    assert observed.end(generated, uploaded) == ["completed"] * 2
    answers = by_path({"/take.mp4": reply(200, take.read_bytes())})
    with scripted(answers, port=urlsplit(observed.stack["sourcesUrl"]).port or 0) as host:
        clips = [{"url": f"{host.origin}/take.mp4"}, {"jobId": generated}, {"jobId": uploaded}]
        film = api.post("/compile-videos", {"clips": clips}).body["data"]["jobId"]
        assert observed.end(film) == ["completed"]
    wait_for("all messages to be read", lambda: not any(waiting(observed, topic) for topic in READERS))
    return [generated, uploaded, film], key


def messages(observed: Observed, jobs: list[str], key: str) -> list[tuple[str, Mapping[str, Any]]]:
    """One of every kind, as they were when the jobs ran."""
    generated, uploaded, film = jobs
    (attempt,) = observed.attempts(generated)
    ids = {"jobId": generated, "attemptId": str(attempt["id"])}
    told = {**ids, "providerId": attempt["provider_id"]}
    output = {"key": f"incoming/{generated}/1/0", "sizeBytes": 1, "sha256": "0" * 64, "contentType": "video/mp4"}
    failed = {"code": "output_expired", "message": "Gone.", "final": True}
    hook = {"provider": "replicate", "webhookId": f"msg_{uuid4().hex}", "providerStatus": "succeeded"}
    return [
        ("calls", ids),
        ("calls", {**ids, "action": "cancel", "providerId": attempt["provider_id"]}),
        ("store", {**told, "attemptNumber": 1}),
        ("inspect", {"jobId": generated}),
        ("reports", {**told, "providerStatus": "starting", "type": "call.accepted"}),
        ("reports", {**ids, "code": "provider_busy", "message": "429", "retryable": True, "type": "call.rejected"}),
        ("reports", {**ids, "message": "No answer.", "type": "call.unresolved"}),
        ("reports", {**told, **hook, "type": "webhook.received"}),
        ("reports", {**told, "providerStatus": "failed", "type": "prediction.seen"}),
        ("reports", {**told, "outputs": [output], "type": "media.stored"}),
        ("reports", {**ids, **failed, "type": "store.failed"}),
        ("inspect", {"jobId": uploaded}),
        ("uploads", {"Records": [{"s3": {"object": {"key": key}}}]}),
        ("uploads", {"Event": "s3:TestEvent"}),
        ("compile", {"jobId": film}),
        ("fetch", {"jobId": film, "number": 0}),
        ("reports", {"jobId": film, "number": 0, "contentType": "video/mp4", "sizeBytes": 1, "type": "source.fetched"}),
        ("reports", {"jobId": film, "number": 0, **failed, "type": "source.failed"}),
    ]


@pytest.mark.usefixtures("unscheduled")
def test_whatever_is_delivered_again_after_the_end_changes_nothing(
    observed: Observed, ended: tuple[list[str], str]
) -> None:
    jobs, key = ended
    before = everything(observed, jobs)
    again = messages(observed, jobs, key)
    assert {topic for topic, _ in again} == set(READERS)

    for topic, body in again * 2:
        observed.send(topic, body)
    wait_for("all messages to be read", lambda: not any(waiting(observed, topic) for topic in READERS))

    assert everything(observed, jobs) == before
    assert not any(waiting(observed, f"{topic}-dlq") for topic in READERS)


def test_whatever_runs_by_the_clock_or_a_deploy_may_run_twice(observed: Observed, ended: tuple[list[str], str]) -> None:
    jobs, _ = ended
    before = {**everything(observed, jobs), "objects": None}

    for function in SCHEDULED * 2:
        answer = observed.invoke(function)
        assert "errorType" not in answer, (function, answer)
        assert {**everything(observed, jobs), "objects": None} == before, function


NEEDS = [
    ("calls", "ministack"),
    ("store", "ministack"),
    ("reports", "postgres"),
    ("inspect", "postgres"),
    ("inspect", "s3"),
    ("uploads", "postgres"),
    ("uploads", "s3"),
    ("compile", "postgres"),
    ("fetch", "ministack"),
]
DOWN = {"postgres": {"reset_probability": 1}, "s3": {"http_status": 503}, "ministack": {"http_status": 503}}


@pytest.mark.parametrize(("topic", "store"), NEEDS)
def test_a_message_whose_reader_lacks_a_store_stays_in_its_queue(proxied: Observed, topic: str, store: str) -> None:
    job = proxied.generate("a reader without stores")
    assert proxied.end(job) == ["completed"]
    key = f"uploads/{uuid4()}/tester/1/{job}.mp4"
    body = next(body for of, body in messages(proxied, [job, job, job], key) if of == topic)
    function = READERS[topic].replace("_", "-")
    record = {"messageId": "one", "body": json.dumps(body), "eventSource": "aws:sqs", "attributes": {}}

    with fault(proxied, store, cut_after_bytes=0, **DOWN[store]):
        answer = proxied.invoke(function, {"Records": [record]})
    again = proxied.invoke(function, {"Records": [record]})

    # All of a batch having failed, the whole invocation has: both ways the queue keeps the message.
    assert answer.get("errorType") or answer["batchItemFailures"] == [{"itemIdentifier": "one"}], answer
    assert again == {"batchItemFailures": [], "httpStatus": 200}


@pytest.mark.parametrize("store", DOWN)
@pytest.mark.parametrize("function", SCHEDULED)
def test_whatever_runs_by_the_clock_goes_on_once_its_stores_are_back(
    proxied: Observed, function: str, store: str
) -> None:
    with fault(proxied, store, cut_after_bytes=0, **DOWN[store]):
        down = proxied.invoke(function)

    assert down.get("errorType", "DependencyDown") in ("DependencyDown", "OperationalError"), down
    assert "errorType" not in proxied.invoke(function)
