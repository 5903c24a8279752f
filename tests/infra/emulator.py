"""MiniStack alone, for stacks to be deployed into: its functions are answered for, by one server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
from botocore.config import Config

from local.deploy import connect_services
from local.layout import Layout, find_layout
from local.ministack import Ministack
from local.processes import wait_until

READY_SECONDS = 120
# Where MiniStack posts a function's events.
PROXY_VARIABLE = "MINISTACK_LAMBDA_PROXY_URL"
REFUSING_FUNCTION, REFUSING_PATH = "rehearsal-refuses", "refuse"
REFUSAL = "the rehearsal asked for a failure"


class _Functions(BaseHTTPRequestHandler):
    """Every function's answer: to CloudFormation that all went well, or nothing did; to anybody else nothing."""

    attributes: frozenset[str] = frozenset()

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
        if isinstance(event, dict) and "ResponseURL" in event:
            self._answer_cloudformation(event)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"null")

    def _answer_cloudformation(self, event: dict[str, Any]) -> None:
        told = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
        made = event.get("PhysicalResourceId", f"rehearsed-{event['LogicalResourceId']}")
        data = dict.fromkeys(self.attributes, "rehearsed")
        refuses = self.path == f"/{REFUSING_PATH}" and event["RequestType"] != "Delete"
        verdict = {"Status": "FAILED", "Reason": REFUSAL} if refuses else {"Status": "SUCCESS"}
        body = json.dumps({**told, **verdict, "PhysicalResourceId": made, "Data": data}).encode()
        with urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], method="PUT", data=body), timeout=30):
            pass

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@dataclass(frozen=True)
class Emulator:
    """MiniStack and the address of its functions."""

    session: boto3.Session
    url: str
    functions_url: str

    def client(self, service: str) -> Any:
        once = Config(retries={"total_max_attempts": 1}, read_timeout=300)
        return self.session.client(service, endpoint_url=self.url, config=once)  # type: ignore[call-overload]

    def make_refusing_function(self) -> None:
        """A function that answers CloudFormation that what it asks for has failed."""
        role = self.client("iam").create_role(RoleName=REFUSING_FUNCTION, AssumeRolePolicyDocument="{}")["Role"]
        self.client("lambda").create_function(
            FunctionName=REFUSING_FUNCTION,
            Role=role["Arn"],
            Runtime="python3.13",
            Handler="none.none",
            Code={"ZipFile": b"PK\x05\x06" + bytes(18)},
            Environment={"Variables": {PROXY_VARIABLE: f"{self.functions_url}{REFUSING_PATH}"}},
        )

    def reset(self) -> None:
        """Forgets everything."""
        request = urllib.request.Request(f"{self.url}/_ministack/reset", method="POST", data=b"")
        with urllib.request.urlopen(request, timeout=60):
            pass


@contextmanager
def emulator(state: Path, attributes: frozenset[str]) -> Iterator[Emulator]:
    """Runs it as long as the block; `attributes` are what templates ask of custom resources."""
    answering = type("Answering", (_Functions,), {"attributes": attributes})
    functions = ThreadingHTTPServer(("127.0.0.1", 0), answering)
    Thread(target=functions.serve_forever, daemon=True).start()
    ministack = Ministack(_free_port(), "rehearsal-secret")
    process = _start(ministack, Layout(root=find_layout().root, state=state))
    try:
        services = connect_services(ministack)
        address = f"http://127.0.0.1:{functions.server_port}/"
        yield Emulator(services.session, ministack.url, address)
    finally:
        process.terminate()
        process.wait()
        functions.shutdown()
        functions.server_close()


def _start(ministack: Ministack, layout: Layout) -> subprocess.Popen[bytes]:
    part = ministack.part(layout, os.environ, {})
    with (layout.state / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            part.command, env=dict(part.environment), cwd=part.directory, stdout=log, stderr=subprocess.STDOUT
        )
    if not wait_until(lambda: _answers(ministack), READY_SECONDS, pause_seconds=0.1):
        process.kill()
        raise AssertionError(f"MiniStack did not start: {(layout.state / 'ministack.log').read_text()[-2000:]}")
    return process


def _answers(ministack: Ministack) -> bool:
    try:
        return ministack.answers()
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
