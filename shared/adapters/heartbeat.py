"""Keeps a lease alive while its holder works."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.domain.errors import DependencyDown

BEAT_SECONDS = 20.0


@contextmanager
def heartbeat(renew: Callable[[], bool], beat_seconds: float = BEAT_SECONDS) -> Iterator[threading.Event]:
    """Renews a lease from a thread of its own; the event is set once the lease is lost."""
    from shared.observability import logger

    lost, over = threading.Event(), threading.Event()

    def still_ours() -> bool:
        try:
            return renew()
        except DependencyDown as error:
            # Nobody else can take the lease either while the truth is down.
            logger.warning("heartbeat_missed", extra={"reason": error.code})
            return True

    def beat() -> None:
        while not over.wait(beat_seconds):
            if not still_ours():
                lost.set()
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        over.set()
        thread.join(timeout=5)
