"""Uploads: POST, GET and DELETE /v1/files. An upload's link may be the image input of a prediction."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from typing import Any

from aiohttp import BodyPartReader, web

from local.provider.answers import ApiError, not_found
from local.provider.predictions import moment
from local.provider.service import SERVICE, Service

MAX_UPLOAD_BYTES = 100 * 1024 * 1024
_LIFETIME_SECONDS = 86_400

routes = web.RouteTableDef()


@routes.post("/v1/files")
async def create_file(request: web.Request) -> web.Response:
    """multipart/form-data with the part `content` and, if wanted, `metadata` as JSON."""
    if not request.content_type.startswith("multipart/"):
        raise ApiError(400, "Bad request", "Missing content")
    content: bytes | None = None
    facts: dict[str, Any] = {"metadata": {}}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        read = bytes(await part.read())
        if part.name == "metadata":
            facts["metadata"] = json.loads(read)
        if part.name == "content":
            content = read
            facts |= {
                "name": part.filename or "file",
                "content_type": part.headers.get("Content-Type", "application/octet-stream"),
            }
    if content is None:
        raise ApiError(400, "Bad request", "Missing content")
    return web.json_response(_store(request.app[SERVICE], content, facts), status=201)


@routes.get("/v1/files")
async def list_files(request: web.Request) -> web.Response:
    rows = request.app[SERVICE].database.execute("SELECT facts FROM files ORDER BY seq DESC").fetchall()
    return web.json_response({"next": None, "previous": None, "results": [json.loads(r["facts"]) for r in rows]})


@routes.get("/v1/files/{id}")
async def get_file(request: web.Request) -> web.Response:
    row = (
        request.app[SERVICE]
        .database.execute("SELECT facts FROM files WHERE id = ?", (request.match_info["id"],))
        .fetchone()
    )
    if row is None:
        raise not_found()
    return web.json_response(json.loads(row["facts"]))


@routes.delete("/v1/files/{id}")
async def delete_file(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    row = service.database.execute(
        "DELETE FROM files WHERE id = ? RETURNING id", (request.match_info["id"],)
    ).fetchone()
    if row is None:
        raise not_found()
    (service.uploads / row["id"]).unlink(missing_ok=True)
    return web.Response(status=204)


def _store(service: Service, content: bytes, facts: dict[str, Any]) -> dict[str, Any]:
    file_id, now = secrets.token_hex(24), time.time()
    (service.uploads / file_id).write_bytes(content)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    shown = {
        "id": file_id,
        **facts,
        "size": len(content),
        "etag": md5,
        "checksums": {"sha256": hashlib.sha256(content).hexdigest(), "md5": md5},
        "created_at": moment(now),
        "expires_at": moment(now + _LIFETIME_SECONDS),
        "urls": {"get": f"{service.settings.base_url}/v1/files/{file_id}"},
    }
    service.database.execute("INSERT INTO files (id, facts) VALUES (?, ?)", (file_id, json.dumps(shown)))
    return shown
