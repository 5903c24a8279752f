"""The local stack's command line: `python -m local COMMAND`; the Makefile's targets call it."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Sequence

from local import commands
from local.keeper import keep
from local.layout import find_layout
from local.supervisor import StackFailed

PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code tells whether it did what was asked."""
    chosen = _parser().parse_args(arguments)
    try:
        return _run(chosen)
    except StackFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(chosen: argparse.Namespace) -> int:
    layout = find_layout()
    match chosen.command:
        case "run":
            return _run_in_foreground(chosen.with_parent)
        case "logs":
            return commands.logs(layout, chosen.part)
        case "synth":
            return commands.synth(layout, chosen.stage)
        case "demo":
            return commands.demo(layout, chosen.rest)
        case "plan":
            from local import plan

            return plan.main(layout, chosen.rest)
        case "accounts" | "stores" as name:
            return commands.operate(layout, name, chosen.rest)
        case name:
            return int(getattr(commands, name)(layout))


def _run_in_foreground(with_parent: bool) -> int:
    if with_parent:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    return keep(find_layout())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="local", description=__doc__)
    commands_ = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("up", "start in the background"),
        ("down", "stop, and check that nothing is left"),
        ("clean", "stop and delete all state"),
        ("status", "what runs, or what ended it"),
    ):
        commands_.add_parser(name, help=text)
    run = commands_.add_parser("run", help="start in the foreground")
    run.add_argument("--with-parent", action="store_true", help="stop when the parent process ends")
    logs = commands_.add_parser("logs", help="follow the logs")
    logs.add_argument("part", nargs="?", help="one part or function")
    synth = commands_.add_parser("synth", help="synthesize a stage")
    synth.add_argument("stage")
    for name, text in (
        ("demo", "run the demo"),
        ("plan", "how clips would be joined"),
        ("accounts", "operate.accounts on the local stack"),
        ("stores", "operate.stores on the local stack"),
    ):
        commands_.add_parser(name, help=text).add_argument("rest", nargs=argparse.REMAINDER)
    return parser


if __name__ == "__main__":
    sys.exit(main())
