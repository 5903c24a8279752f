"""Serves outputs without a token, as Replicate's delivery hosts do, and traps tokens sent to them."""

from __future__ import annotations

import time
from contextlib import suppress

from aiohttp import hdrs, web

from local.provider.answers import not_found
from local.provider.service import SERVICE, Service

HUGE_BYTES = 6 * 1024**3
_CHUNK = bytes(1 << 20)

routes = web.RouteTableDef()


@routes.get("/delivery/{folder}/{name}")
async def get_output(request: web.Request) -> web.StreamResponse:
    service = request.app[SERVICE]
    _trap(service, request)
    service.expire()
    prediction = service.predictions.by_folder(request.match_info["folder"])
    path = service.media / request.match_info["folder"] / request.match_info["name"]
    if prediction is None or prediction.data_removed or not path.is_file():
        raise not_found()
    fault = prediction.steering.output
    if fault == "gone":
        raise not_found()
    if fault in ("huge", "cut"):
        return await _spoiled(request, path.read_bytes(), fault)
    kind = {hdrs.CONTENT_TYPE: "text/html"} if fault == "html" else None
    return web.FileResponse(path, headers=kind)


async def _spoiled(request: web.Request, content: bytes, fault: str) -> web.StreamResponse:
    """huge: the file and then zeros without a length. cut: half of the announced length, then silence."""
    answer = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "video/mp4"})
    if fault == "cut":
        answer.content_length = len(content)
        await answer.prepare(request)
        await answer.write(content[: len(content) // 2])
        if request.transport:
            request.transport.close()
        return answer
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    with suppress(ConnectionError):  # a reader that stops at its limit does what it should
        await answer.write(content)
        for _ in range(HUGE_BYTES // len(_CHUNK)):
            await answer.write(_CHUNK)
    return answer


def _trap(service: Service, request: web.Request) -> None:
    if hdrs.AUTHORIZATION in request.headers:
        service.database.execute("INSERT INTO trapped VALUES (?, ?, ?)", (time.time(), request.method, request.path))
