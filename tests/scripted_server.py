"""A real server on a loopback socket that answers as a test says, byte by byte, and remembers what it was asked."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came over the wire; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Answer = Callable[[socket.socket, Asked], None]


@dataclass
class ScriptedServer:
    """`answer` is called with the connection for every request; the connection is closed after it."""

    answer: Answer
    tls: ssl.SSLContext | None = None
    given_port: int = 0
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.given_port))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve_one, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _serve_one(self, plain: socket.socket) -> None:
        plain.settimeout(5)
        try:
            with self.tls.wrap_socket(plain, server_side=True) if self.tls else plain as connection:
                asked = _read(connection)
                self.asked.append(asked)
                self.answer(connection, asked)
        except OSError:
            # The client went away, which many tests make it do.
            plain.close()


@contextmanager
def scripted(answer: Answer, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[ScriptedServer]:
    """Serves inside the block, at a free port unless one is given."""
    server = ScriptedServer(answer, tls, port)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(timeout=5)


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole answer; underscores in header names are hyphens, `Content_Length=""` leaves it out."""
    given = {"Content-Length": str(len(body)), **{name.replace("_", "-"): text for name, text in headers.items()}}
    lines = [f"{name}: {text}" for name, text in given.items() if text]
    return "\r\n".join([f"HTTP/1.1 {status} Said", *lines, "", ""]).encode() + body


def always(answer: bytes) -> Answer:
    """The same answer to every request."""
    return lambda connection, _: connection.sendall(answer)


def in_turn(*answers: bytes) -> Answer:
    """One answer after the other; an empty one cuts the connection. The last is repeated."""
    left = list(answers)
    return lambda connection, _: connection.sendall(left.pop(0) if len(left) > 1 else left[0])


def by_path(answers: Mapping[str, bytes]) -> Answer:
    """An answer to each path, without its query; 404 to others."""
    return lambda connection, asked: connection.sendall(answers.get(asked.path.partition("?")[0]) or reply(404))


def json_reply(status: int, body: Any, **headers: str) -> bytes:
    return reply(status, json.dumps(body).encode(), Content_Type="application/json", **headers)


def _read(connection: socket.socket) -> Asked:
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += _some(connection)
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += _some(connection)
    method, path, _ = first.split(" ")
    return Asked(method, path, headers, body)


def _some(connection: socket.socket) -> bytes:
    if chunk := connection.recv(65536):
        return chunk
    raise ConnectionResetError("the client left before its request was whole")
