"""Outputs of language models as server-sent events: `output` piece by piece, `error`, `done`."""

from __future__ import annotations

import json

from aiohttp import web

from local.provider.predictions import Prediction
from local.provider.routes import prediction_of
from local.provider.service import SERVICE

routes = web.RouteTableDef()


@routes.get("/v1/streams/{id}")
async def stream_output(request: web.Request) -> web.StreamResponse:
    """Waits for the prediction's end, as it is drawn up at once."""
    service, prediction = request.app[SERVICE], prediction_of(request)
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await answer.prepare(request)
    await service.runner.wait(prediction.id, None)
    await answer.write("".join(_events(service.predictions.get(prediction.id))).encode())
    return answer


def _events(ended: Prediction) -> list[str]:
    if ended.status == "succeeded":
        pieces = [_event("output", piece, f"{ended.seq}:{number}") for number, piece in enumerate(ended.output)]
        return [*pieces, _event("done", "{}", f"{ended.seq}:done")]
    told = [_event("error", json.dumps({"detail": ended.error}), f"{ended.seq}:error")] if ended.error else []
    return [*told, _event("done", json.dumps({"reason": ended.status}), f"{ended.seq}:done")]


def _event(name: str, data: str, event_id: str) -> str:
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return f"event: {name}\nid: {event_id}\n{lines}\n"
