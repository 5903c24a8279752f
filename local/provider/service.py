"""What the routes share, and how it is put together and taken down."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from local.provider.database import open_database, set_setting, setting
from local.provider.lifecycle import Runner, Workshop
from local.provider.predictions import Predictions
from local.provider.rendering import Renderer
from local.provider.sources import Sources
from local.provider.webhooks import Webhooks, new_secret

_EXPIRY_PERIOD_SECONDS = 1.0


@dataclass(frozen=True)
class Settings:
    """`token` None takes any bearer token; `webhook_secret` None keeps the one of the state folder.

    `public_port` is what its links name, where callers reach it through something else.
    """

    port: int
    state: Path
    ffmpeg: str
    token: str | None = None
    webhook_secret: str | None = None
    public_port: int | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.public_port or self.port}"


@dataclass(frozen=True)
class Service:
    settings: Settings
    database: sqlite3.Connection
    predictions: Predictions
    webhooks: Webhooks
    runner: Runner
    secret: str
    media: Path
    uploads: Path

    def switches(self) -> dict[str, str]:
        stored: dict[str, str] = json.loads(setting(self.database, "switches") or "{}")
        return stored

    def expire(self) -> None:
        """Takes away what is past its hour; called before anything is shown, and each second."""
        for folder in self.predictions.expire_due(time.time()):
            shutil.rmtree(self.media / folder, ignore_errors=True)

    async def reset(self) -> None:
        """Forgets all predictions, their media and pending webhooks. Switches and secret stay."""
        await self.runner.close()
        await self.webhooks.close()
        self.predictions.clear()
        shutil.rmtree(self.media, ignore_errors=True)
        self.media.mkdir()


SERVICE: web.AppKey[Service] = web.AppKey("service")


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Service]:
    """A service that goes on where the state folder stops, until the block ends."""
    database = open_database(settings.state)
    secret = _secret(database, settings.webhook_secret)
    media, uploads = settings.state / "media", settings.state / "files"
    uploads.mkdir(exist_ok=True)
    async with aiohttp.ClientSession() as session:
        predictions, webhooks = Predictions(database), Webhooks(database, session, secret)
        sources = Sources(session, settings.base_url, uploads)
        runner = Runner(Workshop(predictions, webhooks, Renderer(settings.ffmpeg), sources, media, settings.base_url))
        service = Service(settings, database, predictions, webhooks, runner, secret, media, uploads)
        webhooks.resume()
        runner.resume()
        sweeper = asyncio.create_task(_expire_forever(service))
        try:
            yield service
        finally:
            sweeper.cancel()
            await runner.close()
            await webhooks.close()
            database.close()


async def _expire_forever(service: Service) -> None:
    while True:
        service.expire()
        await asyncio.sleep(_EXPIRY_PERIOD_SECONDS)


def _secret(database: sqlite3.Connection, given: str | None) -> str:
    secret = given or setting(database, "webhook_secret") or new_secret()
    set_setting(database, "webhook_secret", secret)
    return secret
