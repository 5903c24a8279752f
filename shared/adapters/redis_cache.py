"""Redis in cluster mode as the status cache. It is never in the way: an outage is a miss, and a breaker
keeps a dead cache from costing each call its timeout."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from shared.observability import logger
from shared.ports import Clock

if TYPE_CHECKING:
    from redis.cluster import RedisCluster

TIMEOUT_SECONDS = 0.1
RUNNING_TTL_SECONDS = 2
FINISHED_TTL_SECONDS = 3600
OPEN_FOR = timedelta(seconds=5)
# Compares versions inside Redis, so that two writers cannot leave the older snapshot behind.
_PUT = """
local held = redis.call('GET', KEYS[1])
if held then
  local ok, value = pcall(cjson.decode, held)
  if ok and type(value) == 'table' and tonumber(value.version) and tonumber(value.version) > tonumber(ARGV[2]) then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
return 1
"""


class RedisStatusCache:
    """Implements `StatusCache`. `connect` is called at first use and again after the breaker closes."""

    def __init__(self, connect: Callable[[], RedisCluster], clock: Clock) -> None:
        self._connect, self._clock = connect, clock
        self._client: RedisCluster | None = None
        self._open_until: datetime | None = None

    def put(self, snapshot: Mapping[str, Any]) -> None:
        ttl_seconds = FINISHED_TTL_SECONDS if snapshot["completedAt"] else RUNNING_TTL_SECONDS
        self._try(
            lambda client: client.eval(
                _PUT, 1, _key(snapshot["jobId"]), json.dumps(snapshot), snapshot["version"], ttl_seconds
            )
        )

    def get(self, job_id: UUID) -> Mapping[str, Any] | None:
        text = self._try(lambda client: client.get(_key(str(job_id))))
        return json.loads(text) if text else None

    def ping(self) -> bool:
        """Whether the cache answers."""
        return bool(self._try(lambda client: client.ping()))

    def _try(self, action: Callable[[RedisCluster], Any]) -> Any:
        from redis.exceptions import RedisClusterException, RedisError

        if self._open_until is not None and self._clock.now() < self._open_until:
            return None
        try:
            self._client = self._client or self._connect()
            answer = action(self._client)
            self._open_until = None
            return answer
        except (RedisError, RedisClusterException, OSError) as error:
            self._client = None
            self._open_until = self._clock.now() + OPEN_FOR
            logger.warning("cache_unavailable", extra={"reason": type(error).__name__})
            return None


def connect(url: str, password: Callable[[], str] | None = None) -> RedisCluster:
    """A cluster client with short timeouts and no retries."""
    from redis.backoff import NoBackoff
    from redis.cluster import RedisCluster
    from redis.retry import Retry

    extra = {"password": password()} if password else {}
    return RedisCluster.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        **extra,
    )


def _key(job_id: str) -> str:
    return f"status:{{{job_id}}}"
