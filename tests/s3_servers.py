"""S3 servers as tests of a contract see them: ours as a process of its own, MiniStack's, moto's."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from local.layout import Layout, find_layout
from local.ministack import ACCESS_KEY_ID, REGION, Ministack
from local.s3.config import ServerConfig
from local.supervisor import Supervisor
from tests.patience import PATIENCE_SECONDS

SECRET = "a-secret-of-this-test-run"
PART_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class S3Server:
    """Where a server is, and its root key."""

    name: str
    url: str

    def client(self, service: str = "s3", **given: Any) -> Any:
        """boto3 as the product sets it up; `given` are other keys, or a botocore `config`."""
        keys = {"aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET, **given}
        style = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        if service == "s3":
            style = style.merge(Config(signature_version="s3v4"))
        config = style.merge(keys.pop("config", None) or Config())
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, config=config, **keys)


@dataclass
class OwnServer:
    """Our server on ports and a folder that outlive its process."""

    config: ServerConfig
    process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> S3Server:
        return S3Server("ours", f"http://127.0.0.1:{self.config.port}")

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self.config.control_port}/_control"

    def start(self) -> None:
        file = self.config.directory / "config.json"
        file.write_text(self.config.model_dump_json(by_alias=True))
        self.process = subprocess.Popen([sys.executable, "-m", "local.s3", "--config", str(file)])
        with httpx.Client() as client:
            wait_for(lambda: client.get(f"{self.control_url}/health").is_success)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=PATIENCE_SECONDS)

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        return httpx.request(method, f"{self.control_url}/{path}", json=body)


@contextmanager
def own_server(directory: Path, services_url: str | None = None) -> Iterator[OwnServer]:
    """Running, and ended afterwards however it was left."""
    directory.mkdir(parents=True, exist_ok=True)
    config = ServerConfig(
        port=free_port(),
        control_port=free_port(),
        directory=directory,
        access_key_id=ACCESS_KEY_ID,
        secret_access_key=SECRET,
        region=REGION,
        services_url=services_url,
        fsync=False,
    )
    own = OwnServer(config)
    own.start()
    try:
        yield own
    finally:
        own.end()


@contextmanager
def ministack_server(directory: Path) -> Iterator[S3Server]:
    directory.mkdir(parents=True, exist_ok=True)
    layout = Layout(root=find_layout().root, state=directory)
    ministack, supervisor = Ministack(free_port(), SECRET), Supervisor(layout)
    supervisor.start(ministack.part(layout, {"PATH": "/usr/bin:/bin"}, {}))
    try:
        supervisor.wait_ready()
        yield S3Server("ministack", ministack.url)
    finally:
        supervisor.stop()


@contextmanager
def moto_server(_: Path) -> Iterator[S3Server]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3Server("moto", f"http://{host}:{port}")
    finally:
        server.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def wait_for(look: Any, seconds: float = 60) -> Any:
    """What `look` answers once that is true; a server that does not answer yet is not."""
    end = time.monotonic() + seconds
    while not (found := _looked(look)):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


def _looked(look: Any) -> Any:
    try:
        return look()
    except httpx.TransportError:
        return None


@contextmanager
def refused(code: str, status: int) -> Iterator[dict[str, Any]]:
    """The call inside is answered with this error; gives its `Error` element."""
    details: dict[str, Any] = {}
    try:
        yield details
    except ClientError as error:
        answer = error.response
        details.update(answer["Error"])
        assert (details["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status), answer
        return
    raise AssertionError(f"expected {code}, but the call went through")


def error_code(answer: httpx.Response) -> str:
    """The code in S3's error document, with its status before it: `403 AccessDenied`."""
    code = answer.text.partition("<Code>")[2].partition("</Code>")[0]
    return f"{answer.status_code} {code}"
