"""Redis in cluster mode: the status cache and the places of waiting callers. It is never in the way: an outage
is a miss, and a breaker keeps a dead cache from costing each call its timeout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

from shared.domain.errors import DependencyDown
from shared.observability import CACHE_FAILURES, count, logger
from shared.ports import Clock

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials
    from redis.cluster import RedisCluster

TIMEOUT_SECONDS = 0.1
# The TLS handshake and the check of a token take longer than a command, and redis-py has one timeout for all three.
TLS_TIMEOUT_SECONDS = 0.5
# ElastiCache accepts a token for 15 minutes, and ends a connection after 12 hours
# (https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html).
TOKEN_SECONDS, TOKEN_REUSED_FOR = 900, timedelta(minutes=10)
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
            _log_failure(error)
            return None


def _log_failure(error: Exception) -> None:
    """An outage passes; a user or a right that is missing does not. Inside a script it is a plain ResponseError."""
    from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

    cause = error.__cause__ or error
    if isinstance(cause, (AuthenticationError, NoPermissionError)) or type(cause) is ResponseError:
        logger.error("cache_refused", extra={"reason": str(cause)})
    else:
        logger.warning("cache_unavailable", extra={"reason": type(error).__name__})


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


class TokenLogin:
    """redis-py's credential provider of a user whose password is an IAM token, asked by each new connection.

    It goes by the time of day: the monotonic clock may stand still while an execution environment is frozen.
    """

    def __init__(self, user: str, token: Callable[[], str], clock: Clock) -> None:
        self._user, self._new_token, self._clock = user, token, clock
        self._token, self._renew_at = "", clock.now()

    def get_credentials(self) -> tuple[str, str]:
        if self._clock.now() >= self._renew_at:
            self._token, self._renew_at = self._new_token(), self._clock.now() + TOKEN_REUSED_FOR
        return self._user, self._token


def cache_token(cache: str, user: str, credentials: ReadOnlyCredentials, region: str) -> str:
    """The password with which an IAM identity is `user` of a serverless cache: a signed GET without its scheme.

    https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html#auth-iam-Connecting
    """
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    asked = {"Action": "connect", "User": user, "ResourceType": "ServerlessCache"}
    request = AWSRequest("GET", f"https://{cache}/", params=asked)
    SigV4QueryAuth(credentials, "elasticache", region, expires=TOKEN_SECONDS).add_auth(request)
    return str(request.url).removeprefix("https://")


def connect(
    url: str, clock: Clock | None = None, sign: Callable[[str, str], str] | None = None, **options: Any
) -> RedisCluster:
    """A cluster client with short timeouts and no retries; a server's certificate is checked where TLS is spoken.

    An address names a user with a password, or the serverless cache that takes an IAM token instead:
    `rediss://user@host:port?cache=name`. `sign(cache, user)` makes the token.
    """
    from redis.backoff import NoBackoff
    from redis.cluster import RedisCluster
    from redis.maint_notifications import MaintNotificationsConfig
    from redis.retry import Retry

    address = urlsplit(url)
    cache = parse_qs(address.query).get("cache")
    if cache and clock and sign:
        url = f"{address.scheme}://{address.hostname}:{address.port}"
        user = address.username or ""
        options["credential_provider"] = TokenLogin(user, partial(sign, cache[0], user), clock)
    timeout = TIMEOUT_SECONDS
    if address.scheme == "rediss":
        timeout = TLS_TIMEOUT_SECONDS
        options |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    return RedisCluster.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        # Two calls a connection that tell of the client, and one for notices that only Redis Enterprise sends.
        driver_info=None,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        **options,
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
