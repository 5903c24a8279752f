"""The main job on the running local stack, as a client would do it: three clips, approved, one film."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import imageio_ffmpeg

from local.interrupts import check_stop
from local.redis import refusals

PROMPTS = (
    "A lighthouse at dawn, slow dolly in",
    "Waves under the cliffs, aerial shot",
    "The lamp comes on at dusk, close up",
)
MODEL = "seedance-1-lite"
CLIP_SECONDS = 3
# A busy machine makes the clips many times slower than an idle one.
PATIENCE_SECONDS = 900
ANSWER_SECONDS = 60
BUSY = (429, 502, 503, 504)
ENDED = ("completed", "failed", "cancelled", "timeout")


class DemoFailed(Exception):
    """The main job did not end with a verified film."""


class StackBusy(DemoFailed):
    """The answer may be another one when the same request is sent again."""


@dataclass
class Client:
    """Calls the API with the stack's key."""

    base_url: str
    api_key: str

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> dict[str, Any]:
        """The JSON answer, as the API's errors ask for it: sent again, with the same key, while the stack is too busy.

        Raises DemoFailed with the API's own sentence.
        """
        own = {"X-API-Key": self.api_key, "Content-Type": "application/json"}
        request = urllib.request.Request(
            self.base_url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=own if body is None else {**own, "Idempotency-Key": key or str(uuid4())},
        )
        give_up = time.monotonic() + PATIENCE_SECONDS
        while isinstance(answer := _answer(request), StackBusy):
            check_stop()
            if time.monotonic() > give_up:
                raise answer
            time.sleep(1)
        return answer


def _answer(request: urllib.request.Request) -> dict[str, Any] | StackBusy:
    asked = f"{request.method} {request.selector}"
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        refusal = f"{asked} answered {error.code}: {error.read().decode()[:500]}; see `make logs`"
        if error.code not in BUSY:
            raise DemoFailed(refusal) from error
        return StackBusy(refusal)
    except OSError as error:
        return StackBusy(f"{asked} was not answered: {error}; see `make logs`")


@dataclass
class Steps:
    """Prints every step with its time and keeps them for the table."""

    rows: list[tuple[str, float, str]] = field(default_factory=list)

    def run(self, name: str, action: Callable[[], Any], note: Callable[[Any], str] = lambda _: "") -> Any:
        """Runs one step."""
        print(f"  {name} ...", end="", flush=True)
        check_stop()
        started = time.monotonic()
        try:
            result = action()
        except BaseException:
            print(flush=True)  # what ends the step is told on a line of its own
            raise
        taken = time.monotonic() - started
        self.rows.append((name, taken, note(result)))
        print(f"\r  {name:<44} {taken:6.2f} s  {note(result)}", flush=True)
        return result

    def table(self) -> str:
        """All steps as a Markdown table."""
        lines = ["| step | seconds | |", "| --- | ---: | --- |"]
        lines += [f"| {name} | {taken:.2f} | {note} |" for name, taken, note in self.rows]
        return "\n".join([*lines, f"| **in all** | **{sum(row[1] for row in self.rows):.2f}** | |", ""])


