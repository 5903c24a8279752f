"""How a child that reads hostile files is started: it sees its own files, and neither this process nor the network."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

from shared.adapters import landlock
from shared.observability import logger

T = TypeVar("T")
NICENESS = 10
# linux/prctl.h
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
# Programs and libraries of the system and of Lambda's layers: the same for everybody, and no secret among them.
PROGRAMS = tuple(
    map(
        Path,
        (
            "/bin",
            "/lib",
            "/lib64",
            "/usr/bin",
            "/usr/lib",
            "/usr/lib64",
            "/usr/local/lib",
            "/opt/bin",
            "/opt/lib",
            "/etc/ld.so.cache",
        ),
    )
)
_NOTHING = Path("/dev/null")


def start_kept_in(
    start: Callable[[], T], *, programs: Iterable[Path] = PROGRAMS, readable: Iterable[Path], writable: Iterable[Path]
) -> T:
    """What `start` returns, which starts a child that may open these files and folders alone. Raises what it does.

    A child can neither read this process through /proc/{pid}/environ, mem or maps, nor trace it: an empty environment
    of its own would be of little use (ptrace(2), "Ptrace access mode checking"). It gains no privileges (prctl(2)).
    Where the kernel has Landlock, it opens nothing else, connects to nothing by TCP and signals no other process;
    where it has not, as Firecracker's in Lambda may, that is logged once. Modes, owners and times of its user's files
    it may still change, for which Landlock has no rule. Nothing is done but on Linux.
    """
    if sys.platform != "linux":
        return start()
    _prctl(_PR_SET_DUMPABLE, 0)
    rights = [
        *((path, landlock.READ_AND_RUN) for path in programs),
        *((path, landlock.READ) for path in readable),
        *((path, landlock.WRITE) for path in (*writable, _NOTHING)),
    ]

    def confined() -> T:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        # Where processors are shared, what is answered at once goes before what takes minutes anyway.
        os.nice(NICENESS)
        if has_landlock():
            landlock.restrict_thread(rights)
        return start()

    # Both are attributes of a thread, for good, which what it starts inherits: this one starts the child and ends.
    with ThreadPoolExecutor(1, thread_name_prefix="starts-a-child") as thread:
        return thread.submit(confined).result()


@cache
def has_landlock() -> bool:
    """Whether children are kept to their files by the kernel; says so once where they are not."""
    found = landlock.version() > 0
    if not found:
        logger.warning("no_landlock", extra={"action": "start_child", "reason": "this kernel has no Landlock"})
    return found


def _prctl(option: int, value: int) -> None:
    """Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
