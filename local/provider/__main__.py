"""`--port N --state DIR [--public-port N] [--ffmpeg PATH] [--token T] [--webhook-secret S]`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import imageio_ffmpeg
from aiohttp import web

from local.provider.server import application
from local.provider.service import Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="local.provider", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True, help="folder of the database and the media")
    parser.add_argument("--ffmpeg", help="default: the binary of imageio-ffmpeg")
    parser.add_argument("--token", help="the only token to take; default: any")
    parser.add_argument("--webhook-secret", help="whsec_...; default: made once and kept in the state folder")
    parser.add_argument("--public-port", type=int, help="what links name; default: the port")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = Settings(
        given.port,
        given.state.resolve(),
        given.ffmpeg or imageio_ffmpeg.get_ffmpeg_exe(),
        given.token,
        given.webhook_secret,
        given.public_port,
    )
    web.run_app(
        application(settings),
        host="127.0.0.1",
        port=settings.port,
        shutdown_timeout=2,
        print=None,
        handle_signals=True,
        access_log=None,
    )


if __name__ == "__main__":
    main()
