"""`python -m local.s3 --config FILE`: the server and its control port, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from aiohttp import web

from local.s3.config import ServerConfig
from local.s3.control import control_application
from local.s3.credentials import Credential, Keyring
from local.s3.events import Sender
from local.s3.index import Index
from local.s3.pace import Pace
from local.s3.permits import Permits, policies_of_iam
from local.s3.segments import Segments
from local.s3.server import Server
from local.s3.service import Service

_HOST = "127.0.0.1"
_log = logging.getLogger("local.s3")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.s3", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    config = ServerConfig.model_validate_json(parser.parse_args().config.read_bytes())
    asyncio.run(_serve(open_service(config)))


def open_service(config: ServerConfig) -> Service:
    """Opens the store of the configured directory and removes what a crash left half done."""
    segments = Segments(config.directory / "segments")
    index = Index(config.directory / "index.sqlite", fsync=config.fsync)
    lengths = segments.lengths()
    for lost in index.drop_unless(lengths):
        _log.error("%s is lost: the disk does not hold its bytes", lost)
    segments.remove(index.unused(lengths))
    root = Credential(config.access_key_id, config.secret_access_key)
    permits = Permits(policies_of_iam(config))
    return Service(config, index, segments, Keyring(root), permits, Pace(), Sender(index, config))


async def _serve(service: Service) -> None:
    stopped, config = asyncio.Event(), service.config
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = web.Server(Server(service).handle, access_log=None, auto_decompress=False, keepalive_timeout=60)
    runners: list[tuple[web.BaseRunner, int]] = [
        (web.ServerRunner(server, shutdown_timeout=1), config.port),
        (web.AppRunner(control_application(service), access_log=None, shutdown_timeout=1), config.control_port),
    ]
    sending = asyncio.create_task(service.sender.run())
    for runner, port in runners:
        await runner.setup()
        await web.TCPSite(runner, _HOST, port).start()
    await asyncio.wait({sending, asyncio.create_task(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
    for runner, _ in runners:
        await runner.cleanup()
    if sending.done():
        sending.result()  # it never ends but by a mistake, which must be seen
    sending.cancel()
    service.index.close()


if __name__ == "__main__":
    main()
