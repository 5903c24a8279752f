"""The main job as a client of the API does it: clips, approved, one film, which is fetched and checked."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import imageio_ffmpeg

# The environment's variable for the key of commands that call the API.
KEY_VARIABLE = "VSL_API_KEY"
MODEL = "seedance-1-lite"
# A busy machine makes the clips many times slower than an idle one.
PATIENCE_SECONDS = 900
ANSWER_SECONDS = 60
BUSY = (429, 502, 503, 504)
ENDED = ("completed", "failed", "cancelled", "timeout")


class MainJobFailed(Exception):
    """The main job did not end with a verified film."""


class StageBusy(MainJobFailed):
    """The answer may be another one when the same request is sent again."""


class Refused(MainJobFailed):
    """The API's answer to a call that it will not take; `status` is HTTP's."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass
class Client:
    """Calls the API with a key. `hint` ends every refusal; `check_stop` is called before each wait."""

    base_url: str
    api_key: str
    hint: str = ""
    check_stop: Callable[[], None] = lambda: None

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> dict[str, Any]:
        """The JSON answer, as the API's errors ask for it: sent again, with the same key, while the stage is too busy.

        Raises MainJobFailed with the API's own sentence.
        """
        own = {"X-API-Key": self.api_key, "Content-Type": "application/json"} if self.api_key else {}
        request = urllib.request.Request(
            self.base_url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=own if body is None else {**own, "Idempotency-Key": key or str(uuid4())},
        )
        give_up = time.monotonic() + PATIENCE_SECONDS
        while isinstance(answer := self._answer(request), StageBusy):
            self.check_stop()
            if time.monotonic() > give_up:
                raise answer
            time.sleep(1)
        return answer

    def _answer(self, request: urllib.request.Request) -> dict[str, Any] | StageBusy:
        asked = f"{request.method} {request.selector}"
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            refusal = f"{asked} answered {error.code}: {error.read().decode()[:500]}{self.hint}"
            if error.code not in BUSY:
                raise Refused(refusal, error.code) from error
            return StageBusy(refusal)
        except OSError as error:
            return StageBusy(f"{asked} was not answered: {error}{self.hint}")


@dataclass
class Steps:
    """Prints every step with its time and keeps them for the table."""

    check_stop: Callable[[], None] = lambda: None
    rows: list[tuple[str, float, str]] = field(default_factory=list)

    def run(self, name: str, action: Callable[[], Any], note: Callable[[Any], str] = lambda _: "") -> Any:
        """Runs one step."""
        print(f"  {name} ...", end="", flush=True)
        self.check_stop()
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


@dataclass(frozen=True)
class Wanted:
    """Clips that are asked for as a user, one a prompt, and the script that they are of."""

    user_id: str
    script_id: int
    prompts: Sequence[str]
    parameters: Mapping[str, Any]


def create_script(client: Client, steps: Steps) -> int:
    """A new script's id."""
    made = steps.run(
        "create a script",
        lambda: client.call("POST", "/api/scripts", {"sectionId": 1, "scriptContent": "The lighthouse"}),
        lambda made: f"script {made['data']['scriptId']}",
    )
    return int(made["data"]["scriptId"])


def make_film(client: Client, steps: Steps, wanted: Wanted, out: Path) -> str:
    """Leaves `film.mp4` and its clips in `out`, checked, and answers the film's URL. Raises MainJobFailed."""
    done = _generate_all(client, steps, wanted)
    videos = client.call("GET", f"/api/section-videos?scriptId={wanted.script_id}")["data"]
    steps.run(
        "approve them",
        lambda: [client.call("POST", f"/api/section-videos/{v['videoId']}/approve", {}) for v in videos],
        lambda approved: f"{len(approved)} approved",
    )
    film = steps.run(
        "compile the film",
        lambda: _compiled(client, wanted.script_id),
        lambda made: f"{made['strategy']}, breakdown {json.dumps(made['breakdown'])}",
    )
    steps.run("download the film", lambda: _download(film["compiledVideoUrl"], out / "film.mp4"))
    clips = [out / f"clip-{number + 1}.mp4" for number in range(len(done))]
    for job, clip in zip(done, clips, strict=True):
        _download(job["result"]["originalUrl"], clip)
    steps.run("count its frames against the clips'", lambda: _same_frames(out / "film.mp4", clips), str)
    return str(film["compiledVideoUrl"])


def _generate_all(client: Client, steps: Steps, wanted: Wanted) -> list[dict[str, Any]]:
    """The jobs of all clips, once they have completed."""
    jobs = steps.run(
        f"ask for {len(wanted.prompts)} clips",
        lambda: [_generate(client, wanted, prompt) for prompt in wanted.prompts],
        lambda made: f"estimated {sum(job['estimatedCost'] for job in made):.3f} USD",
    )
    done: list[dict[str, Any]] = steps.run(
        "generate, deliver by webhook, store, inspect",
        lambda: [_ended(client, job["jobId"]) for job in jobs],
        lambda ended: f"{sum(job['result']['fileSize'] for job in ended) / 1e6:.2f} MB",
    )
    return done


def _generate(client: Client, wanted: Wanted, prompt: str) -> dict[str, Any]:
    body = {
        "userId": wanted.user_id,
        "mediaType": "video",
        "modelId": MODEL,
        "scriptId": wanted.script_id,
        "parameters": {"prompt": prompt, **wanted.parameters},
    }
    return client.call("POST", "/generate-media", body)


def _ended(client: Client, job_id: str) -> dict[str, Any]:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        client.check_stop()
        job = client.call("GET", f"/status/{job_id}?wait=5")
        if job["status"] == "completed":
            return job
        if job["status"] in ENDED:
            raise MainJobFailed(f"job {job_id} is {job['status']}: {job.get('error')}")
    raise MainJobFailed(f"job {job_id} did not end within {PATIENCE_SECONDS} s{client.hint}")


def _compiled(client: Client, script_id: int) -> dict[str, Any]:
    """The answer of a finished compile: to the first call, or to its repetition where it took too long to wait for."""
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
        raise MainJobFailed(f"{path.name} could not be downloaded: {error}") from error


def _same_frames(film: Path, clips: Sequence[Path]) -> str:
    of_film, of_clips = frames(film), [frames(clip) for clip in clips]
    if of_film != sum(of_clips) or of_film == 0:
        raise MainJobFailed(f"the film has {of_film} frames, its clips {of_clips}")
    return f"{of_film} = {' + '.join(map(str, of_clips))}"


def frames(path: Path) -> int:
    """Frames that decode."""
    argv = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-nostdin",
        "-v",
        "error",
        "-i",
        f"file:{path}",
        "-map",
        "0:v:0",
        "-f",
        "framecrc",
        "-",
    ]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    return sum(1 for line in lines if line and not line.startswith("#"))
