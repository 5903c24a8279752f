"""`python -m local.runtime --config FILE`: the runner and the gateway, until SIGTERM or SIGINT."""

import argparse
import asyncio
import signal
from pathlib import Path

from aiohttp import web

from local.runtime.config import RuntimeConfig, load_config
from local.runtime.deployed import DeployedSource
from local.runtime.functions import FileSource, FunctionSource
from local.runtime.gateway import build_gateway
from local.runtime.invoke_server import invoke_application
from local.runtime.runner import Runner
from local.runtime.template import Templates

_HOST = "127.0.0.1"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.runtime", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    asyncio.run(_serve(load_config(parser.parse_args().config)))


async def _serve(config: RuntimeConfig) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    templates = Templates.read(config.template_files)
    source = _source(config, templates)
    runner = Runner(config, source)
    gateway = build_gateway(config, templates, runner, source)
    servers: list[tuple[web.BaseRunner, int]] = [
        (web.AppRunner(invoke_application(runner), access_log=None, shutdown_timeout=1), config.runner_port),
        (web.ServerRunner(gateway.server(), shutdown_timeout=1), config.gateway_port),
    ]
    await runner.start()
    for server, port in servers:
        await server.setup()
        await web.TCPSite(server, _HOST, port).start()
    await stopped.wait()
    for server, _ in servers:
        await server.cleanup()
    await runner.stop()
    gateway.close()


def _source(config: RuntimeConfig, templates: Templates) -> FunctionSource:
    if config.functions_file is None:
        return DeployedSource(config, templates)
    return FileSource(config.functions_file, region=config.region)


if __name__ == "__main__":
    main()
