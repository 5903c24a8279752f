"""Temporary storage that is full: what the system says of it becomes an error of ours."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from shared.domain.errors import NoRoom

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def within_room() -> Iterator[None]:
    """Raises NoRoom where the block meets a full disk; other errors of the system as they are."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NoRoom from error
