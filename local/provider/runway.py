"""Runway's API under `/runway`: tasks made by the same renderer. https://docs.dev.runwayml.com/api (2024-11-06).

No webhooks and no list, as there; prompts steer a task as they steer a prediction.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from local.provider.answers import ApiError
from local.provider.creation import new_prediction
from local.provider.models import RUNWAY_GEN4
from local.provider.predictions import TERMINAL, Prediction, moment
from local.provider.service import SERVICE
from local.provider.steering import steering_of

VERSION = "2024-11-06"
CREDITS_PER_SECOND = 5
THROTTLE_SECONDS = 2
_STATUSES = {"starting": "PENDING", "processing": "RUNNING", "succeeded": "SUCCEEDED", "canceled": "CANCELLED"}

routes = web.RouteTableDef()


@routes.post("/runway/v1/image_to_video")
async def image_to_video(request: web.Request) -> web.StreamResponse:
    service = request.app[SERVICE]
    _admit(request)
    try:
        new = new_prediction({"input": _input(await _body(request))}, {}, service.switches(), RUNWAY_GEN4)
    except ApiError as refused:
        raise ApiError(400, "Validation of body failed", str(refused)) from refused
    steering = steering_of(new.directives)
    if steering.answer in ("429", "500") and service.predictions.answer_once(f"runway {steering.answer} {new.input}"):
        status = int(steering.answer)
        headers = {"Retry-After": str(THROTTLE_SECONDS)} if status == 429 else {}
        error = "Too many requests." if status == 429 else "An unexpected error occurred."
        return web.json_response({"error": error}, status=status, headers=headers)
    prediction = service.predictions.add(new, time.time())
    service.runner.submit(prediction)
    if steering.answer == "lost":
        assert request.transport is not None
        request.transport.abort()
    return web.json_response({"id": prediction.id})


@routes.get("/runway/v1/tasks/{id}")
async def get_task(request: web.Request) -> web.Response:
    return web.json_response(_task(_found(request)))


@routes.delete("/runway/v1/tasks/{id}")
async def cancel_task(request: web.Request) -> web.Response:
    prediction = _found(request)
    if prediction.status not in TERMINAL:
        request.app[SERVICE].runner.cancel(prediction.id)
    return web.Response(status=204)


def _admit(request: web.Request) -> None:
    if request.headers.get("X-Runway-Version") != VERSION:
        raise ApiError(400, "Bad request", f"The header X-Runway-Version must be {VERSION}.")
    token = request.app[SERVICE].settings.token
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not given or (token is not None and given != token):
        raise ApiError(401, "Unauthorized", "The API key is missing or wrong.")


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise ApiError(400, "Bad request", "The request body is not valid JSON") from error
    if not isinstance(body, dict) or body.get("model") != "gen4_turbo":
        raise ApiError(400, "Validation of body failed", "model must be gen4_turbo")
    return body


def _input(body: Mapping[str, Any]) -> dict[str, Any]:
    image = body.get("promptImage")
    if isinstance(image, list):
        image = next((frame["uri"] for frame in image if frame.get("position") == "first"), None)
    given = {
        "prompt": body.get("promptText") or "", "image": image, "ratio": body.get("ratio"),
        "duration": body.get("duration", 10), "seed": body.get("seed"),
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def _found(request: web.Request) -> Prediction:
    _admit(request)
    service = request.app[SERVICE]
    service.expire()
    try:
        prediction = service.predictions.get(request.match_info["id"])
    except KeyError:
        raise ApiError(404, "Not found", "There is no such task.") from None
    if prediction.model != RUNWAY_GEN4.key:
        raise ApiError(404, "Not found", "There is no such task.")
    return prediction


def _task(prediction: Prediction) -> dict[str, Any]:
    seconds = prediction.input.get("duration", 10)
    task: dict[str, Any] = {
        "id": prediction.id, "createdAt": moment(prediction.created_at),
        "status": _STATUSES.get(prediction.status, "FAILED"),
    }  # fmt: skip
    if prediction.status in ("starting", "processing"):
        task["estimatedCost"] = {"credits": seconds * CREDITS_PER_SECOND}
        return task | ({"progress": _progress(prediction)} if prediction.status == "processing" else {})
    task["cost"] = {"credits": round(prediction.billed_usd * 100)}
    if task["status"] == "SUCCEEDED":
        output = prediction.output
        return task | {"output": output if isinstance(output, list) else [output]}
    if task["status"] == "FAILED":
        unsafe = "safety" in (prediction.error or "").lower()
        return task | {"failure": prediction.error, "failureCode": "SAFETY.INPUT.TEXT" if unsafe else "INTERNAL"}
    return task


def _progress(prediction: Prediction) -> float:
    """By the time it was told to take."""
    asked = prediction.steering.seconds or 1
    return round(min((time.time() - (prediction.started_at or time.time())) / asked, 0.99), 2)
