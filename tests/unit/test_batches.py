"""A message that fails comes again soon, each time a little later; its neighbours in the batch are done."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from shared.batches import hidden_seconds, work_through
from shared.observability import MessagesFailed, logger, observed
from tests.lambda_context import LambdaContext

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

    with pytest.raises(MessagesFailed):
        work_through({"Records": [_record("1", "x")]}, CONTEXT, work, lambda *hide: hidden.append(hide))

    assert hidden == [(QUEUE, "receipt-1", 10)]


def test_a_failure_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    monkeypatch.setattr(logger, "exception", lambda message, **_: said.append(message))

    def work(record: Any) -> None:
        raise ValueError

    @observed
    def handler(event: dict[str, Any], context: Any) -> Any:
        return work_through(event, context, work, lambda *_: None)

    with pytest.raises(MessagesFailed):
        handler({"Records": [_record("1", "x")]}, LambdaContext())

    assert said == ["message_failed"]


def _record(number: str, body: str, received: int = 1) -> dict[str, Any]:
    return {
        "messageId": number,
        "receiptHandle": f"receipt-{number}",
        "body": body,
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE,
        "attributes": {"ApproximateReceiveCount": str(received)},
        "messageAttributes": {},
    }
