"""The application: routes, gate and the service's life."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from local.provider import control, delivery, files, listings, routes, runway, streaming
from local.provider.answers import errors_as_json, gate
from local.provider.service import SERVICE, Settings, running


def application(settings: Settings) -> web.Application:
    """Unfinished predictions of the state folder go on as soon as the application starts."""

    async def service_life(app: web.Application) -> AsyncIterator[None]:
        async with running(settings) as service:
            app[SERVICE] = service
            yield

    app = web.Application(middlewares=[errors_as_json, gate(settings.token)], client_max_size=files.MAX_UPLOAD_BYTES)
    for part in (routes, listings, streaming, files, delivery, control, runway):
        app.add_routes(part.routes)
    app.cleanup_ctx.append(service_life)
    return app
