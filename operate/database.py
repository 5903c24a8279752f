"""Questions and settings of an operator for the database, on any stage, with the credentials of the environment.

`python -m operate.database --stage STAGE pace list|reset PROVIDER`, `turns`, `set-back list|take-back ROW`,
`limits ACCOUNT [NAME NUMBER|default]`. Nobody reaches the database from here: the function `vsl-{stage}-account` does
the work, and is asked by the Lambda API.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from operate.accounts import STAGES, AccountCommandFailed, connect

OWN = "default"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and prints its answer as JSON; 1 with a sentence on stderr when it was refused."""
    chosen = _parser().parse_args(arguments)
    try:
        answer = connect(chosen.stage).ask(order_of(chosen))
    except AccountCommandFailed as refused:
        print(f"database: {refused}", file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=2))
    return 0


def order_of(chosen: argparse.Namespace) -> dict[str, Any]:
    """The question to the function."""
    match (chosen.command, getattr(chosen, "what", None)):
        case ("pace", "list"):
            return {"action": "list_paces"}
        case ("pace", "reset"):
            return {"action": "reset_pace", "provider": chosen.provider}
        case ("set-back", "list"):
            return {"action": "list_set_back"}
        case ("set-back", "take-back"):
            return {"action": "take_back", "row": chosen.row}
        case ("limits", _) if chosen.name:
            set_to = {"name": chosen.name, "value": chosen.value}
            return {"action": "set_limit", "accountId": chosen.account, **set_to}
        case ("limits", _):
            return {"action": "read_limits", "accountId": chosen.account}
    return {"action": "list_turns"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="operate.database", description=__doc__)
    parser.add_argument("--stage", required=True, choices=STAGES)
    commands = parser.add_subparsers(dest="command", required=True)
    pace = commands.add_parser("pace", help="how fast providers are called").add_subparsers(dest="what", required=True)
    pace.add_parser("list", help="rates, blocks and failures in a row")
    pace.add_parser("reset", help="begin afresh").add_argument("provider")
    commands.add_parser("turns", help="who waits for a worker of long work")
    rows = commands.add_parser("set-back", help="rows that failed").add_subparsers(dest="what", required=True)
    rows.add_parser("list", help="what the sweep leaves alone, and until when")
    rows.add_parser("take-back", help="have the next sweep take a row").add_argument("row")
    limits = commands.add_parser("limits", help="an account's own limits")
    limits.add_argument("account")
    limits.add_argument("name", nargs="?", help="the one to set")
    limits.add_argument("value", nargs="?", type=_number, default=None, help=f"a number, or `{OWN}`: the product's own")
    return parser


def _number(text: str) -> int | None:
    return None if text == OWN else int(text)


if __name__ == "__main__":
    sys.exit(main())
