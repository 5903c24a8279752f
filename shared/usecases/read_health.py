"""Whether the stage works, asked of its stores at most every ten seconds: the route is public."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from shared.domain.errors import DependencyDown
from shared.ports import Clock, Records, StatusCache

KEPT_FOR = timedelta(seconds=10)
Health = Literal["ok", "degraded", "down"]


class HealthReader:
    """Remembers the last answer, so that a flood of calls reaches no store more often than one call does.

    It goes by the time of day: the monotonic clock may stand still while an execution environment is frozen.
    """

    def __init__(self, *, records: Records, cache: StatusCache, clock: Clock) -> None:
        self._records, self._cache, self._clock = records, cache, clock
        self._health: Health = "ok"
        self._stale_at: datetime | None = None

    def read(self) -> Health:
        """`down` without the database, `degraded` without the cache; up to ten seconds old."""
        now = self._clock.now()
        if self._stale_at is None or now >= self._stale_at:
            self._health = self._asked()
            self._stale_at = now + KEPT_FOR
        return self._health

    def _asked(self) -> Health:
        try:
            self._records.ping()
        except DependencyDown:
            return "down"
        return "ok" if self._cache.ping() else "degraded"
