"""A queue's messages, worked through one by one: each that fails comes again soon, and later each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from shared.domain.messages import HIDDEN_AT_MOST_SECONDS
from shared.observability import MessagesFailed, observed_record

FIRST_SECONDS, GROWTH = 10, 4
# Hides a message of the queue of this ARN, named by its receipt handle, for so many seconds from now on.
Hide = Callable[[str, str, int], None]


def work_through(event: dict[str, Any], context: Any, work: Callable[[Any], None], hide: Hide) -> Any:
    """Lambda's answer of partial failures. Raises MessagesFailed when every message failed."""
    try:
        answer: PartialItemFailureResponse = process_partial_response(
            event, observed_record(work), _Returning(hide), context
        )
    except BatchProcessingError as error:
        raise MessagesFailed(str(error)) from None
    return answer


def hidden_seconds(received: int) -> int:
    """How long a message that failed is hidden, by how often it has come."""
    return int(min(FIRST_SECONDS * GROWTH ** max(received - 1, 0), HIDDEN_AT_MOST_SECONDS))


class _Returning(BatchProcessor):
    """Without it a message that failed is hidden for the queue's whole visibility timeout.

    That is six times what the function may take, and for what is still worked on: up to an hour.
    """

    def __init__(self, hide: Hide) -> None:
        super().__init__(event_type=EventType.SQS)
        self._hide = hide

    def failure_handler(self, record: SQSRecord, exception: Any) -> Any:
        received = int(record.attributes.approximate_receive_count or 1)
        self._hide(record.event_source_arn, record.receipt_handle, hidden_seconds(received))
        return super().failure_handler(record, exception)
