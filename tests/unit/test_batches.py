"""A message that fails comes again soon, each time a little later; its neighbours in the batch are done."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from shared.batches import hidden_seconds, work_through

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:vsl-dev-reports"
CONTEXT = SimpleNamespace()


def test_a_message_that_fails_is_hidden_for_longer_each_time() -> None:
    assert [hidden_seconds(received) for received in range(1, 8)] == [10, 40, 160, 640, 900, 900, 900]


def test_what_fails_comes_again_and_the_others_are_done() -> None:
    done, hidden = list[str](), list[tuple[str, str, int]]()

    def work(record: Any) -> None:
        if record.body == "broken":
            raise ValueError
        done.append(record.body)

    event = {"Records": [_record("1", "first"), _record("2", "broken", received=3), _record("3", "last")]}
    answer = work_through(event, CONTEXT, work, lambda *hide: hidden.append(hide))

    assert (done, hidden) == (["first", "last"], [(QUEUE, "receipt-2", 160)])
    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}


def test_where_all_fails_the_invocation_fails_and_they_come_again_soon() -> None:
    hidden = list[tuple[str, str, int]]()

    def work(record: Any) -> None:
        raise ValueError

    with pytest.raises(BatchProcessingError):
        work_through({"Records": [_record("1", "x")]}, CONTEXT, work, lambda *hide: hidden.append(hide))

    assert hidden == [(QUEUE, "receipt-1", 10)]


def _record(number: str, body: str, received: int = 1) -> dict[str, Any]:
    return {
        "messageId": number, "receiptHandle": f"receipt-{number}", "body": body, "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE, "attributes": {"ApproximateReceiveCount": str(received)}, "messageAttributes": {},
    }  # fmt: skip
