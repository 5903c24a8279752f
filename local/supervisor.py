"""Starts the parts of a stack, waits until each answers, watches them, and stops them in reverse order."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from local.interrupts import check_stop
from local.layout import MARK_VARIABLE, Layout, read_json, write_json
from local.processes import Identity, spawn

LOG_TAIL_LINES = 15
LOG_BYTES_KEPT = 20_000_000
READY_SECONDS = 300.0
"""How long a part may take to answer: a busy machine starts one many times slower than an idle one."""

ANSWER_SECONDS = 10.0
"""How long one question to a part that starts may take; it is asked again and again."""


class StackFailed(Exception):
    """The stack cannot come up or go on; the message is one sentence for its user."""


class PartFailed(StackFailed):
    """A part ended by itself or never answered; carries the last lines of its log."""

    def __init__(self, part: str, reason: str, log_lines: Sequence[str]) -> None:
        super().__init__(f"{part} {reason}")
        self.part = part
        self.log_lines = list(log_lines)


@dataclass(frozen=True)
class Part:
    """One program of the stack.

    `is_ready` makes a real request and says whether the part answered; an OSError means not yet.
    `stop_signal` asks for an orderly end, which gets `stop_seconds` before SIGKILL.
    """

    name: str
    command: Sequence[str]
    is_ready: Callable[[], bool]
    environment: Mapping[str, str]
    directory: Path
    identity: Identity | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 5.0
    ready_seconds: float = READY_SECONDS


@dataclass
class Supervisor:
    """Owns the running parts. Not thread-safe: parts are started by the main thread (see `spawn`)."""

    layout: Layout
    running: dict[str, tuple[Part, subprocess.Popen[bytes]]] = field(default_factory=dict)
    unanswered: dict[str, float] = field(default_factory=dict)
    """By name of a part that has not answered yet, when patience with it ends."""
    log_starts: dict[str, int] = field(default_factory=dict)
    """By name, where in its log the part's present run begins."""

    def start(self, *parts: Part) -> None:
        """Starts programs without waiting for them."""
        for part in parts:
            with open(_fresh_log(self.layout.log_of(part.name)), "ab") as log:
                self.log_starts[part.name] = log.tell()
                process = spawn(
                    part.command,
                    output=log,
                    environment={**part.environment, MARK_VARIABLE: str(self.layout.state)},
                    directory=part.directory,
                    identity=part.identity,
                )
            self.running[part.name] = (part, process)
            self.unanswered[part.name] = time.monotonic() + part.ready_seconds
        self.report()

    def ask(self) -> bool:
        """Asks each part that has not answered yet, once; True when all have.

        Raises PartFailed when a part has ended or was silent for too long.
        """
        self.check()
        for name, deadline in tuple(self.unanswered.items()):
            part = self.running[name][0]
            if _answers(part):
                del self.unanswered[name]
            elif time.monotonic() > deadline:
                raise self._failure(part, f"did not answer within {part.ready_seconds:g} s")
        return not self.unanswered

    def wait_ready(self, *, besides: Collection[str] = ()) -> None:
        """Returns when all parts, besides the named, have answered; raises as `ask` does."""
        while not self.ask() and not set(besides).issuperset(self.unanswered):
            time.sleep(0.02)

    def check(self) -> None:
        """Raises PartFailed when a part has ended by itself, StopRequested when a signal has come."""
        check_stop()
        for part, process in self.running.values():
            code = process.poll()
            if code is not None:
                raise self._failure(part, f"ended by itself ({describe_exit(code)})")

    def watch(self, pause_seconds: float = 0.2) -> NoReturn:
        """Raises PartFailed once a part has ended, or StopRequested (see local/interrupts.py)."""
        while True:
            self.check()
            time.sleep(pause_seconds)

    def stop(self) -> None:
        """Stops all parts, the last started first, each with its own patience, then SIGKILL."""
        for name in reversed(tuple(self.running)):
            part, process = self.running.pop(name)
            _stop(part, process)

    def report(self, **facts: object) -> None:
        """Writes what is known to the status file, keeping facts reported before."""
        parts = {name: process.pid for name, (_, process) in self.running.items()}
        write_json(self.layout.status_file, {**read_json(self.layout.status_file), "parts": parts, **facts})

    def _failure(self, part: Part, reason: str) -> PartFailed:
        lines = last_lines(self.layout.log_of(part.name), self.log_starts[part.name])
        return PartFailed(part.name, reason, lines)


def last_lines(log: Path, start: int) -> list[str]:
    """The end of a log that was begun at this byte, read without loading it whole."""
    with open(log, "rb") as file:
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(max(start, size_bytes - 16_384))
        return file.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]


def describe_exit(code: int) -> str:
    """Popen's return code in words."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _answers(part: Part) -> bool:
    try:
        return part.is_ready()
    except OSError:
        return False


def _stop(part: Part, process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(part.stop_signal)
    try:
        process.wait(timeout=part.stop_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _fresh_log(log: Path) -> Path:
    """The log's path, its old content moved aside when it has grown large."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES_KEPT:
        log.replace(log.with_suffix(".log.1"))
    return log
