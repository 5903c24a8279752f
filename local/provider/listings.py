"""What Replicate lists beside predictions: its models, found by words or in collections, hardware, the account."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from local.provider.answers import ApiError, not_found
from local.provider.models import MODELS, Model
from local.provider.routes import model_json
from local.provider.service import SERVICE

PAGE_SIZE = 5
_COLLECTIONS = {
    "text-to-image": ("Text to image", "image"),
    "text-to-video": ("Text to video", "video"),
    "ai-music-generation": ("Generate music", "audio"),
    "language-models": ("Language models", "text"),
}
_HARDWARE = {
    "cpu": "CPU",
    "gpu-t4": "Nvidia T4 GPU",
    "gpu-l40s": "Nvidia L40S GPU",
    "gpu-a100-large": "Nvidia A100 GPU",
}

routes = web.RouteTableDef()


@routes.get("/v1/models")
async def list_models(request: web.Request) -> web.Response:
    """Pages of PAGE_SIZE with cursors both ways."""
    start, base_url = _start(request), request.app[SERVICE].settings.base_url
    models = list(MODELS.values())
    link = f"{base_url}/v1/models?cursor="
    return web.json_response(
        {
            "next": link + _cursor(start + PAGE_SIZE) if start + PAGE_SIZE < len(models) else None,
            "previous": link + _cursor(max(0, start - PAGE_SIZE)) if start else None,
            "results": [model_json(model, base_url) for model in models[start : start + PAGE_SIZE]],
        }
    )


@routes.route("QUERY", "/v1/models")
async def search_models(request: web.Request) -> web.Response:
    """The body is the words, bare or, as the SDK 2.0.0b4 sends them, a JSON string."""
    words = (await request.text()).strip('"').lower()
    found = [model for model in MODELS.values() if words in f"{model.key} {model.description}".lower()]
    return _all_of(request, found)


@routes.get("/v1/collections")
async def list_collections(_: web.Request) -> web.Response:
    results = [_collection(slug) for slug in _COLLECTIONS]
    return web.json_response({"next": None, "previous": None, "results": results})


@routes.get("/v1/collections/{slug}")
async def get_collection(request: web.Request) -> web.Response:
    slug = request.match_info["slug"]
    if slug not in _COLLECTIONS:
        raise not_found()
    base_url = request.app[SERVICE].settings.base_url
    models = [model_json(model, base_url) for model in MODELS.values() if model.kind == _COLLECTIONS[slug][1]]
    return web.json_response({**_collection(slug), "models": models})


@routes.get("/v1/hardware")
async def list_hardware(_: web.Request) -> web.Response:
    return web.json_response([{"sku": sku, "name": name} for sku, name in _HARDWARE.items()])


@routes.get("/v1/account")
async def get_account(_: web.Request) -> web.Response:
    return web.json_response({"type": "organization", "username": "local", "name": "Local", "github_url": None})


def _all_of(request: web.Request, models: Sequence[Model]) -> web.Response:
    base_url = request.app[SERVICE].settings.base_url
    results = [model_json(model, base_url) for model in models]
    return web.json_response({"next": None, "previous": None, "results": results})


def _collection(slug: str) -> dict[str, Any]:
    name, kind = _COLLECTIONS[slug]
    return {"name": name, "slug": slug, "description": f"Models that make {kind}"}


def _cursor(start: int) -> str:
    return base64.urlsafe_b64encode(f"p={start}".encode()).decode().rstrip("=")


def _start(request: web.Request) -> int:
    if "cursor" not in request.query:
        return 0
    try:
        return int(base64.urlsafe_b64decode(request.query["cursor"] + "==").decode().removeprefix("p="))
    except ValueError as error:
        raise ApiError(400, "Bad request", "The cursor cannot be read") from error
