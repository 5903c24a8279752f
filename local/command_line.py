"""The commands of `python -m local COMMAND` and how each ends; the Makefile's targets call them."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from local import commands
from local.interrupts import StopRequested, flush_output, ignore_stop_signals, say, stop_on_signal
from local.keeper import keep
from local.layout import find_layout
from local.supervisor import StackFailed

PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code tells whether it did what was asked, 128 + n that signal n ended it."""
    chosen = _parser().parse_args(arguments)
    if chosen.command == "run":
        return _run_in_foreground(chosen.with_parent)
    stop_on_signal()
    try:
        return _run(chosen)
    except StackFailed as failure:
        say(str(failure))
        return 1
    except StopRequested as stop:
        say(stop.note)
        return stop.exit_code
    except BrokenPipeError:  # the reader of our output has seen enough
        return 0
    finally:
        ignore_stop_signals()
        flush_output()


def _run(chosen: argparse.Namespace) -> int:
    layout = find_layout()
    match chosen.command:
        case "logs":
            return commands.logs(layout, chosen.part)
        case "synth":
            return commands.synth(layout, chosen.stage)
        case "demo":
            return commands.demo(layout, chosen.out)
        case "plan":
            from local import plan

            return plan.main(layout, chosen.rest)
        case "accounts" | "secrets" | "smoke" | "stores" | "database" as name:
            return commands.operate(layout, name, chosen.rest)
        case name:
            return int(getattr(commands, name)(layout))


def _run_in_foreground(parent: int | None) -> int:
    if parent is not None:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel was asked to watch it
            return 0
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
    run.add_argument("--with-parent", type=int, metavar="PID", help="stop when this parent process ends")
    logs = commands_.add_parser("logs", help="follow the logs")
    logs.add_argument("part", nargs="?", help="one part or function")
    synth = commands_.add_parser("synth", help="synthesize a stage")
    synth.add_argument("stage")
    demo = commands_.add_parser("demo", help="run the demo")
    demo.add_argument("--out", type=Path, help="folder of the film (default: out)")
    for name, text in (
        ("plan", "how clips would be joined"),
        ("accounts", "operate.accounts on the local stack"),
        ("secrets", "operate.secrets on the local stack"),
        ("smoke", "operate.smoke on the local stack"),
        ("stores", "operate.stores on the local stack"),
        ("database", "operate.database on the local stack"),
    ):
        commands_.add_parser(name, help=text).add_argument("rest", nargs=argparse.REMAINDER)
    return parser
