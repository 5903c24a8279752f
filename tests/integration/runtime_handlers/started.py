"""Starts the local runtime on free ports with the handlers beside this file."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from local.runtime.config import AdminCredentials, RuntimeConfig, WorldPorts, Worlds
from tests.patience import PATIENCE_SECONDS

HANDLERS = Path(__file__).parent
ROOT = HANDLERS.parents[2]
PLAN = "rt-test"


@dataclass(frozen=True)
class Runtime:
    config: RuntimeConfig
    process: "subprocess.Popen[bytes]"

    def invoke(self, function: str, event: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> "Answer":
        path = f"/2015-03-31/functions/{function}/invocations"
        return call(self.config.runner_port, "POST", path, headers or {}, json.dumps(event).encode())

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> "Answer":
        """Through the gateway; `path` is without the stage."""
        return call(self.config.gateway_port, method, f"/local{path}", headers or {}, body)

    def function_log(self, function: str) -> str:
        return (self.config.logs_dir / "functions" / f"{function}.log").read_text()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(port: int, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        response: HTTPResponse = connection.getresponse()
        return Answer(response.status, response.headers, response.read())  # type: ignore[arg-type]
    finally:
        connection.close()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()


@contextmanager
def running_runtime(
    folder: Path,
    functions: Mapping[str, Mapping[str, Any]],
    *,
    keys: tuple[str, ...] = (),
    inside: tuple[int, ...] = (),
    outside: tuple[int, ...] = (),
    **settings: Any,
) -> Iterator[Runtime]:
    gateway, runner, runtime_api = free_ports(3)
    sources = folder / "functions.json"
    sources.write_text(json.dumps({"functions": functions, "usagePlans": {PLAN: keys}}))
    config = RuntimeConfig(
        gateway_port=gateway,
        runner_port=runner,
        runtime_api_port=runtime_api,
        ministack_url="http://127.0.0.1:9",
        template_files=(HANDLERS / "template.json",),
        stage="local",
        region="us-east-1",
        project_root=ROOT,
        python_executable=Path(sys.executable),
        logs_dir=folder / "logs",
        opt_bin_dir=folder / "bin",
        worlds=Worlds(inside=WorldPorts(ports=inside), outside=WorldPorts(ports=outside)),
        admin_credentials=AdminCredentials(access_key_id="none", secret_access_key="none"),
        python_path=(HANDLERS,),
        functions_file=sources,
        **settings,
    )
    file = folder / "runtime.json"
    file.write_text(config.to_json())
    process = subprocess.Popen([sys.executable, "-m", "local.runtime", "--config", str(file)], cwd=ROOT)
    try:
        _wait_until_healthy(runner, process)
        yield Runtime(config, process)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _wait_until_healthy(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the runtime ended at its start"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
        except (OSError, HTTPException):
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the runtime did not become healthy")
