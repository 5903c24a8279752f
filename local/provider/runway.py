"""Runway's API under `/runway`: tasks made by the same renderer. https://docs.dev.runwayml.com/api (2024-11-06).

No webhooks and no list, as there; prompts steer a task as they steer a prediction, and `[fail=CODE: words]` names
the failureCode. What was made and billed stands in `/_standin/predictions` with Replicate's.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from aiohttp import web

from local.provider.answers import ApiError
from local.provider.creation import new_prediction
from local.provider.models import RUNWAY_MODELS, Model, by_key
from local.provider.predictions import TERMINAL, NewPrediction, Prediction, moment
from local.provider.service import SERVICE, Service
from local.provider.steering import steering_of

VERSION = "2024-11-06"
USD_PER_CREDIT = 0.01
THROTTLE_SECONDS = 2
# Outputs live a day or two; Replicate's an hour.
OUTPUT_SECONDS = 86_400
LONGEST_PROMPT = 1000
LARGEST_DATA_URI_BYTES = 5 * 1024 * 1024
LONGEST_URL = 2048
# How Runway says what Replicate says with these statuses.
REFUSALS = {
    "402": (400, "You do not have enough credits to run this task."),
    "429": (429, "You have reached your daily limit."),
    "500": (500, "An unexpected error occurred."),
}
LOOPBACK = ("127.0.0.1", "localhost")
_FIELDS = {"promptImage": "image", "promptText": "prompt", "ratio": "ratio", "duration": "duration", "seed": "seed"}
_STATUSES = {"processing": "RUNNING", "succeeded": "SUCCEEDED", "failed": "FAILED", "aborted": "CANCELLED"}
_CODE = re.compile(r"([A-Z_]+(?:\.[A-Z0-9_]+)+|[A-Z_]{4,})(?:: (.*))?")
_DOCUMENTATION = "https://docs.dev.runwayml.com/api"

routes = web.RouteTableDef()


class Refusal(ApiError):
    """An answer of `{"error"}`, with `issues` by path where the body is wrong."""

    def __init__(self, status: int, error: str, issues: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(status, error, error)
        told = [{"code": "custom", "path": [path], "message": message} for path, message in issues]
        self.body = {"error": error, **({"issues": told, "docUrl": _DOCUMENTATION} if told else {})}


@routes.post("/runway/v1/image_to_video")
async def image_to_video(request: web.Request) -> web.StreamResponse:
    return await _create(request, takes_image=True)


@routes.post("/runway/v1/text_to_video")
async def text_to_video(request: web.Request) -> web.StreamResponse:
    return await _create(request, takes_image=False)


@routes.get("/runway/v1/tasks/{id}")
async def get_task(request: web.Request) -> web.Response:
    return web.json_response(_task(_found(request)))


@routes.delete("/runway/v1/tasks/{id}")
async def delete_task(request: web.Request) -> web.Response:
    """Stops a task, or deletes one that has ended. Neither can be read afterwards; only a running one costs."""
    prediction, service = _found(request), request.app[SERVICE]
    if prediction.status in TERMINAL:
        service.predictions.expire_now(prediction.id)
        service.expire()
    else:
        service.runner.cancel(prediction.id)
        running = prediction.status == "processing"
        service.predictions.bill(prediction.id, _credits(prediction) * USD_PER_CREDIT if running else 0)
    return web.Response(status=204)


async def _create(request: web.Request, *, takes_image: bool) -> web.StreamResponse:
    service = request.app[SERVICE]
    _admit(request)
    new = _new(service, await _body(request), takes_image)
    steering = steering_of(new.directives)
    if steering.answer in REFUSALS and service.predictions.answer_once(f"runway {steering.answer} {new.input}"):
        status, error = REFUSALS[steering.answer]
        headers = {"Retry-After": str(THROTTLE_SECONDS)} if status == 429 else None
        return web.json_response({"error": error}, status=status, headers=headers)
    prediction = service.predictions.add(new, time.time(), str(uuid4()))
    service.runner.submit(prediction)
    if steering.answer == "lost":
        assert request.transport is not None
        request.transport.abort()
    return web.json_response({"id": prediction.id, "estimatedCost": {"credits": _credits(prediction)}})


def _admit(request: web.Request) -> None:
    token = request.app[SERVICE].settings.token
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not given or (token is not None and given != token):
        raise Refusal(401, "The API key is missing or wrong.")
    if request.headers.get("X-Runway-Version") != VERSION:
        raise Refusal(400, f"The header X-Runway-Version must be {VERSION}.")


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise Refusal(400, "The request body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise Refusal(400, "The request body is not a JSON object.")
    return body


def _new(service: Service, body: Mapping[str, Any], takes_image: bool) -> NewPrediction:
    model = RUNWAY_MODELS.get(str(body.get("model")))
    if model is None or (not takes_image and _needs(model, "image")):
        raise _invalid([("model", "Invalid input: no such model here")])
    given = {name: body[field] for field, name in _FIELDS.items() if body.get(field) is not None}
    if isinstance(given.get("image"), list):
        given["image"] = next((frame.get("uri") for frame in given["image"] if frame.get("position") == "first"), None)
    if issues := _issues(given, model, takes_image):
        raise _invalid(issues)
    switches = {"expire": str(OUTPUT_SECONDS), **service.switches()}
    try:
        return new_prediction({"input": given}, {}, switches, model)
    except ApiError as refused:
        fields = {name: field for field, name in _FIELDS.items()}
        wrong = [(p["field"].removeprefix("input."), p["description"]) for p in refused.body["invalid_fields"]]
        raise _invalid([(fields.get(name, name), description) for name, description in wrong]) from refused


def _invalid(issues: Sequence[tuple[str, str]]) -> Refusal:
    return Refusal(400, "Validation of body failed", issues)


def _issues(given: Mapping[str, Any], model: Model, takes_image: bool) -> list[tuple[str, str]]:
    """What Runway checks beyond types and ranges."""
    missing = [field for field, name in _FIELDS.items() if _needs(model, name) and name not in given]
    issues = [(field, "Invalid input: expected a value, received undefined") for field in missing]
    prompt, image = given.get("prompt"), given.get("image")
    if isinstance(prompt, str) and not 1 <= len(prompt.encode("utf-16-le")) // 2 <= LONGEST_PROMPT:
        issues.append(("promptText", f"Must have 1 to {LONGEST_PROMPT} characters"))
    if takes_image and "image" in given and not isinstance(image, str):
        issues.append(("promptImage", "Invalid input: expected string"))
    if isinstance(image, str) and (problem := _image_problem(image)):
        issues.append(("promptImage", problem))
    return issues


def _image_problem(image: str) -> str | None:
    if image.startswith("data:"):
        known = image.startswith(("data:image/png;base64,", "data:image/jpeg;base64,", "data:image/webp;base64,"))
        return None if known and len(image) < LARGEST_DATA_URI_BYTES else "Unsupported or too large data URI"
    url = urlsplit(image)
    # Loopback stands for the bucket's own host, which has no certificate here.
    if url.scheme != "https" and (url.scheme, url.hostname in LOOPBACK) != ("http", True):
        return "Only HTTPS URLs are allowed"
    return f"URLs must have at most {LONGEST_URL} characters" if len(image) > LONGEST_URL else None


def _needs(model: Model, field: str) -> bool:
    return any(parameter.name == field and parameter.required for parameter in model.parameters)


def _found(request: web.Request) -> Prediction:
    _admit(request)
    service = request.app[SERVICE]
    service.expire()
    try:
        prediction = service.predictions.get(request.match_info["id"])
    except KeyError:
        raise Refusal(404, "Could not find Task") from None
    if not prediction.model.startswith("runway/") or prediction.status == "canceled" or prediction.data_removed:
        raise Refusal(404, "Could not find Task")
    return prediction


def _task(prediction: Prediction) -> dict[str, Any]:
    task: dict[str, Any] = {
        "id": prediction.id,
        "createdAt": moment(prediction.created_at),
        "status": _status(prediction),
    }
    if prediction.status not in TERMINAL:
        progress = {"progress": _progress(prediction)} if prediction.status == "processing" else {}
        return {**task, "estimatedCost": {"credits": _credits(prediction)}, **progress}
    task["cost"] = {"credits": round(prediction.billed_usd / USD_PER_CREDIT)}
    if prediction.status == "succeeded":
        return {**task, "output": [prediction.output]}
    return {**task, **_failure(prediction.error or "")} if prediction.status == "failed" else task


def _status(prediction: Prediction) -> str:
    waiting = "PENDING" if prediction.steering.throttle_seconds is None else "THROTTLED"
    return _STATUSES.get(prediction.status, waiting)


def _failure(error: str) -> dict[str, str]:
    """`CODE: words` is taken apart; words alone are Runway's own fault."""
    match = _CODE.fullmatch(error)
    if match is None:
        return {"failure": error, "failureCode": "INTERNAL"}
    return {"failure": match[2] or "The task failed.", "failureCode": match[1]}


def _credits(prediction: Prediction) -> int:
    seconds = prediction.input.get("duration", 10)
    return int(round(float(by_key(prediction.model).price.usd_per_unit("")) / USD_PER_CREDIT) * seconds)


def _progress(prediction: Prediction) -> float:
    """By the time it was told to take."""
    asked = prediction.steering.seconds or 1
    return round(min((time.time() - (prediction.started_at or time.time())) / asked, 0.99), 2)
