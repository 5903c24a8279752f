"""The Runtime API of AWS Lambda, one loopback address per execution environment.

Contract: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. The runtime client takes
host and port only (its init error call knows no path prefix), so environments are told apart by the
address they call: all share one port, each has its own of 127.0.0.0/8.
"""

import asyncio
import itertools
import json
from dataclasses import dataclass, field

from aiohttp import web

RESPONSE_LIMIT_BYTES = 6 * 1024 * 1024 + 100  # Lambda's own figure: 6,291,556
_ERROR_TYPE_HEADER = "Lambda-Runtime-Function-Error-Type"
_BODY_LIMIT_BYTES = 64 * 1024 * 1024
_ACCEPTED = {"status": "OK"}


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to: the function's answer, or its error as JSON when `error_type` is set."""

    payload: bytes
    error_type: str | None = None

    @classmethod
    def failed(cls, error_type: str, message: str) -> "Outcome":
        body = {"errorType": error_type, "errorMessage": message}
        return cls(json.dumps(body).encode(), error_type)


@dataclass(frozen=True)
class Invocation:
    request_id: str
    function_arn: str
    payload: bytes
    trace_id: str
    deadline_ms: int
    """Unix time in milliseconds."""
    outcome: "asyncio.Future[Outcome]" = field(compare=False)


@dataclass
class Slot:
    """The meeting point of the runner and one environment's runtime client."""

    address: str
    ready: "asyncio.Future[Outcome | None]"
    """Set at the first `next` (None) or by a failed initialisation."""
    offers: "asyncio.Queue[Invocation | None]" = field(default_factory=asyncio.Queue)
    """None closes a waiting `next`."""
    current: Invocation | None = None

    def settle(self, outcome: Outcome) -> None:
        """Ends whatever is waited for: the running invocation, or the initialisation."""
        if not self.ready.done():
            self.ready.set_result(outcome)
        if self.current is not None and not self.current.outcome.done():
            self.current.outcome.set_result(outcome)


class RuntimeApi:
    """Serves `next`, `response`, `error` and `init/error` to the environments opened with `open`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._slots: dict[str, tuple[Slot, web.TCPSite]] = {}
        self._numbers = itertools.count()
        application = web.Application(client_max_size=_BODY_LIMIT_BYTES)
        runtime = "/2018-06-01/runtime"
        application.router.add_get(f"{runtime}/invocation/next", self._next)
        application.router.add_post(f"{runtime}/invocation/{{id}}/response", self._response)
        application.router.add_post(f"{runtime}/invocation/{{id}}/error", self._error)
        application.router.add_post(f"{runtime}/init/error", self._init_error)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)

    async def start(self) -> None:
        await self._runner.setup()

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def open(self) -> Slot:
        """Raises OSError when the port is taken."""
        slot = Slot(self._free_address(), asyncio.get_running_loop().create_future())
        site = web.TCPSite(self._runner, slot.address, self.port, reuse_address=True)
        await site.start()
        self._slots[slot.address] = slot, site
        return slot

    async def close(self, slot: Slot) -> None:
        slot.offers.put_nowait(None)
        _, site = self._slots.pop(slot.address)
        await site.stop()

    def _free_address(self) -> str:
        """127.77.0.1 to 127.77.255.250, in turn, so that a late call of a dead environment meets nobody."""
        while True:
            high, low = divmod(next(self._numbers) % (256 * 250), 250)
            address = f"127.77.{high}.{low + 1}"
            if address not in self._slots:
                return address

    def _slot(self, request: web.Request) -> Slot:
        transport = request.transport
        entry = self._slots.get(transport.get_extra_info("sockname")[0]) if transport else None
        if entry is None:
            raise web.HTTPGone
        return entry[0]

    async def _next(self, request: web.Request) -> web.Response:
        slot = self._slot(request)
        if not slot.ready.done():
            slot.ready.set_result(None)
        invocation = await slot.offers.get()
        if invocation is None:
            raise web.HTTPGone
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        return web.Response(body=invocation.payload, content_type="application/json", headers=headers)

    async def _response(self, request: web.Request) -> web.Response:
        slot = self._slot(request)
        payload = await request.read()
        if len(payload) <= RESPONSE_LIMIT_BYTES:
            return _settle(slot, request, Outcome(payload))
        message = (
            f"Response payload size ({len(payload)} bytes) exceeded maximum allowed payload size "
            f"({RESPONSE_LIMIT_BYTES} bytes)."
        )
        _settle(slot, request, Outcome.failed("Function.ResponseSizeTooLarge", message))
        return web.json_response({"errorMessage": message}, status=413)

    async def _error(self, request: web.Request) -> web.Response:
        slot = self._slot(request)
        error_type = request.headers.get(_ERROR_TYPE_HEADER, "Unhandled")
        return _settle(slot, request, Outcome(await request.read(), error_type))

    async def _init_error(self, request: web.Request) -> web.Response:
        slot = self._slot(request)
        error_type = request.headers.get(_ERROR_TYPE_HEADER, "Runtime.Unknown")
        slot.settle(Outcome(await request.read(), error_type))
        return web.json_response(_ACCEPTED, status=202)


def _settle(slot: Slot, request: web.Request, outcome: Outcome) -> web.Response:
    invocation = slot.current
    if invocation is None or invocation.request_id != request.match_info["id"]:
        return web.json_response({"errorMessage": "no such invocation"}, status=400)
    if not invocation.outcome.done():
        invocation.outcome.set_result(outcome)
    return web.json_response(_ACCEPTED, status=202)
