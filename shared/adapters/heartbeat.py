"""Keeps a lease alive while its holder works."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.domain.errors import DependencyDown

BEAT_SECONDS = 20.0


@contextmanager
def heartbeat(renew: Callable[[], bool], beat_seconds: float = BEAT_SECONDS) -> Iterator[threading.Event]:
    """Renew a lease from a thread of its own; the event is set once the lease is lost or can be renewed no more."""
    from shared.observability import logger

    lost, over = threading.Event(), threading.Event()

    def still_ours() -> bool:
        try:
            return renew()
        except DependencyDown as error:
            # No other worker can take the lease either while the database is down.
            logger.warning("heartbeat_missed", extra={"reason": error.code})
            return True
        except Exception:  # noqa: BLE001 - logged; the work is told to stop
            # Without this thread the lease runs out unseen, and a second worker starts beside this one.
            logger.exception("heartbeat_ended")
            return False

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
