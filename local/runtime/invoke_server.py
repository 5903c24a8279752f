"""The runner over HTTP: Lambda's Invoke path, for the emulator's proxy hook and for tests."""

import json

from aiohttp import web
from aiohttp.typedefs import Handler

from local.runtime import world
from local.runtime.functions import SourceUnavailable, UnknownFunction
from local.runtime.runner import LoopStopped, Runner, Throttled
from local.runtime.runtime_api import RESPONSE_LIMIT_BYTES, Outcome

_DEADLINE_HEADER = "X-Amzn-Lambda-Deadline-Ms"
_REQUEST_ID_HEADER = "X-Amzn-Lambda-Request-Id"
_TRACE_HEADER = "X-Amzn-Trace-Id"
# The event source of what a queue's worker is given; a claim is waited for, and has none.
_QUEUE = b'"aws:sqs"'


def invoke_application(runner: Runner) -> web.Application:
    """POST /2015-03-31/functions/{name}/invocations, POST /reload, GET /health, GET /environments.

    Invoke answers 200 with the function's answer; 502 with {errorType, errorMessage, ...} when the
    function failed, timed out or crashed; 400 when Lambda would end a loop; 404, 413, 429, 503 when it did not run.
    """

    async def invoke(request: web.Request) -> web.Response:
        payload = await request.read()
        if len(payload) > RESPONSE_LIMIT_BYTES:
            return _refused(413, "RequestTooLargeException", "the event is over 6 MB")
        deadline = request.headers.get(_DEADLINE_HEADER)
        outcome = await runner.invoke(
            request.match_info["name"],
            payload or b"{}",
            request_id=request.headers.get(_REQUEST_ID_HEADER),
            deadline_ms=int(deadline) if deadline else None,
            trace_id=request.headers.get(_TRACE_HEADER),
            in_background=_QUEUE in payload,
        )
        return _answer(outcome)

    async def reload(_request: web.Request) -> web.Response:
        await runner.reload()
        return web.json_response({"status": "ok"})

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "worldEnforcement": world.enforcement()})

    async def environments(_request: web.Request) -> web.Response:
        return web.json_response(runner.describe())

    application = web.Application(client_max_size=64 * 1024 * 1024, middlewares=[_refusals])
    application.router.add_post("/2015-03-31/functions/{name}/invocations", invoke)
    application.router.add_post("/reload", reload)
    application.router.add_get("/health", health)
    application.router.add_get("/environments", environments)
    return application


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except UnknownFunction as error:
        return _refused(404, "ResourceNotFoundException", f"Function not found: {error}")
    except Throttled:
        return _refused(429, "TooManyRequestsException", "Rate Exceeded.")
    except LoopStopped as error:
        sentence = "Lambda has detected your function being invoked in a recursive loop and stopped its invocation"
        return _refused(400, "RecursiveInvocationException", f"{sentence}: {error}")
    except SourceUnavailable as error:
        return _refused(503, "ServiceException", str(error))


def _answer(outcome: Outcome) -> web.Response:
    status = 502 if outcome.error_type else 200
    return web.Response(status=status, body=outcome.payload, content_type="application/json")


def _refused(status: int, error_type: str, message: str) -> web.Response:
    body = json.dumps({"errorType": error_type, "errorMessage": message}).encode()
    return web.Response(status=status, body=body, content_type="application/json")
