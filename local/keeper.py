"""Keeps one supervisor: holds the stack's lock, and ends whatever the supervisor leaves behind.

The supervisor is this process's only child, and orphans of the whole stack become its children too
(PR_SET_CHILD_SUBREAPER), so when the supervisor ends, even by SIGKILL, nothing of the stack can escape it:
not an FFmpeg whose function process has gone. When this process itself is killed, the kernel tells the
supervisor (SIGTERM), which then stops the stack in order.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from local.interrupts import STOP_SIGNALS, StopRequested, ignore_stop_signals, stop_on_signal
from local.layout import MARK_VARIABLE, STATE_VARIABLE, Layout, find_layout, read_json, write_json
from local.processes import become_subreaper, kill_descendants, send, spawn, wait_until
from local.supervisor import PartFailed, StackFailed, Supervisor

ALREADY_RUNNING = 3
LOCK_SECONDS = 5.0
_SUPERVISOR = (sys.executable, "-m", "local.keeper")


@dataclass(frozen=True)
class Lock:
    """A flock on a file: it ends with its last holder, however that one ends."""

    file: IO[str]

    def write_holder(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.file.write(f"{os.getpid()}\n")
        self.file.flush()


def take_lock(layout: Layout, patience_seconds: float = 0) -> Lock | None:
    """The stack's lock, or None when a stack of this state directory runs.

    Asking whether one runs shares the lock for a moment, so who means to keep it has some patience.
    """
    layout.state.mkdir(parents=True, exist_ok=True)
    file = open(layout.lock, "a+")  # noqa: SIM115 - held until the process ends
    if wait_until(lambda: _locks(file), patience_seconds):
        return Lock(file)
    file.close()
    return None


def running_keeper(layout: Layout) -> int | None:
    """The process id of the keeper whose stack runs now, or starts or stops.

    Any number may ask at once: none takes another's question for the keeper's lock.
    """
    if not layout.lock.exists():
        return None
    with open(layout.lock) as file:
        if _locks(file, fcntl.LOCK_SH):
            return None
        text = file.read().strip()
    return int(text) if text.isdigit() else None


def keep(layout: Layout, supervisor_command: Sequence[str] = _SUPERVISOR) -> int:
    """Runs the stack until it ends; the exit code is the supervisor's."""
    lock = take_lock(layout, patience_seconds=LOCK_SECONDS)
    if lock is None:
        return ALREADY_RUNNING
    lock.write_holder()
    layout.stack_file.unlink(missing_ok=True)
    write_json(layout.status_file, {"state": "starting", "keeper": os.getpid(), "startedAt": time.time()})
    become_subreaper()
    supervisor = spawn(
        supervisor_command,
        output=sys.stdout.buffer,
        errors=sys.stderr.buffer,
        environment={**os.environ, STATE_VARIABLE: str(layout.state), MARK_VARIABLE: str(layout.state)},
        directory=layout.root,
        death_signal=signal.SIGTERM,
        keep_open=[lock.file.fileno()],
    )
    asked: list[int] = []

    def stop(received: int, _frame: object) -> None:
        asked.append(received)
        send(supervisor.pid, signal.SIGTERM)

    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    code = _wait(supervisor)
    kill_descendants(os.getpid())
    _note_end(layout, 0 if asked else code)
    return code


def supervise(layout: Layout, bring_up: Callable[[Layout, Supervisor], object]) -> int:
    """The supervisor's whole life: 0 when it was asked to stop, 1 when the stack failed."""
    stop_on_signal()
    supervisor = Supervisor(layout)
    try:
        bring_up(layout, supervisor)
        supervisor.report(state="up", step=None)
        supervisor.watch()
    except StopRequested:
        return 0
    except StackFailed as failure:
        _announce(layout, supervisor, failure)
        return 1
    except Exception as failure:  # noqa: BLE001 - the edge of the process: its user reads a sentence
        traceback.print_exc()  # into the supervisor's log
        _announce(layout, supervisor, StackFailed(f"{type(failure).__name__}: {failure}"))
        return 1
    finally:
        ignore_stop_signals()
        layout.stack_file.unlink(missing_ok=True)
        supervisor.report(step="stopping", stepStartedAt=time.time())
        supervisor.stop()


def _announce(layout: Layout, supervisor: Supervisor, failure: StackFailed) -> None:
    """Tells the terminal and the status file what ended the stack."""
    part = failure.part if isinstance(failure, PartFailed) else None
    lines = failure.log_lines if isinstance(failure, PartFailed) else []
    supervisor.report(
        state="failed", failure={"part": part, "message": str(failure), "logLines": lines, "at": time.time()}
    )
    text = explain(layout, read_json(layout.status_file)["failure"])
    print(text, flush=True)
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def explain(layout: Layout, failure: dict[str, object]) -> str:
    """A failure as its user reads it."""
    lines = failure["logLines"]
    assert isinstance(lines, list)
    shown = "".join(f"\n    {line}" for line in lines)
    log = f"\n  last lines of {layout.log_of(str(failure['part']))}:{shown}" if failure["part"] else ""
    return f"The local stack has stopped: {failure['message']}{log}\n  `make up` starts it on the kept state."


def _locks(file: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(supervisor: subprocess.Popen[bytes]) -> int:
    """Reaps orphans that ended, until the supervisor does; its exit code, or 128 + the signal."""
    while True:
        process, status = os.waitpid(-1, 0)
        if process == supervisor.pid:
            code = os.waitstatus_to_exitcode(status)
            supervisor.returncode = code
            return code if code >= 0 else 128 - code


def _note_end(layout: Layout, code: int) -> None:
    """The last word of the status file; a failure that is already told there stays."""
    layout.stack_file.unlink(missing_ok=True)
    status = read_json(layout.status_file)
    if status.get("state") != "failed":
        reason: dict[str, object] = {
            "part": None,
            "message": "its supervisor was killed",
            "logLines": [],
            "at": time.time(),
        }
        end = {"state": "stopped"} if code == 0 else {"state": "failed", "failure": reason}
        status = {**status, **end}
    write_json(layout.status_file, {**status, "parts": {}})


def main() -> int:
    from local.stack import bring_up

    return supervise(find_layout(), bring_up)


if __name__ == "__main__":
    sys.exit(main())
