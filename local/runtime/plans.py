"""API keys of the stage's usage plan, and its rates and quota."""

import time
from datetime import UTC, datetime

from local.runtime.api import Rate, UsagePlan
from local.runtime.functions import ApiKey, FunctionSource, SourceUnavailable
from local.runtime.refusals import Refusal

_FRESH_SECONDS = 30.0
_RETRY_SECONDS = 1.0


class Bucket:
    """Tokens that come back at a rate, at most `burst` at once."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._at = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._rate.burst, self._tokens + (now - self._at) * self._rate.per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class KeyRing:
    """The keys of the plan, read again every 30 s, and after 1 s for a value it does not know."""

    def __init__(self, plan: UsagePlan, source: FunctionSource) -> None:
        self._plan = plan
        self._source = source
        self._keys: dict[str, ApiKey] = {}
        self._read_at = float("-inf")
        self._buckets: dict[str, Bucket] = {}
        self._used: dict[tuple[str, str], int] = {}

    async def admit(self, value: str | None) -> ApiKey:
        """Counts a call of a key. Raises Refusal: INVALID_API_KEY, THROTTLED, QUOTA_EXCEEDED."""
        key = await self._key(value) if value else None
        if key is None or not key.enabled:
            raise Refusal("INVALID_API_KEY")
        self._throttle(key)
        self._count(key)
        return key

    async def _key(self, value: str) -> ApiKey | None:
        age_seconds = time.monotonic() - self._read_at
        if age_seconds > (_FRESH_SECONDS if value in self._keys else _RETRY_SECONDS):
            await self._read()
        return self._keys.get(value)

    async def _read(self) -> None:
        self._read_at = time.monotonic()
        try:
            keys = await self._source.api_keys(self._plan.name)
        except SourceUnavailable:
            return  # the keys known so far stay good
        self._keys = {key.value: key for key in keys}

    def _throttle(self, key: ApiKey) -> None:
        if self._plan.rate is None:
            return
        if not self._buckets.setdefault(key.key_id, Bucket(self._plan.rate)).take():
            raise Refusal("THROTTLED")

    def _count(self, key: ApiKey) -> None:
        if self._plan.quota is None:
            return
        place = key.key_id, _period(self._plan.quota_period)
        if self._used.get(place, 0) >= self._plan.quota:
            raise Refusal("QUOTA_EXCEEDED")
        self._used[place] = self._used.get(place, 0) + 1


def _period(kind: str) -> str:
    now = datetime.now(UTC)
    return now.strftime({"DAY": "%Y-%m-%d", "WEEK": "%G-%V", "MONTH": "%Y-%m"}[kind])