def main(state: Path, out: Path) -> int:
    """Runs the demo against `state/stack.json`; 0 when a verified film lies in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    stack = json.loads((state / "stack.json").read_text("utf8"))
    client, steps, began = Client(stack["baseUrl"], stack["apiKey"]), Steps(), time.monotonic()
    try:
        _run(client, steps, out)
        _nothing_refused(stack["redisUrl"], time.monotonic() - began)
    except DemoFailed as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    finally:
        (out / "steps.md").write_text(steps.table(), "utf8")
    made = {"film": "film.mp4", "contact sheet": "contact-sheet.png", "steps": "steps.md"}
    print("", *(f"  {name:<14} {_from_here(out / file)}" for name, file in made.items()), sep="\n")
    return 0


def _run(client: Client, steps: Steps, out: Path) -> None:
    script = steps.run(
        "create a script",
        lambda: client.call("POST", "/api/scripts", {"sectionId": 1, "scriptContent": "The lighthouse"}),
        lambda made: f"script {made['data']['scriptId']}",
    )["data"]["scriptId"]
    jobs = steps.run(
        "ask for three clips",
        lambda: [_generate(client, prompt, script) for prompt in PROMPTS],
        lambda made: f"estimated {sum(job['estimatedCost'] for job in made):.3f} USD",
    )
    done = steps.run(
        "generate, deliver by webhook, store, inspect",
        lambda: [_ended(client, job["jobId"]) for job in jobs],
        lambda ended: f"{sum(job['result']['fileSize'] for job in ended) / 1e6:.2f} MB",
    )
    videos = client.call("GET", f"/api/section-videos?scriptId={script}")["data"]
    steps.run(
        "approve them",
        lambda: [client.call("POST", f"/api/section-videos/{v['videoId']}/approve", {}) for v in videos],
        lambda approved: f"{len(approved)} approved",
    )
    film = steps.run(
        "compile the film",
        lambda: _compiled(client, script),
        lambda made: f"{made['strategy']}, breakdown {json.dumps(made['breakdown'])}",
    )
    steps.run("download the film", lambda: _download(film["compiledVideoUrl"], out / "film.mp4"))
    for number, job in enumerate(done):
        _download(job["result"]["originalUrl"], out / f"clip-{number + 1}.mp4")
    steps.run("count its frames against the clips'", lambda: _same_frames(out), str)
    steps.run("draw the contact sheet", lambda: _contact_sheet(out))


def _generate(client: Client, prompt: str, script_id: int) -> dict[str, Any]:
    body = {
        "userId": "demo", "mediaType": "video", "modelId": MODEL, "scriptId": script_id,
        "parameters": {"prompt": prompt, "duration": CLIP_SECONDS},
    }  # fmt: skip
    return client.call("POST", "/generate-media", body)


def _ended(client: Client, job_id: str) -> dict[str, Any]:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        check_stop()
        job = client.call("GET", f"/status/{job_id}?wait=5")
        if job["status"] == "completed":
            return job
        if job["status"] in ENDED:
            raise DemoFailed(f"job {job_id} is {job['status']}: {job.get('error')}")
    raise DemoFailed(f"job {job_id} did not end within {PATIENCE_SECONDS} s; see `make logs`")


def _compiled(client: Client, script_id: int) -> dict[str, Any]:
    """What the finished compile answers: to the first call, or to its repetition where it took too long to wait for."""
    key = str(uuid4())
    body = {"outputFormat": "mp4"}
    made: dict[str, Any] = client.call("POST", f"/api/scripts/{script_id}/compile", body, key)["data"]
    if "compiledVideoUrl" not in made:
        _ended(client, made["jobId"])
        made = client.call("POST", f"/api/scripts/{script_id}/compile", body, key)["data"]
    return made


def _download(url: str, path: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as response:
            path.write_bytes(response.read())
    except OSError as error:
        raise DemoFailed(f"{path.name} could not be downloaded: {error}") from error


def _same_frames(out: Path) -> str:
    clips = [_frames(out / f"clip-{number + 1}.mp4") for number in range(len(PROMPTS))]
    film = _frames(out / "film.mp4")
    if film != sum(clips) or film == 0:
        raise DemoFailed(f"the film has {film} frames, its clips {clips}")
    return f"{film} = {' + '.join(map(str, clips))}"


def _frames(path: Path) -> int:
    """Frames that decode."""
    argv = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-i", f"file:{path}",
        "-map", "0:v:0", "-f", "framecrc", "-",
    ]  # fmt: skip
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    return sum(1 for line in lines if line and not line.startswith("#"))


def _contact_sheet(out: Path) -> None:
    frames = _frames(out / "film.mp4")
    every = max(frames // 12, 1)
    argv = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", "-i", f"file:{out / 'film.mp4'}",
        "-vf", f"select=not(mod(n\\,{every})),scale=320:-2,tile=4x3:padding=6:margin=6",
        "-frames:v", "1", "-update", "1", f"file:{out / 'contact-sheet.png'}",
    ]  # fmt: skip
    subprocess.run(argv, check=True)


def _nothing_refused(redis_url: str, seconds: float) -> None:
    """The functions take a refusal of the cache for a miss, and go on without it: the server remembers."""
    if refused := refusals(redis_url, seconds):
        raise DemoFailed(f"the cache refused its users: {'; '.join(refused)} (their rights are in infra/cache_user.py)")


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
