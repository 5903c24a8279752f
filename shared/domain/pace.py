"""How fast a provider may be called: a token bucket that learns, and a breaker. Pure: time is given.

Replicate allows 600 creates a minute, with low credit 6; Runway works on few tasks at once (their API documents).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

# What a provider allows at most: calls a second, and calls at once after a rest.
LIMITS: Mapping[str, tuple[float, float]] = {"replicate": (10.0, 20.0), "runway": (1.0, 5.0)}
# Providers without webhooks are asked that often what became of a call (Runway: not under 5 s).
POLL_SECONDS: Mapping[str, int] = {"runway": 6}
SLOWEST_PER_SECOND = 0.1
SPEED_UP = 1.05
FAILURES_TO_OPEN = 5
OPEN_FOR = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Pace:
    """One provider's state. While `blocked_until` lies ahead nobody calls; `failures` are those in a row."""

    provider: str
    rate_per_second: float
    tokens: float
    filled_at: datetime
    blocked_until: datetime | None = None
    failures: int = 0

    @classmethod
    def fresh(cls, provider: str, now: datetime) -> Pace:
        rate, burst = LIMITS[provider]
        return cls(provider, rate, burst, now)

    @property
    def is_open(self) -> bool:
        """Whether so many calls have failed that only one is let through at a time."""
        return self.failures >= FAILURES_TO_OPEN

    def wait_seconds(self, now: datetime) -> float:
        """Until a call may leave; 0 when it may now."""
        blocked = (self.blocked_until - now).total_seconds() if self.blocked_until else 0.0
        missing = (1 - self._filled(now)) / self.rate_per_second
        return max(blocked, missing, 0.0)

    def taken(self, now: datetime) -> Pace:
        """After a call has left. With an open breaker the next one waits for what becomes of it."""
        blocked = now + OPEN_FOR if self.is_open else None
        return replace(self, tokens=self._filled(now) - 1, filled_at=now, blocked_until=blocked)

    def answered(self, now: datetime) -> Pace:
        """After an answer: the breaker closes, and calls come a little faster up to the provider's limit."""
        fastest, _ = LIMITS[self.provider]
        faster = min(self.rate_per_second * SPEED_UP, fastest)
        kept = None if self.is_open else self.blocked_until
        return replace(self._at(now), rate_per_second=faster, failures=0, blocked_until=kept)

    def throttled(self, now: datetime, retry_after_seconds: float) -> Pace:
        """After a 429: nobody calls until the provider's own time is over, then half as fast."""
        slower = max(self.rate_per_second / 2, SLOWEST_PER_SECOND)
        until = max(now + timedelta(seconds=retry_after_seconds), self.blocked_until or now)
        return replace(self._at(now), rate_per_second=slower, tokens=0.0, blocked_until=until, failures=0)

    def told(self, now: datetime, remaining: int, reset_seconds: float) -> Pace:
        """After an answer that says how many calls are left until its limit is filled up again."""
        if remaining <= 0:
            until = max(now + timedelta(seconds=reset_seconds), self.blocked_until or now)
            return replace(self._at(now), tokens=0.0, blocked_until=until)
        fastest, _ = LIMITS[self.provider]
        bearable = min(max(remaining / max(reset_seconds, 1.0), SLOWEST_PER_SECOND), fastest)
        at = self._at(now)
        return replace(at, tokens=min(at.tokens, remaining), rate_per_second=bearable)

    def failed(self, now: datetime) -> Pace:
        """After no answer, or one that says the provider itself is in trouble."""
        failures = self.failures + 1
        blocked = now + OPEN_FOR if failures >= FAILURES_TO_OPEN else self.blocked_until
        return replace(self._at(now), failures=failures, blocked_until=blocked)

    def _at(self, now: datetime) -> Pace:
        return replace(self, tokens=self._filled(now), filled_at=now)

    def _filled(self, now: datetime) -> float:
        _, burst = LIMITS[self.provider]
        # Two functions' clocks may differ: one that is behind must not take tokens away.
        passed_seconds = max((now - self.filled_at).total_seconds(), 0.0)
        return min(self.tokens + passed_seconds * self.rate_per_second, burst)
