"""What an operator does about lost stores and dead letters, on any stage, with the credentials of the environment.

`python -m operate.stores --stage STAGE rebuild [--after CURSOR]` writes the live view and the keys' table anew from
PostgreSQL; `dead-letters list|replay [--queue QUEUE] [--message ID]` shows messages that kept failing, or sends them
again. Nothing here reaches the database: an inside function does the work, this command asks for page after page.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from operate.accounts import STAGES, AccountCommandFailed, connect

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient

QUEUES = ("calls", "reports", "store", "inspect", "compile")
# Seen letters stay hidden that long, so that one listing shows each once.
HIDDEN_SECONDS = 20


@dataclass(frozen=True)
class Letter:
    """A message of a dead-letter queue. `receipt` is good until it shows again."""

    queue: str
    message_id: str
    body: str
    receives: int
    receipt: str

    def shown(self) -> dict[str, Any]:
        return {"queue": self.queue, "messageId": self.message_id, "receives": self.receives, "body": self.body}


@dataclass(frozen=True)
class Stores:
    """The commands of one stage."""

    stage: str
    functions: LambdaClient
    sqs: SQSClient

    def rebuild(self, after: str | None = None) -> Iterator[Mapping[str, Any]]:
        """Page by page: `{"published", "cursor"}`; the last page's cursor is None. Raises AccountCommandFailed."""
        page = self._page(after)
        yield page
        while page["cursor"] is not None:
            page = self._page(page["cursor"])
            yield page

    def _page(self, after: str | None) -> Mapping[str, Any]:
        payload = json.dumps({"action": "rebuild", "after": after}).encode()
        answer = self.functions.invoke(FunctionName=f"vsl-{self.stage}-reconcile", Payload=payload)
        page: Mapping[str, Any] = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise AccountCommandFailed(f"{page.get('errorMessage')}; go on with --after {after or 'START'}")
        return page

    def letters(self, queues: Sequence[str]) -> Iterator[Letter]:
        """Every dead letter of the queues once."""
        for queue in queues:
            yield from self._letters_of(queue)

    def _letters_of(self, queue: str) -> Iterator[Letter]:
        url = self._url(f"{queue}-dlq")
        seen: set[str] = set()
        while new := [letter for letter in self._receive(queue, url) if letter.message_id not in seen]:
            seen.update(letter.message_id for letter in new)
            yield from new

    def replay(self, letter: Letter) -> None:
        """Sends a letter again, then takes it out: a kill between leaves it twice, which every reader allows for."""
        self.sqs.send_message(QueueUrl=self._url(letter.queue), MessageBody=letter.body)
        self.sqs.delete_message(QueueUrl=self._url(f"{letter.queue}-dlq"), ReceiptHandle=letter.receipt)

    def _receive(self, queue: str, url: str) -> list[Letter]:
        answer = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=HIDDEN_SECONDS,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )  # fmt: skip
        return [
            Letter(
                queue, message["MessageId"], message["Body"],
                int(message["Attributes"]["ApproximateReceiveCount"]), message["ReceiptHandle"],
            )
            for message in answer.get("Messages", [])
        ]  # fmt: skip

    def _url(self, name: str) -> str:
        return self.sqs.get_queue_url(QueueName=f"vsl-{self.stage}-{name}")["QueueUrl"]


def connect_stores(stage: str, session: boto3.Session | None = None, endpoint_url: str | None = None) -> Stores:
    """The stage's commands, with the session's credentials and region."""
    used = session or boto3.Session()
    return Stores(
        stage, used.client("lambda", endpoint_url=endpoint_url), used.client("sqs", endpoint_url=endpoint_url)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 1 with a sentence on stderr when the stage refused."""
    chosen = _parser().parse_args(arguments)
    try:
        if chosen.command == "rebuild":
            return _rebuild(connect_stores(chosen.stage), chosen.after)
        return _dead_letters(connect_stores(chosen.stage), chosen)
    except AccountCommandFailed as refused:
        print(f"stores: {refused}", file=sys.stderr)
        return 1


def _rebuild(stores: Stores, after: str | None) -> int:
    published = 0
    for page in stores.rebuild(after):
        published += page["published"]
        print(f"live view: {published} jobs written" + (f", next --after {page['cursor']}" if page["cursor"] else ""))
    print(f"keys: {connect(stores.stage).rebuild_keys()} written")
    return 0


def _dead_letters(stores: Stores, chosen: argparse.Namespace) -> int:
    queues = [chosen.queue] if chosen.queue else QUEUES
    wanted = [letter for letter in stores.letters(queues) if chosen.message in (None, letter.message_id)]
    for letter in wanted:
        if chosen.what == "replay":
            stores.replay(letter)
        print(json.dumps(letter.shown()))
    print(f"{len(wanted)} dead letter(s) {'sent again' if chosen.what == 'replay' else 'found'}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="operate.stores", description=__doc__)
    parser.add_argument("--stage", required=True, choices=STAGES)
    commands = parser.add_subparsers(dest="command", required=True)
    rebuild = commands.add_parser("rebuild", help="the live view and the keys' table from PostgreSQL")
    rebuild.add_argument("--after", help="go on behind this cursor")
    letters = commands.add_parser("dead-letters", help="messages that kept failing")
    letters.add_argument("what", choices=("list", "replay"))
    letters.add_argument("--queue", choices=QUEUES)
    letters.add_argument("--message", help="one message by its id")
    return parser


if __name__ == "__main__":
    sys.exit(main())
