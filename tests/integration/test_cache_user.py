"""The functions' user of the cache has the rights that the adapter needs, and no others."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from infra.cache_user import COMMANDS, access_string
from local.layout import Layout, find_layout
from local.ports import choose_ports
from local.redis import FUNCTIONS_USER, Cache, prepare_redis, refusals
from local.supervisor import Supervisor
from shared.adapters.clock import SystemClock
from shared.adapters.redis_cache import RedisConnection, RedisStatusCache, RedisWaiters, connect
from shared.domain.errors import DependencyDown

PASSWORDS = {"cacheOperatorPassword": "operator", "cacheFunctionsPassword": "functions"}
LONG_AGO_SECONDS = 3600


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cache]:
    layout = Layout(root=find_layout().root, state=tmp_path_factory.mktemp("state"))
    supervisor, port = Supervisor(layout), choose_ports(layout).redis
    cache = prepare_redis(layout, port, port, PASSWORDS)
    supervisor.start(cache.part({}))
    supervisor.wait_ready()
    yield cache
    supervisor.stop()
    shutil.rmtree(layout.outside, ignore_errors=True)


@pytest.fixture
def operator(cache: Cache) -> Iterator[Redis]:
    with Redis.from_url(cache.url, decode_responses=True) as client:
        client.acl_log_reset()
        yield client
        _allow(client, COMMANDS)


def test_the_adapter_is_refused_nothing(cache: Cache, operator: Redis) -> None:
    _use_all_of_the_adapter(cache)

    assert refusals(cache.url, LONG_AGO_SECONDS) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_right_is_needed(cache: Cache, operator: Redis, command: str) -> None:
    _allow(operator, [other for other in COMMANDS if other != command])

    _use_all_of_the_adapter(cache)

    assert any(line.endswith(f" {command.partition('|')[0]}") for line in refusals(cache.url, LONG_AGO_SECONDS))


@pytest.mark.parametrize("command", ["ping", "zadd"])
def test_a_right_that_is_missing_is_an_error_in_the_log_and_no_outage(
    cache: Cache, operator: Redis, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    _allow(operator, [other for other in COMMANDS if other != command])

    _use_all_of_the_adapter(cache)

    assert {(record.levelname, record.message) for record in caplog.records} == {("ERROR", "cache_refused")}


def test_a_cache_that_is_not_there_is_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    RedisStatusCache(RedisConnection(lambda: connect("redis://127.0.0.1:1/0"), SystemClock())).ping()

    assert [(record.levelname, record.message) for record in caplog.records] == [("WARNING", "cache_unavailable")]


@pytest.mark.parametrize("command", [("DEL", "status:{1}"), ("FLUSHALL",), ("ACL", "LIST"), ("GET", "other:{1}")])
def test_the_functions_user_may_do_nothing_else(cache: Cache, command: tuple[str, ...]) -> None:
    with Redis.from_url(cache.functions_url) as client, pytest.raises(NoPermissionError):
        client.execute_command(*command)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}", "redis://default:functions@127.0.0.1:{port}"])
def test_nobody_comes_in_without_the_right_password(cache: Cache, url: str) -> None:
    with Redis.from_url(url.format(port=cache.port)) as client, pytest.raises(AuthenticationError):
        client.ping()


def _use_all_of_the_adapter(cache: Cache) -> None:
    """Refusals are misses here, as in a function."""
    snapshot = {"jobId": str(uuid4()), "accountId": "a", "version": 1, "completedAt": None}
    connections = [RedisConnection(lambda: connect(cache.functions_url), SystemClock()) for _ in range(4)]
    views = [RedisStatusCache(connection) for connection in connections]
    views[0].put(snapshot)
    views[1].get(uuid4())
    views[2].ping()
    with suppress(DependencyDown):
        views[2].replace(snapshot)
    with RedisWaiters(connections[3], most_of_account=1, most_of_stage=1).place(uuid4(), 2):
        pass


def _allow(operator: Any, commands: list[str] | tuple[str, ...]) -> None:
    digest = hashlib.sha256(PASSWORDS["cacheFunctionsPassword"].encode()).hexdigest()
    operator.execute_command("ACL", "SETUSER", FUNCTIONS_USER, "reset", f"#{digest}", *access_string(commands).split())
