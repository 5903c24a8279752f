"""Rules of a secret's rotation: the value before stays accepted for a day, and the new one signs last.

Functions keep a secret for a minute. A new value signs only once no function can still know the old one alone,
so that whatever is signed is accepted everywhere, whichever function reads the rotation first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

# Longer than any job may take (deadlines are of minutes), and than providers go on sending a webhook.
OVERLAP = timedelta(hours=24)
CACHED_SECONDS = 60
# Twice the time for which a value is kept, for clocks that differ and reads that are slow.
SIGNS_AFTER = timedelta(seconds=2 * CACHED_SECONDS)


@dataclass(frozen=True, slots=True, repr=False)
class RotatedSecret:
    """A secret's value, and the one before, where there was one, with the moment at which it was replaced.

    It has no repr of its own: values must not get into a log.
    """

    current: str
    previous: str | None = None
    changed_at: datetime | None = None

    def accepted(self, now: datetime) -> tuple[str, ...]:
        """The values by which something that comes in may be signed."""
        previous = self._previous_within(OVERLAP, now)
        return (self.current,) if previous is None else (self.current, previous)

    def signing(self, now: datetime) -> str:
        """The value by which something that goes out is signed."""
        previous = self._previous_within(SIGNS_AFTER, now)
        return self.current if previous is None else previous

    def _previous_within(self, time: timedelta, now: datetime) -> str | None:
        fresh = self.changed_at is not None and now < self.changed_at + time
        return self.previous if fresh else None
