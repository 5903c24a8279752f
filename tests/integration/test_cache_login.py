"""How functions log in to the cache of a deployed stage: over TLS whose certificate is checked, with an IAM token."""

from __future__ import annotations

import gc
import shutil
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore import session as botocore_session
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.model import ServiceId
from botocore.signers import RequestSigner

from local.layout import Layout, find_layout
from local.ports import choose_ports
from local.redis import FUNCTIONS_USER, Cache, prepare_redis
from local.supervisor import Supervisor
from shared.adapters.clock import SystemClock
from shared.adapters.redis_cache import RedisConnection, RedisStatusCache, TokenLogin, cache_token, connect
from tests.certificates import certificate
from tests.memory import MemoryClock

START = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORDS = {"cacheOperatorPassword": "operator", "cacheFunctionsPassword": "token-of-functions"}
# In the order the guide's own example in Python has them.
QUERY = {"Action": "connect", "User": "vsl-dev-functions", "ResourceType": "ServerlessCache"}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    layout = Layout(root=find_layout().root, state=tmp_path_factory.mktemp("state"))
    yield layout
    shutil.rmtree(layout.outside, ignore_errors=True)


@pytest.fixture(scope="module")
def cache(layout: Layout) -> Iterator[Cache]:
    """A server that sends its clients to the port where TLS is spoken."""
    supervisor, ports = Supervisor(layout), choose_ports(layout)
    cache = prepare_redis(layout, ports.redis, ports.fault_control, PASSWORDS)
    supervisor.start(cache.part({}))
    supervisor.wait_ready()
    yield cache
    supervisor.stop()


class TlsServer(socketserver.ThreadingTCPServer):
    """Takes TLS off and hands the rest on to the cache, as ElastiCache does in front of its nodes."""

    allow_reuse_address = True

    def __init__(self, cache: Cache, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", cache.announced_port), socketserver.BaseRequestHandler)
        self._cache_port, self._context = cache.port, context

    def finish_request(self, request: Any, client_address: Any) -> None:
        with (
            suppress(OSError),
            self._context.wrap_socket(request, server_side=True) as client,
            socket.create_connection(("127.0.0.1", self._cache_port)) as cache,
        ):
            answers = threading.Thread(target=_pump, args=(cache, client))
            answers.start()
            _pump(client, cache)
            cache.shutdown(socket.SHUT_RDWR)
            answers.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)


@contextmanager
def tls_in_front_of(cache: Cache, context: ssl.SSLContext) -> Iterator[None]:
    with TlsServer(cache, context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield
        # Its connections end with the client's, which is no longer used.
        gc.collect()
        server.shutdown()
        thread.join()


def view(cache: Cache, tokens: list[tuple[str, str]]) -> RedisStatusCache:
    """As a deployed function has it; `tokens` gets what each token was signed for."""
    url = f"rediss://{FUNCTIONS_USER}@127.0.0.1:{cache.announced_port}?cache=vsl-dev"

    def sign(name: str, user: str) -> str:
        tokens.append((name, user))
        return PASSWORDS["cacheFunctionsPassword"]

    clock = SystemClock()
    return RedisStatusCache(RedisConnection(lambda: connect(url, clock, sign), clock))


def test_a_token_logs_the_functions_in_over_tls(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, trusted = certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    tokens: list[tuple[str, str]] = []

    with tls_in_front_of(cache, context):
        answered = view(cache, tokens).ping()

    assert answered
    assert tokens == [("vsl-dev", FUNCTIONS_USER)]


@pytest.mark.parametrize(("name", "trusting"), [("127.0.0.1", False), ("cache.example", True)])
def test_a_cache_whose_certificate_is_not_its_own_gets_no_token(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trusting: bool
) -> None:
    context, trusted = certificate(tmp_path, name)
    if trusting:
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    tokens: list[tuple[str, str]] = []

    with tls_in_front_of(cache, context):
        answered = view(cache, tokens).ping()

    assert not answered
    assert tokens == []


def test_a_token_is_used_for_ten_of_its_fifteen_minutes() -> None:
    clock, made = MemoryClock(START), iter(["first", "second"])
    login = TokenLogin("functions", lambda: next(made), clock)

    at_once = login.get_credentials()
    clock.sleep(599)
    later = login.get_credentials()
    clock.sleep(1)

    assert (at_once, later) == (("functions", "first"), ("functions", "first"))
    assert login.get_credentials() == ("functions", "second")


@pytest.mark.parametrize("session_token", [None, "a/token+=="])
def test_a_token_is_what_the_sdk_signs_for_a_serverless_cache(session_token: str | None) -> None:
    keys = ReadOnlyCredentials("AKID", "secret", session_token)
    signer = RequestSigner(
        ServiceId("elasticache"),
        "eu-west-1",
        "elasticache",
        "v4",
        Credentials("AKID", "secret", session_token),
        botocore_session.get_session().get_component("event_emitter"),
    )
    query = "&".join(f"{name}={value}" for name, value in QUERY.items())
    request = {"method": "GET", "url": f"https://vsl-dev/?{query}", "body": {}, "headers": {}, "context": {}}

    ours, again = (cache_token("vsl-dev", QUERY["User"], keys, "eu-west-1") for _ in range(2))
    theirs = signer.generate_presigned_url(request, operation_name="connect", expires_in=900, region_name="eu-west-1")

    assert ours.startswith("vsl-dev/?")
    # The clock may have gone on by a second between two signatures.
    assert _parts(f"https://{ours}") == _parts(theirs) or _parts(f"https://{again}") == _parts(theirs)


def _parts(url: str) -> tuple[str, dict[str, list[str]]]:
    return urlsplit(url).netloc, parse_qs(urlsplit(url).query)
