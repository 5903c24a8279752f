"""What a child may open, connect to and signal, by a rule of the kernel that the child cannot undo: Landlock.

It needs no privilege, and is inherited by all that a thread starts afterwards
(https://docs.kernel.org/userspace-api/landlock.html; files since Linux 5.13, TCP since 6.7, signals since 6.12).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# The numbers are the same on x86_64 and aarch64 (both use the shared table from 424 on).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL_DEV = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
# How many rights to files each version of the interface knows, from 1 on; later ones know as many as the last.
_FILE_RIGHTS = (13, 14, 15, 15, 16)
_TCP_VERSION, _TCP_BIND_AND_CONNECT = 4, 0b11
_SCOPE_VERSION, _ABSTRACT_SOCKETS_AND_SIGNALS = 6, 0b11
READ_AND_RUN = _EXECUTE | _READ_FILE | _READ_DIR
READ = _READ_FILE | _READ_DIR
# All but special files and running what was written.
WRITE = READ | _WRITE_FILE | _TRUNCATE | (1 << 4) | (1 << 5) | (1 << 7) | (1 << 8)


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("tcp", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


class _Rule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("rights", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def version() -> int:
    """The kernel's version of the interface; 0 where it has none, or none that may be used."""
    if sys.platform != "linux":
        return 0
    found: int = _libc().syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    return max(found, 0)


def restrict_thread(rights: Iterable[tuple[Path, int]]) -> None:
    """This thread, and all it starts, may from now on open these files and folders and no others; no TCP, no signals.

    `rights` are paths with READ, READ_AND_RUN or WRITE; those that do not exist are passed over. Privileges must be
    given up before (`hardening.py`). Raises OSError, also where `version()` is 0.
    """
    found = version()
    known = (1 << _FILE_RIGHTS[min(found, len(_FILE_RIGHTS)) - 1]) - 1
    tcp = _TCP_BIND_AND_CONNECT if found >= _TCP_VERSION else 0
    scopes = _ABSTRACT_SOCKETS_AND_SIGNALS if found >= _SCOPE_VERSION else 0
    wanted = _Ruleset(known, tcp, scopes)
    ruleset = _checked(_libc().syscall(_CREATE_RULESET, ctypes.byref(wanted), ctypes.sizeof(wanted), 0))
    try:
        for path, allowed in rights:
            _allow(ruleset, path, allowed & known)
        _checked(_libc().syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    with _opened(path) as place:
        if place is None:
            return
        rule = _Rule(rights if path.is_dir() else rights & _OF_FILES, place)
        _checked(_libc().syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0))


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """Named, but not opened for reading; None where nothing is."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        yield place
    finally:
        os.close(place)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
