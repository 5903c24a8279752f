"""One HTTP exchange with an address chosen beforehand, which a watchdog can cut at any moment."""

from __future__ import annotations

import socket
import ssl
import threading
from types import TracebackType

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import BaseHTTPResponse

from shared.domain.addresses import Target

CONNECT_SECONDS = 5.0


class Watchdog:
    """Cuts the held socket when the time is over. Timeouts of single reads never end a peer that drips."""

    def __init__(self, seconds: float) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.expired = False
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Watchdog:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()

    def hold(self, held: socket.socket) -> None:
        """Watches this socket from now on; one that comes too late is cut at once."""
        # A duplicate: TLS takes the descriptor over, and shutdown reaches the connection behind both.
        with self._lock:
            self._let_go()
            self._socket = held.dup()
            if self.expired:
                self._cut()

    def let_go(self) -> None:
        """Watches no socket any more."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            self._cut()

    def _cut(self) -> None:
        if self._socket is None:
            return
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The peer was quicker.
            return


class Exchange:
    """One request and its answer: Host, SNI and certificate are the name's, the peer is `address`.

    Raises OSError, http.client.HTTPException or urllib3's HTTPError; its texts may name the address.
    """

    def __init__(
        self,
        target: Target,
        address: str,
        read_seconds: float,
        watchdog: Watchdog,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._watchdog = watchdog
        self._connection = _connection(target, address, read_seconds, watchdog, tls)
        self._target = target
        self._response: BaseHTTPResponse | None = None

    def __enter__(self) -> Exchange:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.let_go()
        # The response holds the socket open on its own.
        if self._response is not None:
            self._response.close()
        self._connection.close()

    def get(self, headers: dict[str, str]) -> BaseHTTPResponse:
        """Sends GET with exactly these headers and Host; the body is not read yet and never decoded."""
        self._connection.request(
            "GET", self._target.request_target, headers=headers, preload_content=False, decode_content=False
        )
        self._response = self._connection.getresponse()
        return self._response


def _connection(
    target: Target, address: str, read_seconds: float, watchdog: Watchdog, tls: ssl.SSLContext | None
) -> HTTPConnection:
    def connect() -> socket.socket:
        made = socket.create_connection((address, target.port), timeout=min(CONNECT_SECONDS, read_seconds))
        made.settimeout(read_seconds)
        watchdog.hold(made)
        return made

    if target.scheme == "https":
        secure = HTTPSConnection(target.host, target.port, timeout=read_seconds, ssl_context=tls)
        secure._new_conn = connect  # type: ignore[method-assign]
        return secure
    plain = HTTPConnection(target.host, target.port, timeout=read_seconds)
    plain._new_conn = connect  # type: ignore[method-assign]
    return plain
