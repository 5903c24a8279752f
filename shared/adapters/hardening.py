"""What a process does before it starts a child that reads hostile files."""

from __future__ import annotations

import ctypes
import os
import sys

# linux/prctl.h
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38


def hide_from_children() -> None:
    """Hides this process from others of its user, and lets its children gain no privileges. Raises OSError.

    A process that is not dumpable is not read through /proc/{pid}/environ, mem or maps, nor traced, by a child of
    the same user: an empty environment of its own would be of little use (ptrace(2), "Ptrace access mode checking").
    No new privileges (prctl(2)) is an attribute of a thread, which what it starts inherits: call this where a child
    is started. Nothing is done but on Linux.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
