"""Replicate's HTTP API: predictions, models, versions and the webhook secret."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from datetime import datetime
from typing import Any

from aiohttp import web

from local.provider.answers import ApiError, not_found, problem, throttled
from local.provider.creation import model_of_path, new_prediction, wait_seconds
from local.provider.models import MODELS, Model
from local.provider.predictions import PAGE_SIZE, NewPrediction, Prediction, Window, as_json
from local.provider.schemas import openapi_schema
from local.provider.service import SERVICE, Service
from local.provider.sources import data_uri
from local.provider.steering import steering_of

THROTTLE_SECONDS = 2
REFUSALS = {
    "402": ("Insufficient credit", "You have insufficient credit to run this model. Go to your billing page."),
    "429": ("Too many requests", ""),
    "500": ("Internal server error", "An unexpected error occurred."),
}
_COG_VERSION = "0.16.9"
_VERSION_DATE = "2025-08-01T12:00:00.000000Z"

routes = web.RouteTableDef()


@routes.post("/v1/predictions")
async def create_by_version(request: web.Request) -> web.StreamResponse:
    return await _create(request, None)


@routes.post("/v1/models/{owner}/{name}/predictions")
async def create_by_model(request: web.Request) -> web.StreamResponse:
    """Official models only: a community model is run by its version."""
    model = model_of_path(request.match_info["owner"], request.match_info["name"])
    if not model.official:
        raise not_found()
    return await _create(request, model)


@routes.get("/v1/predictions")
async def list_predictions(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    service.expire()
    window = _window(request)
    rows = service.predictions.page(window)
    upward, more = window.after_seq is not None, len(rows) > PAGE_SIZE
    rows = rows[-PAGE_SIZE:] if upward else rows[:PAGE_SIZE]
    base_url = service.settings.base_url
    older = rows and (more or upward)
    newer = rows and (window.before_seq is not None or (upward and more))
    return web.json_response(
        {
            "next": _cursor_link(base_url, "before", rows[-1].seq) if older else None,
            "previous": _cursor_link(base_url, "after", rows[0].seq) if newer else None,
            "results": [as_json(row, base_url) for row in rows],
        }
    )


@routes.get("/v1/predictions/{id}")
async def get_prediction(request: web.Request) -> web.Response:
    return _shown(request.app[SERVICE], prediction_of(request))


@routes.post("/v1/predictions/{id}/cancel")
async def cancel_prediction(request: web.Request) -> web.Response:
    service, prediction = request.app[SERVICE], prediction_of(request)
    service.runner.cancel(prediction.id)
    return _shown(service, service.predictions.get(prediction.id))


@routes.get("/v1/models/{owner}/{name}")
async def get_model(request: web.Request) -> web.Response:
    model = model_of_path(request.match_info["owner"], request.match_info["name"])
    return web.json_response(model_json(model, request.app[SERVICE].settings.base_url))


def model_json(model: Model, base_url: str) -> dict[str, Any]:
    """Replicate's model object."""
    return {
        "url": f"{base_url}/{model.key}",
        "owner": model.owner,
        "name": model.name,
        "description": model.description,
        "visibility": "public",
        "is_official": model.official,
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 1,
        "cover_image_url": None,
        "default_example": None,
        "created_at": _VERSION_DATE,
        "latest_version": _version_json(model, model.versions[0]),
    }


@routes.get("/v1/models/{owner}/{name}/versions")
async def list_versions(request: web.Request) -> web.Response:
    model = model_of_path(request.match_info["owner"], request.match_info["name"])
    results = [_version_json(model, version) for version in model.versions]
    return web.json_response({"next": None, "previous": None, "results": results})


@routes.get("/v1/models/{owner}/{name}/versions/{version}")
async def get_version(request: web.Request) -> web.Response:
    model = model_of_path(request.match_info["owner"], request.match_info["name"])
    if request.match_info["version"] not in model.versions:
        raise not_found()
    return web.json_response(_version_json(model, request.match_info["version"]))


@routes.get("/v1/webhooks/default/secret")
async def get_webhook_secret(request: web.Request) -> web.Response:
    return web.json_response({"key": request.app[SERVICE].secret})


