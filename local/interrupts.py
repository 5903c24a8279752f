"""The end of a command from outside: Ctrl-C, SIGTERM, a terminal that closes."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(BaseException):
    """A signal asks for the end; not an error, so nothing that handles errors catches it."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number
        self.note = "Interrupted."

    @property
    def exit_code(self) -> int:
        """As a shell reports a program that the signal ended."""
        return 128 + self.number


_pending: list[signal.Signals] = []


def stop_on_signal() -> None:
    """From now on the first stop signal raises StopRequested in the main thread; later ones do nothing."""

    def stop(received: int, _frame: FrameType | None) -> None:
        if not _pending:
            _pending.append(signal.Signals(received))
            check_stop()

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


def check_stop() -> None:
    """Raises StopRequested again when a signal has come: what a handler raises inside a destructor is lost."""
    if _pending:
        raise StopRequested(_pending[0])


def ignore_stop_signals() -> None:
    """From now on a stop signal does nothing: the end has begun already."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    _pending.clear()


def say(text: str, end: str = "\n") -> None:
    """Prints to stderr, and is silent where the terminal is gone."""
    try:
        print(text, end=end, file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr.fileno())


def flush_output() -> None:
    """Writes out what was printed; where nobody reads it any more, the interpreter must not try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard(sys.stdout.fileno())


def _discard(descriptor: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
