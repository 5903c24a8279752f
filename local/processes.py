"""Processes as /proc shows them: who descends from whom, and how to end them all."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PR_SET_CHILD_SUBREAPER = 36
_CHILD = Path(__file__).with_name("child.py")


@dataclass(frozen=True)
class Identity:
    """A user and group to run a program as."""

    user_id: int
    group_id: int


def spawn(
    command: Sequence[str],
    *,
    output: IO[bytes],
    environment: Mapping[str, str],
    directory: Path,
    identity: Identity | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    errors: IO[bytes] | int | None = None,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts a program that gets `death_signal` when this thread ends. Call it from the main thread.

    The kernel watches the thread that forked, not the process, so a worker thread would take the program
    with it.
    """
    user = ["--user", f"{identity.user_id}:{identity.group_id}"] if identity else []
    launcher = [sys.executable, "-IS", str(_CHILD), str(os.getpid()), str(int(death_signal)), *user, "--"]
    return subprocess.Popen(
        [*launcher, *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if errors is None else errors,
        env=dict(environment),
        cwd=directory,
        pass_fds=tuple(keep_open),
    )


def become_subreaper() -> None:
    """From now on orphaned descendants become children of this process instead of init's."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants(ancestor: int) -> list[int]:
    """Ids of all living processes below the ancestor, zombies left out."""
    children: dict[int, list[int]] = {}
    for process, parent in _living():
        children.setdefault(parent, []).append(process)
    found: list[int] = []
    waiting = [ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def kill_descendants(ancestor: int) -> None:
    """Ends everything below the ancestor. Repeats, because a dying process may just have forked."""
    while found := descendants(ancestor):
        for process in found:
            send(process, signal.SIGKILL)
        time.sleep(0.01)
        reap()


def reap() -> None:
    """Collects the ends of children that nobody waits for."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def send(process: int, number: signal.Signals) -> None:
    """Sends a signal; a process that has ended already is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def marked(variable: str, value: str) -> list[int]:
    """Ids of living processes started with this environment variable at this value, this one left out."""
    mark = f"{variable}={value}".encode()
    return [
        process for process, _ in _living() if process != os.getpid() and mark in _read(process, "environ").split(b"\0")
    ]


def using_directory(directory: Path) -> list[int]:
    """Ids of living processes that work in the directory."""
    return [process for process, _ in _living() if _working_directory(process) == str(directory)]


def wait_until(condition: Callable[[], bool], timeout_seconds: float, pause_seconds: float = 0.02) -> bool:
    """Asks until the answer is yes; False when the time is over."""
    end = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause_seconds)
    return True


def _living() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        # The command's name is in parentheses and may hold spaces; state and parent follow it.
        state_and_parent = _read(int(entry.name), "stat").rpartition(b")")[2].split()[:2]
        if len(state_and_parent) == 2 and state_and_parent[0] not in (b"Z", b"X"):
            yield int(entry.name), int(state_and_parent[1])


def _read(process: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{process}/{name}").read_bytes()
    except OSError:
        return b""


def _working_directory(process: int) -> str:
    try:
        return str(Path(f"/proc/{process}/cwd").readlink())
    except OSError:
        return ""