async def _create(request: web.Request, model: Model | None) -> web.StreamResponse:
    service = request.app[SERVICE]
    new = new_prediction(await _json_object(request), request.headers, service.switches(), model)
    steering = steering_of(new.directives)
    if steering.answer in REFUSALS and service.predictions.answer_once(_once_key(new, steering.answer)):
        return throttled(THROTTLE_SECONDS) if steering.answer == "429" else _refused(steering.answer)
    prediction = service.predictions.add(new, time.time())
    service.runner.submit(prediction)
    if steering.webhook == "early":
        await service.runner.wait(prediction.id, None)
    if steering.answer == "lost":
        return _cut(request)
    if seconds := wait_seconds(request.headers.get("Prefer")):
        await service.runner.wait(prediction.id, seconds)
        answer = await _waited(service, prediction)
        answer.headers["Preference-Applied"] = f"wait={seconds:g}"
        return answer
    return web.json_response(as_json(prediction, service.settings.base_url), status=201)


async def _waited(service: Service, prediction: Prediction) -> web.Response:
    """As Replicate answers it: `processing` with the output inside when made in time, else `starting`."""
    now = service.predictions.get(prediction.id)
    if now.completed_at is None:
        return web.json_response(as_json(prediction, service.settings.base_url), status=201)
    shown = as_json(now, service.settings.base_url)
    if now.status == "succeeded":
        links = now.output if isinstance(now.output, list) else [now.output]
        inside = await asyncio.gather(*(asyncio.to_thread(_inlined, service, link) for link in links))
        shown |= {
            "status": "processing",
            "completed_at": None,
            "metrics": {},
            "output": inside if isinstance(now.output, list) else inside[0],
        }
    return web.json_response(shown, status=201)


def _inlined(service: Service, link: str) -> str:
    """A file of ours as a data: URI; anything else as it is."""
    prefix = f"{service.settings.base_url}/delivery/"
    path = service.media / link.removeprefix(prefix)
    if not link.startswith(prefix) or not path.is_file():
        return link
    return data_uri(path)


def _cut(request: web.Request) -> web.Response:
    """Drops the connection in place of an answer."""
    if request.transport:
        request.transport.abort()
    return web.Response()


def _refused(status: str) -> web.Response:
    title, detail = REFUSALS[status]
    return problem({"title": title, "detail": detail, "status": int(status)}, int(status))


def _once_key(new: NewPrediction, answer: str) -> str:
    return hashlib.sha256(f"{answer} {new.model} {new.input.get('prompt')}".encode()).hexdigest()


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise ApiError(400, "Bad request", "The request body is not valid JSON") from error
    if not isinstance(body, dict):
        raise ApiError(400, "Bad request", "The request body is not a JSON object")
    return body


def prediction_of(request: web.Request) -> Prediction:
    """Replicate's, by the path. Raises 404."""
    service = request.app[SERVICE]
    service.expire()
    try:
        prediction = service.predictions.get(request.match_info["id"])
    except KeyError:
        raise not_found() from None
    if prediction.model not in MODELS:
        raise not_found()
    return prediction


def _shown(service: Service, prediction: Prediction) -> web.Response:
    return web.json_response(as_json(prediction, service.settings.base_url))


def _version_json(model: Model, version: str) -> dict[str, Any]:
    return {
        "id": version,
        "created_at": _VERSION_DATE,
        "cog_version": _COG_VERSION,
        "openapi_schema": openapi_schema(model),
    }


def _cursor_link(base_url: str, side: str, seq: int) -> str:
    cursor = base64.urlsafe_b64encode(f"{side}={seq}".encode()).decode().rstrip("=")
    return f"{base_url}/v1/predictions?cursor={cursor}"


def _window(request: web.Request) -> Window:
    query = request.query
    try:
        side, seq = _cursor(query["cursor"]) if "cursor" in query else ("", 0)
        return Window(
            before_seq=seq if side == "before" else None,
            after_seq=seq if side == "after" else None,
            created_after=_seconds(query["created_after"]) if "created_after" in query else 0.0,
            created_before=_seconds(query["created_before"]) if "created_before" in query else 1e12,
        )
    except ValueError as error:
        raise ApiError(400, "Bad request", f"A query parameter cannot be read: {error}") from error


def _cursor(text: str) -> tuple[str, int]:
    side, _, seq = base64.urlsafe_b64decode(text + "==").decode().partition("=")
    return side, int(seq)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
