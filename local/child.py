"""Becomes a program that dies with its parent.

Usage: `python -IS child.py PARENT_PID SIGNAL [--user UID:GID] -- PROGRAM ARGUMENT...`.

The kernel sends SIGNAL when the parent ends, however it ends (prctl PR_SET_PDEATHSIG; kept across exec,
cleared by a change of user, which is why the user changes first). A program of its own rather than
subprocess's preexec_fn, which runs Python between fork and exec and may deadlock in a threaded parent.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    split = arguments.index("--")
    parent, signal, *user = arguments[:split]
    if user:
        _become(*(int(part) for part in user[1].split(":")))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != int(parent):
        # The parent ended before the kernel was asked to watch it.
        raise SystemExit("the parent has ended")
    os.execvp(arguments[split + 1], arguments[split + 1 :])


def _become(user_id: int, group_id: int) -> None:
    os.setgroups([])
    os.setgid(group_id)
    os.setuid(user_id)


if __name__ == "__main__":
    main(sys.argv[1:])
