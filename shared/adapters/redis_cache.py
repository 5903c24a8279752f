"""Redis in cluster mode: the status cache and the places of waiting callers. It is never in the way: an outage
is a miss, and a breaker keeps a dead cache from costing each call its timeout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from shared.domain.errors import DependencyDown
from shared.observability import CACHE_FAILURES, count, logger
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


# Expired places are cleared by the next caller, so a killed waiter gives its place back too. The key outlives the
# longest wait: a short one must not end the others' places.
_SIT = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[3])
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return 1
"""


class RedisConnection:
    """One lazily made client, behind a breaker. `connect` is called at first use and after the breaker closes."""

    def __init__(self, connect: Callable[[], RedisCluster], clock: Clock) -> None:
        self._connect, self._clock = connect, clock
        self._client: RedisCluster | None = None
        self._open_until: datetime | None = None

    def attempt(self, action: Callable[[RedisCluster], Any]) -> Any:
        """The action's answer, or None while Redis does not answer."""
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
            count(CACHE_FAILURES)
            logger.warning("cache_unavailable", extra={"reason": type(error).__name__})
            return None


class RedisStatusCache:
    """Implements `StatusCache`."""

    def __init__(self, redis: RedisConnection) -> None:
        self._redis = redis

    def put(self, snapshot: Mapping[str, Any]) -> None:
        self._redis.attempt(
            lambda client: client.eval(
                _PUT, 1, _key(snapshot["jobId"]), json.dumps(snapshot), snapshot["version"], _ttl_seconds(snapshot)
            )
        )

    def get(self, job_id: UUID) -> Mapping[str, Any] | None:
        text = self._redis.attempt(lambda client: client.get(_key(str(job_id))))
        return _snapshot(text) if text else None

    def replace(self, snapshot: Mapping[str, Any]) -> bool:
        key, text = _key(snapshot["jobId"]), json.dumps(snapshot)
        # In a tuple, as nothing held is no outage.
        answer = self._redis.attempt(lambda client: (client.set(key, text, ex=_ttl_seconds(snapshot), get=True),))
        if answer is None:
            raise DependencyDown("The cache does not answer; try again in a moment.", retry_after_seconds=5)
        return answer[0] not in (None, text)

    def ping(self) -> bool:
        """Whether the cache answers."""
        return bool(self._redis.attempt(lambda client: client.ping()))


class RedisWaiters:
    """Implements `Waiters`."""

    def __init__(self, redis: RedisConnection, *, most_of_account: int, most_of_stage: int) -> None:
        self._redis = redis
        self._most_of_account, self._most_of_stage = most_of_account, most_of_stage

    @contextmanager
    def place(self, account_id: UUID, seconds: int) -> Iterator[bool]:
        rooms = ((f"waiters:{{{account_id}}}", self._most_of_account), ("waiters:{stage}", self._most_of_stage))
        waiter = uuid4().hex
        with ExitStack() as seats:
            yield all(self._sit(seats, room, most, seconds, waiter) for room, most in rooms)

    def _sit(self, seats: ExitStack, room: str, most: int, seconds: int, waiter: str) -> bool:
        answer = self._redis.attempt(lambda client: client.eval(_SIT, 1, room, most, seconds + 1, waiter))
        if answer == 0:
            return False
        seats.callback(self._redis.attempt, partial(_stand_up, room=room, waiter=waiter))
        return True


def _stand_up(client: RedisCluster, room: str, waiter: str) -> None:
    client.zrem(room, waiter)


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


def _snapshot(text: str) -> Mapping[str, Any] | None:
    """What is no snapshot is a miss, and written over by the next one."""
    try:
        held = json.loads(text)
    except ValueError:
        return None
    return held if isinstance(held, dict) and "accountId" in held else None


def _ttl_seconds(snapshot: Mapping[str, Any]) -> int:
    return FINISHED_TTL_SECONDS if snapshot["completedAt"] else RUNNING_TTL_SECONDS


def _key(job_id: str) -> str:
    return f"status:{{{job_id}}}"
