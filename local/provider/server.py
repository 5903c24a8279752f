"""The routes: Replicate's API, the delivery of outputs, and the stand-in's own controls."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from local.provider.models import MODELS, StandInModel, input_schema, model_of
from local.provider.predictions import Prediction, Predictions, new_id, now, removed, stamp
from local.provider.rendering_queue import RenderingQueue

PAGE = 100
WAIT_LIMIT_SECONDS = 60
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Provider:
    """Handlers over the predictions and their queue."""

    def __init__(self, queue: RenderingQueue) -> None:
        self.queue, self.predictions = queue, queue.predictions
        self._refused: set[str] = set()
        self._trapped: list[dict[str, str]] = []

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[_authorize], client_max_size=64 * 2**20)
        app.add_routes(
            [
                web.post("/v1/predictions", self.create),
                web.get("/v1/predictions", self.list),
                web.get("/v1/predictions/{id}", self.get),
                web.post("/v1/predictions/{id}/cancel", self.cancel),
                web.post("/v1/models/{owner}/{name}/predictions", self.create),
                web.get("/v1/models/{owner}/{name}", self.model),
                web.get("/v1/models/{owner}/{name}/versions", self.versions),
                web.get("/v1/models/{owner}/{name}/versions/{version}", self.model_version),
                web.get("/v1/webhooks/default/secret", self.webhook_secret),
                web.get("/delivery/{token}/{name}", self.delivery),
                web.get("/_standin/health", self.health),
                web.get("/_standin/predictions", self.made),
                web.delete("/_standin/predictions", self.forget),
                web.put("/_standin/switches", self.switch),
                web.get("/_standin/trap", self.trap),
            ]
        )
        return app

    async def create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        model, problem = _asked_model(request, body)
        if model is None or problem:
            return _problem(404 if model is None else 422, problem or "The requested resource could not be found.")
        prediction = _prediction(model, body, request.headers.get("Cancel-After"))
        refusal = self._refusal(request, prediction)
        if refusal is not None:
            return refusal
        self.predictions.keep(prediction)
        task = self.queue.start(prediction)
        steering = self.queue.steering(prediction)
        if steering.webhook == "early":
            await task
            await self.queue.settled()
        if steering.answer == "lost":
            assert request.transport is not None
            request.transport.close()
        await _within(task, request.headers.get("Prefer"))
        return web.json_response(self.queue.body(prediction), status=201, headers=_rate_headers())

    async def get(self, request: web.Request) -> web.StreamResponse:
        prediction = self.predictions.get(request.match_info["id"])
        return web.json_response(self.queue.body(prediction)) if prediction else _problem(404, "Prediction not found.")

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        prediction = self.predictions.get(request.match_info["id"])
        if prediction is None:
            return _problem(404, "Prediction not found.")
        self.queue.cancel(prediction)
        return web.json_response(self.queue.body(prediction))

    async def list(self, request: web.Request) -> web.StreamResponse:
        newest = list(self.predictions)[::-1]
        start = int(base64.urlsafe_b64decode(request.query["cursor"])) if "cursor" in request.query else 0
        page = [dict(self.queue.body(prediction)) for prediction in newest[start : start + PAGE]]
        return web.json_response(
            {
                "previous": self._page_url(start - PAGE) if start else None,
                "next": self._page_url(start + PAGE) if start + PAGE < len(newest) else None,
                "results": page,
            }
        )

    def _page_url(self, start: int) -> str:
        cursor = base64.urlsafe_b64encode(str(max(start, 0)).encode()).decode()
        return f"{self.queue.base_url}/v1/predictions?cursor={cursor}"

    async def model(self, request: web.Request) -> web.StreamResponse:
        model = MODELS.get("{owner}/{name}".format(**request.match_info))
        if model is None:
            return _problem(404, "The requested resource could not be found.")
        owner, name = model.name.split("/")
        return web.json_response(
            {
                "url": f"https://replicate.com/{model.name}", "owner": owner, "name": name, "description": "",
                "visibility": "public", "github_url": None, "paper_url": None, "license_url": None, "run_count": 0,
                "cover_image_url": None, "default_example": None, "latest_version": _version(model),
            }
        )  # fmt: skip

    async def versions(self, request: web.Request) -> web.StreamResponse:
        model = MODELS.get("{owner}/{name}".format(**request.match_info))
        results = [_version(model)] if model else []
        return web.json_response({"previous": None, "next": None, "results": results})

    async def model_version(self, request: web.Request) -> web.StreamResponse:
        model = MODELS.get("{owner}/{name}".format(**request.match_info))
        if model is None:
            return _problem(404, "The requested resource could not be found.")
        return web.json_response({**_version(model), "id": request.match_info["version"]})

    async def webhook_secret(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"key": self.queue.secret})

    async def delivery(self, request: web.Request) -> web.StreamResponse:
        token, name = request.match_info["token"], request.match_info["name"]
        if "Authorization" in request.headers:
            self._trapped.append({"path": request.path, "authorization": "present"})
        prediction = next((p for p in self.predictions if p.token == token), None)
        path = self.queue.folder / token / name
        if prediction is None or self._gone(prediction) or not name.startswith("out-") or not path.is_file():
            return _problem(404, "Not found.")
        return web.FileResponse(path)

    def _gone(self, prediction: Prediction) -> bool:
        expire = self.queue.steering(prediction).expire
        return removed(prediction, float(expire) if expire else None)

    async def health(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def made(self, request: web.Request) -> web.StreamResponse:
        return web.json_response([_control(prediction) for prediction in self.predictions])

    async def forget(self, request: web.Request) -> web.StreamResponse:
        self.predictions.clear()
        return web.json_response({})

    async def switch(self, request: web.Request) -> web.StreamResponse:
        self.queue.switches = {name: str(value) for name, value in (await request.json()).items()}
        return web.json_response(self.queue.switches)

    async def trap(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._trapped)

    def _refusal(self, request: web.Request, prediction: Prediction) -> web.Response | None:
        """A 429 or 500 that was asked for, once a prompt; nothing is made then."""
        prompt = str(prediction.input.get("prompt", ""))
        answer = self.queue.steering(prediction).answer
        if answer not in ("429", "500") or prompt in self._refused:
            return None
        self._refused.add(prompt)
        if answer == "429":
            sentence = "Request was throttled. Your rate limit resets in ~2s."
            return web.json_response({"detail": sentence}, status=429, headers={"Retry-After": "2"})
        return _problem(500, "Internal server error.")


def build(folder: Path, base_url: str, ffmpeg: str, secret: str | None = None) -> Provider:
    """The provider over a state folder; its webhook secret is made once and kept there."""
    predictions = Predictions(folder)
    made = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    kept = secret or predictions.setting("webhook-secret", made)
    return Provider(RenderingQueue(predictions, folder / "media", base_url, kept, ffmpeg))


@web.middleware
async def _authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if request.path.startswith("/v1/") and (scheme not in ("Bearer", "Token") or not token):
        return _problem(401, "You did not pass a valid authentication token")
    return await handler(request)


def _asked_model(request: web.Request, body: Any) -> tuple[StandInModel | None, str]:
    named = "{owner}/{name}".format(**request.match_info) if "owner" in request.match_info else body.get("version")
    model = model_of(str(named or body.get("model") or ""))
    if model is None:
        return None, "The specified version does not exist (or perhaps you don't have permission to use it?)"
    given = body.get("input")
    if not isinstance(given, dict):
        return model, "input is required"
    missing = [name for name in model.required if name not in given]
    strangers = [name for name in given if name not in model.known]
    if missing or strangers:
        return model, f"- input: {', '.join(missing) or ', '.join(strangers)} {'is required' if missing else 'unknown'}"
    hook = body.get("webhook")
    if hook and not hook.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        return model, "- webhook: must be an HTTPS URL"
    return model, ""


def _prediction(model: StandInModel, body: dict[str, Any], cancel_after: str | None) -> Prediction:
    deadline = None
    if cancel_after:
        deadline = stamp(now() + timedelta(seconds=float(cancel_after.rstrip("s"))))
    events = body.get("webhook_events_filter") or ["start", "output", "logs", "completed"]
    return Prediction(
        new_id(), model.name, model.version, body["input"], body.get("webhook"), events, stamp(now()), deadline=deadline
    )


async def _within(task: Any, prefer: str | None) -> None:
    import asyncio

    if prefer and prefer.startswith("wait"):
        seconds = float(prefer.partition("=")[2] or WAIT_LIMIT_SECONDS)
        await asyncio.wait({task}, timeout=min(seconds, WAIT_LIMIT_SECONDS))


def _version(model: StandInModel) -> dict[str, Any]:
    return {
        "id": model.version, "created_at": "2026-01-01T00:00:00.000000Z", "cog_version": "0.16.0",
        "openapi_schema": input_schema(model),
    }  # fmt: skip


def _control(prediction: Prediction) -> dict[str, Any]:
    return {
        "id": prediction.id, "model": prediction.model, "input": prediction.input, "webhook": prediction.webhook,
        "status": prediction.status, "createdAt": prediction.created_at, "billedUsd": prediction.billed_usd,
        "webhookDeliveries": prediction.webhook_deliveries,
    }  # fmt: skip


def _rate_headers() -> dict[str, str]:
    return {"ratelimit-limit": "600", "ratelimit-remaining": "599", "ratelimit-reset": "1"}


def _problem(status: int, detail: str) -> web.Response:
    titles = {401: "Unauthenticated", 404: "Not found", 422: "Input validation failed"}
    body = {"title": titles.get(status, "Error"), "detail": detail, "status": status}
    return web.json_response(body, status=status)
