"""Caches, views, queues and the database may go away in the middle of a job: it ends once all the same.

Where a check or a delay must pass first, its time is moved into the past in PostgreSQL.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from redis.cluster import RedisCluster

from tests.faults.observing import TOPICS, Observed, stopped, wait_for


def test_a_dead_cache_is_a_miss_and_a_cache_that_comes_back_is_used(observed: Observed) -> None:
    with stopped(observed.part("redis")):
        job = observed.generate("no cache")
        assert observed.call("GET", f"/status/{job}")["httpStatus"] == 200
        assert observed.end(job) == ["completed"]
        wait_for("the loss to be told", lambda: observed.call("GET", "/health")["status"] == "degraded")
    observed.assert_settled(job)

    def cached() -> bool:
        assert observed.call("GET", f"/status/{job}")["status"] == "completed"
        return bool(_cache(observed).get(f"status:{{{job}}}"))

    wait_for("the cache to be used again", cached)
    wait_for("good health", lambda: observed.call("GET", "/health")["status"] == "ok")


def test_without_the_live_view_jobs_end_and_the_view_is_made_again(observed: Observed) -> None:
    with _no_live_view(observed) as table:
        job = observed.generate("no live view")
        assert observed.call("GET", f"/status/{job}")["httpStatus"] == 200
        assert observed.end(job) == ["completed"]
        _cache(observed).flushall()
        assert observed.call("GET", f"/status/{job}")["status"] == "completed"
    observed.assert_settled(job)

    observed.let_time_pass(job)
    observed.sweep()

    assert "Item" in observed.aws("dynamodb").get_item(TableName=table, Key={"jobId": {"S": job}})


def test_an_emptied_live_view_is_filled_from_the_truth(observed: Observed) -> None:
    job = observed.generate("an emptied view")
    assert observed.end(job) == ["completed"]
    view, table = observed.aws("dynamodb"), f"vsl-{observed.stack['stage']}-realtime-jobs"
    key = {"jobId": {"S": job}}
    wait_for("the view", lambda: "Item" in view.get_item(TableName=table, Key=key))
    view.delete_item(TableName=table, Key=key)
    _cache(observed).flushall()

    assert observed.call("GET", f"/status/{job}")["status"] == "completed"

    assert "Item" in view.get_item(TableName=table, Key=key)


def test_jobs_whose_messages_are_purged_are_taken_up_by_the_sweep(observed: Observed) -> None:
    jobs = []
    with _deaf(observed) as turn_off:
        for topic, reached in (("inspect", "media.stored"), ("store", "webhook"), ("calls", "job.created")):
            turn_off(topic)
            jobs.append(observed.generate(f"purged before {topic}"))
            wait_for(f"a job to wait in {topic}", lambda job=jobs[-1], name=reached: _has(observed, job, name))
        for topic in TOPICS:
            observed.aws("sqs").purge_queue(QueueUrl=observed.queue_url(topic))
    assert [observed.job(job)["status"] for job in jobs] == ["processing", "generating", "pending"]

    assert observed.end(*jobs) == ["completed"] * 3
    for job in jobs:
        observed.assert_settled(job)


def test_a_crash_of_the_database_is_survived_by_jobs_and_functions(observed: Observed) -> None:
    jobs = [observed.generate(f"[seconds={n}] the database crashes") for n in (0, 1, 2)]
    (backend,) = observed.rows("SELECT pid FROM pg_stat_activity WHERE application_name = 'vsl' LIMIT 1")
    with psycopg.connect(observed.stack["databaseUrl"], autocommit=True) as bystander:
        os.kill(backend["pid"], signal.SIGKILL)  # PostgreSQL then ends all backends and recovers
        wait_for("the crash", lambda: _is_lost(bystander))
    wait_for("the database", lambda: _answers(observed.stack["databaseUrl"]))

    for job in jobs:
        observed.let_time_pass(job, leases=True)
    assert observed.end(*jobs) == ["completed"] * 3
    for job in jobs:
        observed.assert_settled(job)


def _is_lost(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def _answers(database_url: str) -> bool:
    try:
        psycopg.connect(database_url).close()
    except psycopg.OperationalError:
        return False
    return True


def _cache(observed: Observed) -> RedisCluster:
    return RedisCluster.from_url(observed.stack["redisUrl"], decode_responses=True)


@contextmanager
def _no_live_view(observed: Observed) -> Iterator[str]:
    """DynamoDB refuses everything about the live view, as its table is gone."""
    view, table = observed.aws("dynamodb"), f"vsl-{observed.stack['stage']}-realtime-jobs"
    found = view.describe_table(TableName=table)["Table"]
    view.delete_table(TableName=table)
    try:
        yield table
    finally:
        view.create_table(
            TableName=table,
            KeySchema=found["KeySchema"],
            AttributeDefinitions=found["AttributeDefinitions"],
            BillingMode="PAY_PER_REQUEST",
        )


@contextmanager
def _deaf(observed: Observed) -> Iterator[Any]:
    """Gives a way to keep a queue's function from reading it; all read again at the end."""
    functions = observed.aws("lambda")
    mappings = {
        entry["EventSourceArn"].rpartition("-")[2]: entry["UUID"]
        for entry in functions.list_event_source_mappings()["EventSourceMappings"]
    }

    def switch(topic: str, *, on: bool) -> None:
        functions.update_event_source_mapping(UUID=mappings[topic], Enabled=on)

    try:
        yield lambda topic: switch(topic, on=False)
    finally:
        for topic in mappings:
            switch(topic, on=True)


def _has(observed: Observed, job: str, reached: str) -> bool:
    """Whether the job came to an event of its history, or its webhook of success."""
    if reached == "webhook":
        found = "SELECT 1 FROM vsl.webhook_inbox WHERE job_id = %(job)s AND provider_status = 'succeeded'"
        return bool(observed.rows(found, job=job))
    return bool(
        observed.rows("SELECT 1 FROM vsl.job_events WHERE job_id = %(job)s AND name = %(n)s", job=job, n=reached)
    )
