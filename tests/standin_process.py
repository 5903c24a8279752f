"""The provider's stand-in as a process of a test's own, and what its webhooks and media are looked at with."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import imageio_ffmpeg
from replicate.client import Client

from tests.patience import PATIENCE_SECONDS
from tests.scripted_server import Asked, ScriptedServer

VIDEO, IMAGE, TEXT = "bytedance/seedance-1-lite", "black-forest-labs/flux-schnell", "meta/meta-llama-3-8b-instruct"
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


@dataclass
class StandIn:
    """The stand-in as a process on a port and a state folder that outlive it; without a token it takes any."""

    state: Path
    token: str | None = None
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    http: httpx.Client = field(init=False)
    sdk: Client = field(init=False)

    def __post_init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": "Bearer r8_test"},
            timeout=PATIENCE_SECONDS,
        )
        self.sdk = Client(api_token="r8_test", base_url=str(self.http.base_url))

    def close(self) -> None:
        self.http.close()
        self.sdk._client.close()

    def start(self) -> None:
        command = [sys.executable, "-m", "local.provider", "--port", str(self.port), "--state", str(self.state)]
        command += ["--token", self.token] if self.token else []
        self.process = subprocess.Popen(command)
        wait_for(self._answers)

    def end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=PATIENCE_SECONDS)

    def _answers(self) -> bool:
        try:
            return self.http.get("/_standin/health").is_success
        except httpx.TransportError:
            return False

    def create(self, model: str, prompt: str, more: dict[str, Any] | None = None, **body: Any) -> httpx.Response:
        """`more` are inputs beside the prompt; a clip is one second of a small picture unless steered."""
        short = "[size=320x180][duration=1]" if model == VIDEO and "[size" not in prompt else ""
        given = {"input": {"prompt": prompt + short, **(more or {})}, "version": model, **body}
        return self.http.post("/v1/predictions", json=given, timeout=PATIENCE_SECONDS)

    def made(self, prediction_id: str) -> dict[str, Any]:
        """The control API's account of a prediction."""
        return next(row for row in self.http.get("/_standin/predictions").json() if row["id"] == prediction_id)

    def ended(self, created: httpx.Response) -> dict[str, Any]:
        """The prediction in its final state."""
        assert created.status_code == 201, created.text
        link = created.json()["urls"]["get"]
        wait_for(lambda: self.http.get(link).json()["completed_at"])
        return dict(self.http.get(link).json())

    def output(self, created: httpx.Response) -> httpx.Response:
        """The first output, fetched without a token."""
        output = self.ended(created)["output"]
        return httpx.get(output if isinstance(output, str) else output[0])


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@contextmanager
def running(state: Path, token: str | None = None) -> Iterator[StandIn]:
    """Started, and ended with the block."""
    standin = StandIn(state, token)
    try:
        standin.start()
        yield standin
    finally:
        standin.end(signal.SIGTERM)
        standin.close()


def heard(hooks: ScriptedServer, path: str) -> list[Asked]:
    return [asked for asked in hooks.asked if asked.path == path]


def streams(media: bytes, folder: Path) -> str:
    """FFmpeg's own words on the streams of a file."""
    path = folder / "media"
    path.write_bytes(media)
    done = subprocess.run([FFMPEG, "-hide_banner", "-i", str(path), "-f", "null", "-"], capture_output=True, text=True)
    return done.stderr
