"""`python -m local.provider --port N --state DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path

import imageio_ffmpeg
from aiohttp import web

from local.provider.server import build


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(prog="python -m local.provider")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--ffmpeg", default=None)
    parser.add_argument("--webhook-secret", default=None)
    given = parser.parse_args()
    web.run_app(_application(given), host="127.0.0.1", port=given.port, print=None, handler_cancellation=False)


async def _application(given: argparse.Namespace) -> web.Application:
    base_url = f"http://127.0.0.1:{given.port}"
    ffmpeg = given.ffmpeg or imageio_ffmpeg.get_ffmpeg_exe()
    provider = build(given.state, base_url, ffmpeg, given.webhook_secret)
    provider.queue.resume()
    return provider.application()


if __name__ == "__main__":
    main()
