"""What an operator does about lost stores and dead letters, on any stage, with the credentials of the environment.

`python -m operate.stores --stage STAGE rebuild [--after CURSOR]` writes the live view, the cache and the keys' table
anew from PostgreSQL; `dead-letters list|show|replay [--queue QUEUE] [--message ID]` shows messages that kept failing,
or sends them again. Nothing here reaches the database: an inside function does the work, this command asks for page
after page.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from operate.accounts import STAGES, AccountCommandFailed, Accounts, connect
from operate.dead_letters import QUEUES, DeadLetters

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


@dataclass(frozen=True)
class Stores:
    """The commands of one stage."""

    stage: str
    functions: LambdaClient
    accounts: Accounts
    dead_letters: DeadLetters

    def rebuild(self, after: str | None = None) -> Iterator[Mapping[str, Any]]:
        """Page by page: `{"published", "removed", "cursor"}`; the last page's cursor is None.

        Raises AccountCommandFailed.
        """
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
            raise AccountCommandFailed(str(page.get("errorMessage")))
        if "error" in page:
            raise AccountCommandFailed(f"{page['error']} ({page['code']})")
        return page


def connect_stores(stage: str, session: boto3.Session | None = None, endpoint_url: str | None = None) -> Stores:
    """The stage's commands, with the session's credentials and region."""
    used = session or boto3.Session()
    letters = DeadLetters(stage, used.client("sqs", endpoint_url=endpoint_url))
    functions = used.client("lambda", endpoint_url=endpoint_url)
    return Stores(stage, functions, connect(stage, used, endpoint_url), letters)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 1 with a sentence on stderr when the stage refused or nothing was found."""
    chosen = _parser().parse_args(arguments)
    stores = connect_stores(chosen.stage)
    try:
        return _rebuild(stores, chosen.after) if chosen.command == "rebuild" else _dead_letters(stores, chosen)
    except AccountCommandFailed as refused:
        print(f"stores: {refused}", file=sys.stderr)
        return 1


def _rebuild(stores: Stores, after: str | None) -> int:
    published = removed = 0
    for page in stores.rebuild(after):
        published, removed = published + page["published"], removed + page["removed"]
        told = f"live view: {published} jobs written, {removed} unknown ones removed"
        print(told + (f", next --after {page['cursor']}" if page["cursor"] else ""), flush=True)
    keys = stores.accounts.rebuild_keys()
    kept = f", {keys['keptRevoked']} kept revoked" if keys["keptRevoked"] else ""
    print(f"keys: {keys['written']} written, {keys['removed']} unknown ones removed{kept}")
    return 0


def _dead_letters(stores: Stores, chosen: argparse.Namespace) -> int:
    found = 0
    for letter in stores.dead_letters.letters([chosen.queue] if chosen.queue else QUEUES):
        if chosen.message not in (None, letter.message_id):
            continue
        found += 1
        if chosen.what == "replay":
            stores.dead_letters.replay(letter)
        print(json.dumps(letter.whole(), indent=2) if chosen.what == "show" else json.dumps(letter.line()))
    print(f"{found} dead letter(s) {'sent again' if chosen.what == 'replay' else 'found'}", file=sys.stderr)
    return 1 if chosen.message and not found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="operate.stores", description=__doc__)
    parser.add_argument("--stage", required=True, choices=STAGES)
    commands = parser.add_subparsers(dest="command", required=True)
    rebuild = commands.add_parser("rebuild", help="the live view, the cache and the keys' table from PostgreSQL")
    rebuild.add_argument("--after", help="go on behind this cursor")
    letters = commands.add_parser("dead-letters", help="messages that kept failing")
    letters.add_argument("what", choices=("list", "show", "replay"))
    letters.add_argument("--queue", choices=QUEUES)
    letters.add_argument("--message", help="one message by its id")
    return parser


if __name__ == "__main__":
    sys.exit(main())
