"""What an operator does about lost views and dead letters, on the running stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest

from local.commands import operator_environment
from operate.stores import Stores, connect_stores
from tests.faults.observing import Observed, emptied, wait_for, waiting

POISON = "none of ours"
ATTRIBUTES = {"cause": {"DataType": "String", "StringValue": "a test"}}


@pytest.fixture
def stores(observed: Observed) -> Stores:
    return connect_stores(observed.stack["stage"], observed._session, observed.stack["awsEndpoint"])


@pytest.fixture
def table(observed: Observed) -> str:
    return f"vsl-{observed.stack['stage']}-realtime-jobs"


@pytest.fixture
def keys(observed: Observed) -> str:
    return f"vsl-{observed.stack['stage']}-api-keys"


def operate(observed: Observed, *arguments: str) -> subprocess.CompletedProcess[str]:
    """An operator's command line."""
    return subprocess.run(
        [sys.executable, "-m", "operate.stores", "--stage", observed.stack["stage"], *arguments],
        env={**os.environ, **operator_environment(dict(observed.stack))},
        capture_output=True,
        text=True,
        check=False,
    )


def version(observed: Observed, table: str, job: str) -> int | None:
    item = observed.aws("dynamodb").get_item(TableName=table, Key={"jobId": {"S": job}}).get("Item")
    return int(item["version"]["N"]) if item else None


def items(observed: Observed, table: str) -> list[str]:
    found = observed.aws("dynamodb").scan(TableName=table)["Items"]
    return sorted(json.dumps(item, sort_keys=True) for item in found)


def make_again(observed: Observed, table: str) -> None:
    """Deletes a table and makes it anew, with nothing in it."""
    dynamodb = observed.aws("dynamodb")
    found = dynamodb.describe_table(TableName=table)["Table"]
    dynamodb.delete_table(TableName=table)
    dynamodb.create_table(
        TableName=table,
        KeySchema=found["KeySchema"],
        AttributeDefinitions=found["AttributeDefinitions"],
        BillingMode="PAY_PER_REQUEST",
    )


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
    behind = sum(page["published"] for page in stores.rebuild(f"jobs:{job}"))

    assert 0 <= behind < whole
    refused = operate(observed, "rebuild", "--after", "nowhere")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "stores: after must be a cursor that an earlier page has named. (invalid_request)\n"


def test_tables_that_were_deleted_and_made_again_are_filled_by_one_command(
    observed: Observed, table: str, keys: str
) -> None:
    jobs = [observed.generate(f"a table that is lost {n}") for n in range(2)]
    assert observed.end(*jobs) == ["completed"] * 2
    known, stranger = items(observed, keys), str(uuid4())
    make_again(observed, table)
    make_again(observed, keys)
    strange = {"jobId": {"S": stranger}, "version": {"N": "1"}}
    observed.aws("dynamodb").put_item(TableName=table, Item=strange)
    observed.aws("dynamodb").put_item(TableName=keys, Item={"keyHash": {"S": "0" * 64}})

    done = operate(observed, "rebuild")

    assert (done.returncode, done.stderr) == (0, "")
    assert all("1 unknown ones removed" in line for line in done.stdout.splitlines()[-2:]), done.stdout
    right = [observed.job(job)["version"] for job in jobs]
    assert [version(observed, table, job) for job in (*jobs, stranger)] == [*right, None]
    assert items(observed, keys) == known


def test_an_empty_table_of_keys_is_filled_by_the_minute_sweep(observed: Observed, keys: str) -> None:
    known = items(observed, keys)
    make_again(observed, keys)

    found = observed.sweep()

    assert items(observed, keys) == known
    # The schedule's own sweep may have been first.
    assert found["keys"] in (len(known), 0)
    assert observed.sweep()["keys"] == 0


@pytest.fixture
def quick(observed: Observed) -> Iterator[None]:
    """A message that fails twice is dead. Between, its reader lets it come again sooner than the queue would."""
    sqs, url = observed.aws("sqs"), observed.queue_url("store")
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    redrive = {**json.loads(before["RedrivePolicy"]), "maxReceiveCount": 2}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(redrive)})
    yield
    sqs.set_queue_attributes(QueueUrl=url, Attributes=before)
    sqs.purge_queue(QueueUrl=observed.queue_url("store-dlq"))


@pytest.mark.usefixtures("quick")
def test_one_poison_message_ends_as_a_dead_letter_and_a_hundred_others_go_on(
    observed: Observed, stores: Stores
) -> None:
    emptied(observed, "store")
    jobs = [observed.generate(f"beside the poison {n}") for n in range(4)]
    url = observed.queue_url("store")
    observed.aws("sqs").send_message(QueueUrl=url, MessageBody=POISON, MessageAttributes=ATTRIBUTES)
    for _ in range(96):
        observed.send(
            "store", {"jobId": str(uuid4()), "attemptId": str(uuid4()), "attemptNumber": 1, "providerId": "x"}
        )

    assert observed.end(*jobs) == ["completed"] * 4
    (letter,) = wait_for("the dead letter", lambda: list(stores.dead_letters.letters(["store"])))
    wait_for("the others", lambda: waiting(observed, "store") == 0)

    assert (letter.body, letter.attributes) == (POISON, ATTRIBUTES)
    shown = operate(observed, "dead-letters", "show", "--message", letter.message_id)
    assert json.loads(shown.stdout)["attributes"] == ATTRIBUTES
    assert operate(observed, "dead-letters", "replay", "--message", str(uuid4())).returncode == 1
    replayed = operate(observed, "dead-letters", "replay", "--queue", "store", "--message", letter.message_id)
    assert json.loads(replayed.stdout)["body"] == POISON
    # Nothing was mended: it dies again, as another message with all it had.
    (again,) = wait_for("the letter's second death", lambda: list(stores.dead_letters.letters(["store"])))
    assert (again.body, again.attributes) == (POISON, ATTRIBUTES)
    assert again.message_id != letter.message_id


def test_letters_show_again_as_soon_as_they_were_looked_at_and_one_is_replayed_alone(
    observed: Observed, stores: Stores
) -> None:
    bodies = sorted(json.dumps({"jobId": str(uuid4()), "number": number}) for number in range(12))
    for body in bodies:
        observed.aws("sqs").send_message(QueueUrl=observed.queue_url("inspect-dlq"), MessageBody=body)

    listed = [operate(observed, "dead-letters", "list", "--queue", "inspect").stdout.splitlines() for _ in range(2)]
    chosen = json.loads(listed[0][0])
    operate(observed, "dead-letters", "replay", "--queue", "inspect", "--message", chosen["messageId"])

    assert [sorted(json.loads(line)["body"] for line in lines) for lines in listed] == [bodies] * 2
    left = sorted(letter.body for letter in stores.dead_letters.letters(["inspect"]))
    assert left == [body for body in bodies if body != chosen["body"]]
    observed.aws("sqs").purge_queue(QueueUrl=observed.queue_url("inspect-dlq"))
