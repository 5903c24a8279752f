"""The control port: sessions the server is to know, and how slow it is to be.

A port of its own, which no function's world may connect to.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from local.s3.credentials import Credential
from local.s3.pace import PaceSettings
from local.s3.service import Service

_SERVICE: web.AppKey[Service] = web.AppKey("service", Service)


class SessionModel(BaseModel):
    """What AssumeRole answered; `expires_at` is Unix time in seconds."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="forbid")

    secret_access_key: str
    session_token: str
    role_arn: str
    expires_at: float


def control_application(service: Service) -> web.Application:
    """`GET /_control/health`; `PUT /_control/sessions/{accessKeyId}`; `GET`, `PUT`, `DELETE /_control/pace`."""
    application = web.Application()
    application[_SERVICE] = service
    application.add_routes(
        [
            web.get("/_control/health", _health),
            web.put("/_control/sessions/{key}", _put_session),
            web.get("/_control/pace", _get_pace),
            web.put("/_control/pace", _put_pace),
            web.delete("/_control/pace", _delete_pace),
        ]
    )
    return application


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"buckets": [bucket.name for bucket in request.app[_SERVICE].index.buckets()]})


async def _put_session(request: web.Request) -> web.Response:
    given = _read(SessionModel, await request.read())
    session = Credential(
        request.match_info["key"], given.secret_access_key, given.session_token, given.role_arn, given.expires_at
    )
    request.app[_SERVICE].keyring.add(session)
    return web.Response(status=204)


async def _get_pace(request: web.Request) -> web.Response:
    return _pace(request)


async def _put_pace(request: web.Request) -> web.Response:
    request.app[_SERVICE].pace.settings = _read(PaceSettings, await request.read())
    return _pace(request)


async def _delete_pace(request: web.Request) -> web.Response:
    request.app[_SERVICE].pace.settings = PaceSettings()
    return _pace(request)


def _pace(request: web.Request) -> web.Response:
    return web.json_response(request.app[_SERVICE].pace.settings.model_dump(by_alias=True, mode="json"))


def _read(model: Any, body: bytes) -> Any:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
