"""`python -m local.runtime.environment PARENT_PID PORT[,PORT...] HANDLER`: one execution environment.

Two processes: AWS's own runtime client (awslambdaric) with the function in it, and above it a small
guard that outlives it only to end every process and remove every file the function left behind.
Both may connect only to the ports given. Imports stay few: they are part of every cold start.
"""

import os
import runpy
import shutil
import signal
import sys
from pathlib import Path
from typing import NoReturn

from local.runtime import world


class _Terminated(Exception):
    """The runner (or its death) told the guard to stop."""


def main(arguments: list[str]) -> NoReturn:
    parent_pid, ports, handler = int(arguments[0]), arguments[1].split(","), arguments[2]
    signal.signal(signal.SIGTERM, _raise_terminated)
    world.die_with_parent(parent_pid, signal.SIGTERM)
    world.adopt_orphans()
    world.weigh_session()
    # It has the function's environment; the function hides its own where it starts FFmpeg.
    world.hide_environment()
    if world.enforcement() == "landlock":
        world.restrict_connects([int(port) for port in ports])
    guard_pid = os.getpid()
    function_pid = os.fork()
    if function_pid:
        _guard(function_pid)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    world.die_with_parent(guard_pid)
    if world.enforcement() == "python-only":
        world.restrict_connects([int(port) for port in ports])
    _run(handler)


def _run(handler: str) -> NoReturn:
    sys.argv = ["bootstrap", handler]
    runpy.run_module("awslambdaric", run_name="__main__")
    sys.exit(0)


def _guard(function_pid: int) -> NoReturn:
    """Ends with the function's own exit code, 128 + n when signal n ended it."""
    try:
        code = _wait_for(function_pid)
    except _Terminated:
        code = 128 + signal.SIGKILL
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _end_descendants()
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os._exit(code)


def _wait_for(function_pid: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == function_pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _end_descendants() -> None:
    """Kills children until none is left: killing one hands its own children over to this process."""
    while True:
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _children() -> list[int]:
    mine = str(os.getpid())
    return [pid for pid in _process_ids() if _parent_of(pid) == mine]


def _process_ids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _parent_of(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command, in parentheses, may hold spaces: state and parent follow the last one.
    return stat.rpartition(")")[2].split()[1]


def _raise_terminated(_signal: int, _frame: object) -> None:
    raise _Terminated


if __name__ == "__main__":
    main(sys.argv[1:])
