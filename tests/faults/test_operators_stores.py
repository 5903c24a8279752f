"""What an operator does about lost views and dead letters, on the running stack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from operate.stores import QUEUES, Stores, connect_stores
from tests.faults.observing import Observed, wait_for

MOST_RECEIVES = 5


@pytest.fixture
def stores(observed: Observed) -> Stores:
    return connect_stores(observed.stack["stage"], observed._session, observed.stack["awsEndpoint"])


@pytest.fixture
def table(observed: Observed) -> str:
    return f"vsl-{observed.stack['stage']}-realtime-jobs"


def version(observed: Observed, table: str, job: str) -> int | None:
    item = observed.aws("dynamodb").get_item(TableName=table, Key={"jobId": {"S": job}}).get("Item")
    return int(item["version"]["N"]) if item else None


@pytest.mark.parametrize("wrong", [None, 1, 999_999], ids=["lost", "stale", "wrongly newer"])
def test_a_view_that_is_lost_stale_or_wrongly_newer_is_made_right(
    observed: Observed, stores: Stores, table: str, wrong: int | None
) -> None:
    job = observed.generate("a view to be rebuilt")
    assert observed.end(job) == ["completed"]
    right = observed.job(job)["version"]
    wait_for("the view", lambda: version(observed, table, job) == right)
    key = {"jobId": {"S": job}}
    if wrong is None:
        observed.aws("dynamodb").delete_item(TableName=table, Key=key)
    else:
        item = observed.aws("dynamodb").get_item(TableName=table, Key=key)["Item"]
        snapshot = {**json.loads(item["snapshot"]["S"]), "version": wrong, "status": "generating"}
        changed = {**item, "version": {"N": str(wrong)}, "snapshot": {"S": json.dumps(snapshot)}}
        observed.aws("dynamodb").put_item(TableName=table, Item=changed)

    pages = list(stores.rebuild())

    assert sum(page["published"] for page in pages) >= 1
    assert version(observed, table, job) == right
    assert observed.call("GET", f"/status/{job}")["status"] == "completed"


def test_a_rebuild_goes_on_behind_a_cursor(observed: Observed, stores: Stores) -> None:
    job = observed.generate("behind the cursor")
    assert observed.end(job) == ["completed"]

    whole = sum(page["published"] for page in stores.rebuild())
    behind = sum(page["published"] for page in stores.rebuild(job))

    assert 0 <= behind < whole


@pytest.fixture
def quick(observed: Observed) -> Iterator[None]:
    """A message that fails shows again at once, not after the queue's visibility."""
    sqs, url = observed.aws("sqs"), observed.queue_url("store")
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    yield
    sqs.set_queue_attributes(QueueUrl=url, Attributes=before)


def test_one_poison_message_ends_as_a_dead_letter_and_a_hundred_others_go_on(
    observed: Observed, stores: Stores, quick: None
) -> None:
    poison: dict[str, Any] = {"jobId": "no-uuid", "attemptId": uuid4().hex, "poison": True}
    jobs = [observed.generate(f"beside the poison {n}") for n in range(4)]
    observed.send("store", poison)
    for _ in range(96):
        observed.send(
            "store", {"jobId": str(uuid4()), "attemptId": str(uuid4()), "attemptNumber": 1, "providerId": "x"}
        )

    assert observed.end(*jobs) == ["completed"] * 4
    (letter,) = wait_for("the dead letter", lambda: list(stores.letters(("store",))), seconds=60)

    assert json.loads(letter.body) == poison
    assert letter.receives > 0
    stores.replay(letter)
    (again,) = wait_for("the dead letter to die again", lambda: list(stores.letters(QUEUES)), seconds=60)
    assert json.loads(again.body) == poison
    observed.aws("sqs").purge_queue(QueueUrl=observed.queue_url("store-dlq"))
