"""A proxy that lets faults happen between the functions and what they use.

`python -m local.faults CONTROL_PORT ROUTES`, where ROUTES is JSON: {name: [port to listen on, port of the target]}.
Each route passes bytes as they are until `PUT /{name}` on the control port sets the fields of `Fault`;
`DELETE /{name}` makes it whole again. Connections that are open feel a change at their next bytes.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from aiohttp import web

HOST = "127.0.0.1"
CHUNK_BYTES = 16 * 1024
STALL_POLL_SECONDS = 0.05
LINGER_SECONDS = 2
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# How many of the bytes pass: (fault, bytes, how many have passed so far).
Befall: TypeAlias = "Callable[[Fault, bytes, int], int]"


@dataclass(frozen=True)
class Fault:
    """What a route does to its bytes; by default nothing.

    Probabilities are of a request: of the first bytes after an answer, also on a connection that was open before.
    With `only`, a request that does not hold this text in its first bytes passes. `cut_after_bytes` counts from the
    connection's beginning, `cut_at_percent` is of the Content-Length of an answer.
    """

    latency_ms: float = 0
    reset_probability: float = 0
    cut_after_bytes: int | None = None
    cut_at_percent: float | None = None
    bytes_per_second: float | None = None
    stall: bool = False
    http_status: int | None = None
    http_probability: float = 1
    http_body: str = ""
    only: str = ""

    @property
    def slows(self) -> bool:
        return self.stall or bool(self.latency_ms) or self.bytes_per_second is not None

    def delay_seconds(self, chunk: bytes) -> float:
        return self.latency_ms / 1000 + (len(chunk) / self.bytes_per_second if self.bytes_per_second else 0)


class Cut(Exception):
    """The connection is to be reset."""


class Refused(Exception):
    """The request is to be answered with the fault's HTTP error in the target's place."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


class Route:
    """One listening port and its target; `felt` counts what the present fault did to requests and answers."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self.target = port, target
        self.set(Fault())

    def set(self, fault: Fault) -> None:
        self.fault, self.felt = fault, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Connection(self, reader, writer).run()
            writer.close()
        except Refused as refused:
            await _answer(refused.fault, reader, writer)
        except (Cut, OSError):
            _reset(writer)


class Connection:
    """One caller's bytes and the target's, each pumped to the other side."""

    def __init__(self, route: Route, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._route, self._reader, self._writer = route, reader, writer
        # Whether the next bytes of the caller begin a request, and those of the target an answer.
        self._asks, self._chosen = True, True
        self._until: int | None = None

    async def run(self) -> None:
        await self._stalled()
        upstream, target = await asyncio.open_connection(HOST, self._route.target)
        pumps = [
            asyncio.create_task(self._pump(self._reader, target, self._of_caller)),
            asyncio.create_task(self._pump(upstream, self._writer, self._of_target)),
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            target.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, befall: Befall) -> None:
        passed = 0
        while chunk := await reader.read(CHUNK_BYTES):
            await self._stalled()
            fault = self._route.fault
            self._route.felt += fault.slows
            await asyncio.sleep(fault.delay_seconds(chunk))
            left = befall(fault, chunk, passed)
            writer.write(chunk[:left])
            await writer.drain()
            passed += left
            if left < len(chunk):
                self._route.felt += 1
                raise Cut
        with suppress(OSError):
            writer.write_eof()

    def _of_caller(self, fault: Fault, chunk: bytes, passed: int) -> int:
        """How much of the caller's bytes passes. Raises Cut and Refused."""
        if self._asks:
            self._asks, self._chosen, self._until = False, fault.only.encode() in chunk, None
            if self._chosen:
                self._refuse(fault)
        return _left(fault.cut_after_bytes, chunk, passed)

    def _refuse(self, fault: Fault) -> None:
        if random.random() < fault.reset_probability:
            self._route.felt += 1
            raise Cut
        if fault.http_status is not None and random.random() < fault.http_probability:
            self._route.felt += 1
            raise Refused(fault)

    def _of_target(self, fault: Fault, chunk: bytes, passed: int) -> int:
        """How much of the target's bytes passes."""
        self._asks = True
        if fault.cut_at_percent is None or not self._chosen:
            return _left(fault.cut_after_bytes, chunk, passed)
        if self._until is None:
            self._until = passed + _bytes_until(fault.cut_at_percent, chunk)
        return _left(self._until, chunk, passed)

    async def _stalled(self) -> None:
        while self._route.fault.stall:
            self._route.felt += 1
            await asyncio.sleep(STALL_POLL_SECONDS)


def _left(limit: int | None, chunk: bytes, passed: int) -> int:
    return len(chunk) if limit is None else min(len(chunk), max(limit - passed, 0))


def _bytes_until(percent: float, answer: bytes) -> int:
    """Bytes of an answer, whose head is here, that are its head and so much of its body."""
    head, _, _ = answer.partition(b"\r\n\r\n")
    length = _CONTENT_LENGTH.search(head)
    return len(head) + 4 + int(int(length[1]) * percent / 100) if length else sys.maxsize


def control(routes: Mapping[str, Route]) -> web.Application:
    """The API by which faults are set."""

    async def put(request: web.Request) -> web.Response:
        routes[request.match_info["name"]].set(Fault(**await request.json()))
        return web.Response(status=204)

    async def delete(request: web.Request) -> web.Response:
        routes[request.match_info["name"]].set(Fault())
        return web.Response(status=204)

    async def get(_: web.Request) -> web.Response:
        return web.json_response({name: {**asdict(route.fault), "felt": route.felt} for name, route in routes.items()})

    application = web.Application()
    application.add_routes([web.put("/{name}", put), web.delete("/{name}", delete), web.get("/", get)])
    return application


async def _answer(fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP error; what the caller still sends is read, as closing on it would reset the connection."""
    extra, body = "Retry-After: 1\r\n" if fault.http_status == 429 else "", fault.http_body.encode()
    head = f"HTTP/1.1 {fault.http_status} Fault\r\n{extra}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with suppress(OSError, TimeoutError):
        writer.write(head.encode() + body)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), LINGER_SECONDS)
    writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST, as a crashed peer does."""
    connection: Any = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


async def run(control_port: int, routes: Mapping[str, Route]) -> None:
    """Until it is cancelled."""
    servers = [await asyncio.start_server(route.serve, HOST, route.port) for route in routes.values()]
    runner = web.AppRunner(control(routes), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, control_port).start()
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), {name: Route(*ports) for name, ports in json.loads(sys.argv[2]).items()}))
