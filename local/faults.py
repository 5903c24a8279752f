"""A proxy that lets faults happen between the functions and what they use.

`python -m local.faults CONTROL_PORT ROUTES`, where ROUTES is JSON: {name: [port to listen on, port of the target]}.
Each route passes bytes as they are until `PUT /{name}` on the control port sets the fields of `Fault`;
`DELETE /{name}` makes it whole again. Connections that are open feel a change at their next bytes.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

HOST = "127.0.0.1"
CHUNK_BYTES = 16 * 1024
STALL_POLL_SECONDS = 0.05
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """What a route does to its bytes; by default nothing. Probabilities are of a connection."""

    latency_ms: float = 0
    reset_probability: float = 0
    cut_after_bytes: int | None = None
    bytes_per_second: float | None = None
    stall: bool = False
    http_status: int | None = None
    http_probability: float = 1


class Cut(Exception):
    """The connection is to be reset."""


class Route:
    """One listening port and its target."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self.target, self.fault = port, target, Fault()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._connected(reader, writer)
        except (Cut, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            _reset(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._stalled()
        fault = self.fault
        if random.random() < fault.reset_probability:
            raise Cut
        if fault.http_status is not None and random.random() < fault.http_probability:
            await _answer(reader, writer, fault.http_status)
            return
        upstream, target = await asyncio.open_connection(HOST, self.target)
        pumps = [asyncio.create_task(pump) for pump in (self._pump(reader, target), self._pump(upstream, writer))]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            target.close()
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while chunk := await reader.read(CHUNK_BYTES):
            await self._stalled()
            fault = self.fault
            await asyncio.sleep(
                fault.latency_ms / 1000 + (len(chunk) / fault.bytes_per_second if fault.bytes_per_second else 0)
            )
            left = len(chunk) if fault.cut_after_bytes is None else max(fault.cut_after_bytes - passed, 0)
            writer.write(chunk[:left])
            await writer.drain()
            passed += left
            if left < len(chunk):
                raise Cut
        with suppress(OSError):
            writer.write_eof()

    async def _stalled(self) -> None:
        while self.fault.stall:
            await asyncio.sleep(STALL_POLL_SECONDS)


def control(routes: Mapping[str, Route]) -> web.Application:
    """The API by which faults are set."""

    async def put(request: web.Request) -> web.Response:
        routes[request.match_info["name"]].fault = Fault(**await request.json())
        return web.Response(status=204)

    async def delete(request: web.Request) -> web.Response:
        routes[request.match_info["name"]].fault = Fault()
        return web.Response(status=204)

    async def get(_: web.Request) -> web.Response:
        return web.json_response({name: asdict(route.fault) for name, route in routes.items()})

    application = web.Application()
    application.add_routes([web.put("/{name}", put), web.delete("/{name}", delete), web.get("/", get)])
    return application


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int) -> None:
    """An HTTP error in the target's place, once the request's head is there."""
    await reader.readuntil(b"\r\n\r\n")
    extra = "Retry-After: 1\r\n" if status == 429 else ""
    writer.write(f"HTTP/1.1 {status} Fault\r\n{extra}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
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
