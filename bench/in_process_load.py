"""Handlers measured in processes of their own, with the environment and role their function has on the stack."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.api_calls import Api
from bench.load import Measured
from local.layout import Layout
from local.runtime.config import load_config
from local.runtime.deployed import DeployedSource
from local.runtime.functions import FunctionConfig, RoleCredentials
from local.runtime.template import Templates
from local.runtime.variables import environment_variables

FUNCTION_OF = {"status": "status", "webhook": "webhook", "generate": "generate-media"}
EVENTS = 3000


class Handlers:
    """The functions of a running stack."""

    def __init__(self, layout: Layout, api: Api) -> None:
        self._config = load_config(layout.runtime_file)
        self._source = DeployedSource(self._config, Templates.read(self._config.template_files))
        self._api = api

    def measure(self, name: str, processes: int, seconds: float) -> Measured:
        """So many processes at once, each calling the handler back to back."""
        function, credentials = asyncio.run(self._deployed(f"vsl-{self._config.stage}-{FUNCTION_OF[name]}"))
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            variables = environment_variables(
                function, credentials, self._config, runtime_api="127.0.0.1:1", scratch=scratch
            )
            running = [self._start(name, function, variables, seconds, scratch / str(n)) for n in range(processes)]
            assert all(process.wait() == 0 for process in running), f"{function.name} failed in process"
            found = [json.loads((scratch / f"{n}.result").read_text()) for n in range(processes)]
        return Measured(
            max(one["seconds"] for one in found),
            tuple(latency for one in found for latency in one["latenciesMs"]),
            wrong=sum(one["wrong"] for one in found),
        )

    async def _deployed(self, name: str) -> tuple[FunctionConfig, RoleCredentials]:
        function = await self._source.function(name)
        return function, await self._source.credentials(function)

    def _start(
        self, name: str, function: FunctionConfig, variables: Mapping[str, str], seconds: float, base: Path
    ) -> subprocess.Popen[bytes]:
        events = base.with_suffix(".events")
        calls = (self._api.makers[name]() for _ in range(EVENTS))
        events.write_text(
            "".join(json.dumps({"event": self._api.event_of(c), "expected": c.expected}) + "\n" for c in calls)
        )
        command = [
            sys.executable,
            "-m",
            "bench.in_process",
            function.handler,
            str(seconds),
            str(base.with_suffix(".result")),
        ]
        with events.open("rb") as source:
            return subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL, env=dict(variables))
