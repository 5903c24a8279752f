"""What a process may connect to, by world, and how it dies: Linux calls without a wrapper in Python.

Landlock refuses TCP connects by port for a process and all its descendants and needs no privilege
(https://docs.kernel.org/userspace-api/landlock.html, network rules since ABI 4, Linux 6.7).
"""

import ctypes
import os
import signal
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Literal

Enforcement = Literal["landlock", "python-only"]

# The numbers are the same on x86_64 and aarch64 (both use the shared table from 424 on).
_SYS_CREATE_RULESET, _SYS_ADD_RULE, _SYS_RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_ACCESS_NET_CONNECT_TCP = 1 << 1
_RULE_NET_PORT = 2
_NETWORK_ABI = 4
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38


class _RulesetAttr(ctypes.Structure):
    _fields_ = [("handled_access_fs", ctypes.c_uint64), ("handled_access_net", ctypes.c_uint64)]


class _NetPortAttr(ctypes.Structure):
    _fields_ = [("allowed_access", ctypes.c_uint64), ("port", ctypes.c_uint64)]


def enforcement() -> Enforcement:
    """How connects are refused on this machine; `python-only` leaves child processes uncovered."""
    return "landlock" if _landlock_abi() >= _NETWORK_ABI else "python-only"


def restrict_connects(ports: Collection[int]) -> Enforcement:
    """Refuses this process TCP connects to every port but these, for good. Raises OSError.

    With Landlock the descendants are covered as well; a refused connect fails with EACCES.
    """
    if enforcement() == "python-only":
        _audit_connects(frozenset(ports))
        return "python-only"
    libc = _libc()
    attr = _RulesetAttr(0, _ACCESS_NET_CONNECT_TCP)
    ruleset = _checked(libc.syscall(_SYS_CREATE_RULESET, ctypes.byref(attr), ctypes.sizeof(attr), 0))
    for port in ports:
        rule = _NetPortAttr(_ACCESS_NET_CONNECT_TCP, port)
        _checked(libc.syscall(_SYS_ADD_RULE, ruleset, _RULE_NET_PORT, ctypes.byref(rule), 0))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _checked(libc.syscall(_SYS_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)
    return "landlock"


def die_with_parent(parent_pid: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Asks the kernel to send `by` when the parent ends; exits at once if it has ended already."""
    _prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent_pid:
        sys.exit(0)


def hide_environment() -> None:
    """Keeps descendants of the same user from reading this process through /proc."""
    _prctl(_PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Descendants whose own parent ends become children of this process, so that it can end them."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def weigh_session() -> None:
    """Gives the session that this process leads its own niceness.

    Where sessions are scheduled as wholes, that of one process counts only among those of its session (sched(7), "The
    autogroup feature").
    """
    with suppress(OSError):  # a kernel without it
        Path("/proc/self/autogroup").write_text(str(os.nice(0)))


def _audit_connects(ports: frozenset[int]) -> None:
    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event != "socket.connect":
            return
        address = arguments[1]
        if isinstance(address, tuple) and address[1] not in ports:
            raise PermissionError(f"this world may not connect to port {address[1]}")

    sys.addaudithook(refuse)


def _landlock_abi() -> int:
    if sys.platform != "linux":
        return 0
    abi: int = _libc().syscall(_SYS_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    return abi


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    _checked(_libc().prctl(option, value, 0, 0, 0))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
