"""Messages that kept failing: seen without being lost, and sent again once their cause is mended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

QUEUES = ("calls", "reports", "store", "inspect", "compile", "uploads", "fetch")
# Letters stay hidden while they are looked through, so that each is seen once; then they show again at once.
HIDDEN_SECONDS = 60
PAGE = 10


@dataclass(frozen=True)
class Letter:
    """A message of a dead-letter queue. `receipt` is good while it is hidden."""

    queue: str
    message_id: str
    body: str
    attributes: Mapping[str, Any]
    receives: int
    sent_at: datetime
    receipt: str

    def line(self) -> dict[str, Any]:
        """As a list shows it."""
        return {
            "queue": self.queue,
            "messageId": self.message_id,
            "sentAt": f"{self.sent_at:%Y-%m-%dT%H:%M:%SZ}",
            "receives": self.receives,
            "body": self.body,
        }

    def whole(self) -> dict[str, Any]:
        """With its attributes."""
        return self.line() | {"attributes": dict(self.attributes)}


@dataclass(frozen=True)
class DeadLetters:
    """Those of one stage."""

    stage: str
    sqs: SQSClient

    def letters(self, queues: Iterable[str] = QUEUES) -> Iterator[Letter]:
        """Every dead letter of the queues once; those that are left when the caller has done show again."""
        for queue in queues:
            yield from self._letters_of(queue, self._url(f"{queue}-dlq"))

    def replay(self, letter: Letter) -> None:
        """Sends a letter again, then takes it out: a kill between leaves it twice, which every reader allows for."""
        self.sqs.send_message(
            QueueUrl=self._url(letter.queue), MessageBody=letter.body, MessageAttributes=letter.attributes
        )
        self.sqs.delete_message(QueueUrl=self._url(f"{letter.queue}-dlq"), ReceiptHandle=letter.receipt)

    def _letters_of(self, queue: str, url: str) -> Iterator[Letter]:
        receipts: dict[str, str] = {}
        try:
            while new := [letter for letter in self._receive(queue, url) if letter.message_id not in receipts]:
                receipts.update({letter.message_id: letter.receipt for letter in new})
                yield from new
        finally:
            self._show_again(url, list(receipts.values()))

    def _receive(self, queue: str, url: str) -> list[Letter]:
        answer = self.sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=PAGE,
            VisibilityTimeout=HIDDEN_SECONDS,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            MessageAttributeNames=["All"],
        )
        return [_letter(queue, message) for message in answer.get("Messages", [])]

    def _show_again(self, url: str, receipts: Sequence[str]) -> None:
        """Of those that were sent again the receipts are refused one by one, which is no error."""
        for start in range(0, len(receipts), PAGE):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(receipts[start : start + PAGE])
            ]
            self.sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)  # type: ignore[arg-type]

    def _url(self, name: str) -> str:
        return self.sqs.get_queue_url(QueueName=f"vsl-{self.stage}-{name}")["QueueUrl"]


def _letter(queue: str, message: MessageTypeDef) -> Letter:
    facts = message["Attributes"]
    return Letter(
        queue,
        message["MessageId"],
        message["Body"],
        message.get("MessageAttributes", {}),
        int(facts["ApproximateReceiveCount"]),
        datetime.fromtimestamp(int(facts["SentTimestamp"]) / 1000, UTC),
        message["ReceiptHandle"],
    )
