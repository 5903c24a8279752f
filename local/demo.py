"""The main job on the running local stack: three clips, approved, one film, and a sheet of its frames."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import imageio_ffmpeg

from local.interrupts import check_stop
from local.redis import refusals
from operate.main_job import Client, MainJobFailed, Steps, Wanted, create_script, frames, make_film

PROMPTS = (
    "A lighthouse at dawn, slow dolly in",
    "Waves under the cliffs, aerial shot",
    "The lamp comes on at dusk, close up",
)
CLIP_SECONDS = 3


def main(state: Path, out: Path) -> int:
    """Runs the demo against `state/stack.json`; 0 when a verified film lies in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    stack = json.loads((state / "stack.json").read_text("utf8"))
    client, steps, began = _client(stack), Steps(check_stop), time.monotonic()
    try:
        _run(client, steps, out)
        _nothing_refused(stack["redisUrl"], time.monotonic() - began)
    except MainJobFailed as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    finally:
        (out / "steps.md").write_text(steps.table(), "utf8")
    made = {"film": "film.mp4", "contact sheet": "contact-sheet.png", "steps": "steps.md"}
    print("", *(f"  {name:<14} {_from_here(out / file)}" for name, file in made.items()), sep="\n")
    return 0


def _client(stack: Mapping[str, str]) -> Client:
    return Client(stack["baseUrl"], stack["apiKey"], "; see `make logs`", check_stop)


def _run(client: Client, steps: Steps, out: Path) -> None:
    script = create_script(client, steps)
    make_film(client, steps, Wanted("demo", script, PROMPTS, {"duration": CLIP_SECONDS}), out)
    steps.run("draw the contact sheet", lambda: _contact_sheet(out))


def _contact_sheet(out: Path) -> None:
    every = max(frames(out / "film.mp4") // 12, 1)
    argv = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-nostdin",
        "-v",
        "error",
        "-y",
        "-i",
        f"file:{out / 'film.mp4'}",
        "-vf",
        f"select=not(mod(n\\,{every})),scale=320:-2,tile=4x3:padding=6:margin=6",
        "-frames:v",
        "1",
        "-update",
        "1",
        f"file:{out / 'contact-sheet.png'}",
    ]
    subprocess.run(argv, check=True)


def _nothing_refused(redis_url: str, seconds: float) -> None:
    """The functions take a refusal of the cache for a miss, and go on without it: the server remembers."""
    if refused := refusals(redis_url, seconds):
        raise MainJobFailed(
            f"the cache refused its users: {'; '.join(refused)} (their rights are in infra/cache_user.py)"
        )


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
