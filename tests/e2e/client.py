"""A client of the running stack, as the tests use it: plain HTTP, nothing of the product's own code."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from tests.patience import PATIENCE_SECONDS

ENDED = ("completed", "failed", "cancelled", "timeout")
ERROR_FIELDS = {"success", "error", "code", "details", "requestId"}


@dataclass(frozen=True)
class Answer:
    """Status, headers with lower-case names, and the body as JSON (None when it is empty)."""

    status: int
    headers: Mapping[str, str]
    body: Any

    def refuses(self, status: int, code: str) -> str:
        """Asserts an error in the API's own shape and answers its sentence with all details, for the test."""
        assert (self.status, self.body.get("code")) == (status, code), self.body
        assert set(self.body) == ERROR_FIELDS
        assert self.body["success"] is False
        assert self.body["requestId"]
        assert self.body["error"].endswith((".", "!"))
        assert self.headers["content-type"] == "application/json"
        assert "Traceback" not in json.dumps(self.body)
        return " | ".join([self.body["error"], *(f"{d['path']}: {d['message']}" for d in self.body["details"])])

    def data(self, status: int = 200) -> Any:
        """Asserts the status and answers the body's `data`, or the body where there is none."""
        assert self.status == status, self.body
        return self.body.get("data", self.body) if isinstance(self.body, dict) else self.body


@dataclass(frozen=True)
class Api:
    """Calls with one key."""

    base_url: str
    key: str | None

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """`body` is sent as JSON, bytes as they are."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **({"X-API-Key": self.key} if self.key else {}), **(headers or {})}
        request = urllib.request.Request(self.base_url + path, method=method, data=data, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return _answer(response)
        except urllib.error.HTTPError as refused:
            with refused:
                return _answer(refused)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", path, {} if body is None else body, named)

    def generate(self, prompt: str, **changes: Any) -> str:
        """Asks for media (a short clip unless told otherwise) and answers the job's id."""
        return str(self.post("/generate-media", a_clip(prompt, **changes)).data(202)["jobId"])

    def ended(self, job_id: str) -> Any:
        """The job when it has ended."""
        return eventually(
            lambda: job if (job := self.get(f"/status/{job_id}?wait=5").data())["status"] in ENDED else None,
            lambda: f"job {job_id} does not end: {self.get(f'/status/{job_id}').body}",
        )

    def completed(self, job_id: str) -> Any:
        """The job, which must have completed."""
        job = self.ended(job_id)
        assert job["status"] == "completed", job
        return job

    def script(self) -> int:
        """A new script's id."""
        return int(self.post("/api/scripts", {"sectionId": 7}).data(201)["scriptId"])

    def videos(self, script_id: int) -> list[Any]:
        """The script's clips in order."""
        videos: list[Any] = self.get(f"/api/section-videos?scriptId={script_id}").data()
        return videos


def a_clip(prompt: str, **changes: Any) -> dict[str, Any]:
    """A request for the cheapest clip there is: two seconds, 480p."""
    parameters = {"prompt": prompt, "duration": 2, "resolution": "480p"}
    body = {"userId": "tester", "mediaType": "video", "modelId": "seedance-1-lite", "parameters": parameters}
    return {**body, **changes}


def a_text(prompt: str, **changes: Any) -> dict[str, Any]:
    """A request for text: the quickest job there is."""
    body = {"userId": "tester", "mediaType": "text", "modelId": "llama-3-8b-instruct"}
    return {**body, "parameters": {"prompt": prompt}, **changes}


def eventually(look: Callable[[], Any], complaint: Callable[[], str]) -> Any:
    """What `look` finds; AssertionError with `complaint` when it finds nothing in good time."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < give_up, complaint()
        time.sleep(0.1)
    return found


def fetch(url: str) -> tuple[str, bytes]:
    """Content type and bytes behind a signed URL."""
    with urllib.request.urlopen(url, timeout=60) as response:
        return response.headers["Content-Type"], response.read()


def pictures(url: str, folder: Path) -> list[str]:
    """The checksums of all decoded frames of a video, in order."""
    return [line.split(",")[-1].strip() for line in _decoded(url, folder, "0:v:0")]


def sounds(url: str, folder: Path) -> int:
    """How many packets of decoded sound a video has; 0 without a sound track."""
    return len(_decoded(url, folder, "0:a:0"))


def _decoded(url: str, folder: Path, stream: str) -> list[str]:
    path = folder / "fetched"
    path.write_bytes(fetch(url)[1])
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", stream]
    argv += ["-fps_mode", "passthrough", "-f", "framecrc", "-"]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    return [line for line in run.stdout.splitlines() if line and not line.startswith("#")]


def _answer(response: Any) -> Answer:
    text = response.read()
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, headers, json.loads(text) if text else None)
