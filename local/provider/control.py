"""The stand-in's own API for tests: what was made and billed, switches, trapped tokens, health."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from local.provider.answers import ApiError
from local.provider.database import set_setting
from local.provider.lifecycle import RENDERS_AT_ONCE
from local.provider.predictions import Prediction, moment
from local.provider.service import SERVICE, Service
from local.provider.steering import SteeringError, switches_from_json

routes = web.RouteTableDef()


@routes.get("/_standin/predictions")
async def list_made(request: web.Request) -> web.Response:
    """A list, newest first."""
    service = request.app[SERVICE]
    service.expire()
    return web.json_response([_made(service, prediction) for prediction in service.predictions.all()])


@routes.delete("/_standin/predictions")
async def reset(request: web.Request) -> web.Response:
    await request.app[SERVICE].reset()
    return web.Response(status=204)


@routes.get("/_standin/switches")
async def get_switches(request: web.Request) -> web.Response:
    return web.json_response(request.app[SERVICE].switches())


@routes.put("/_standin/switches")
async def put_switches(request: web.Request) -> web.Response:
    """The body replaces all switches; {} puts the stand-in back to ordinary."""
    try:
        body = json.loads(await request.read())
        switches = switches_from_json(body if isinstance(body, dict) else {"": body})
    except SteeringError as error:
        raise ApiError(422, "Unknown switch", str(error)) from error
    except ValueError as error:
        raise ApiError(400, "Bad request", "The request body is not valid JSON") from error
    set_setting(request.app[SERVICE].database, "switches", json.dumps(switches))
    return web.json_response(switches)


@routes.get("/_standin/health")
async def health(request: web.Request) -> web.Response:
    counts = request.app[SERVICE].predictions.counts()
    return web.json_response({"status": "ok", "predictions": counts, "rendersAtOnce": RENDERS_AT_ONCE})


@routes.get("/_standin/trap")
async def trapped(request: web.Request) -> web.Response:
    """Requests for outputs that carried an Authorization header; the header itself is not kept."""
    rows = request.app[SERVICE].database.execute("SELECT at, method, path FROM trapped").fetchall()
    return web.json_response([dict(row) for row in rows])


def _made(service: Service, prediction: Prediction) -> dict[str, Any]:
    return {
        "id": prediction.id,
        "model": prediction.model,
        "version": prediction.version,
        "input": prediction.input,
        "webhook": prediction.webhook,
        "status": prediction.status,
        "createdAt": moment(prediction.created_at),
        "startedAt": moment(prediction.started_at),
        "completedAt": moment(prediction.completed_at),
        "dataRemoved": prediction.data_removed,
        "billedUsd": prediction.billed_usd,
        "webhookDeliveries": service.webhooks.attempts(prediction.id),
    }
