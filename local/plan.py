"""`make plan CLIPS="a.mp4 b.mp4"`: how clips would be joined and why, as a table.

Files are planned here and now, as the engine would see them in the bucket; numbers are section videos of the stack
that runs.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from local.layout import Layout, read_json
from shared.adapters.clock import SystemClock
from shared.adapters.ffmpeg import FfmpegEncoder
from shared.domain.errors import ProductError
from shared.media.estimate import estimate
from shared.media.target import Wishes
from shared.ports import StoredObject
from shared.usecases.film import Work
from shared.usecases.film_work import FilmWork
from shared.usecases.inspect_media import Place
from shared.usecases.shown_plan import shown_plan

MEMORY_MB = 3008


def main(layout: Layout, clips: Sequence[str]) -> int:
    """Prints the plan; 1 with a sentence when there is none."""
    if not clips:
        print('Name clips: make plan CLIPS="a.mp4 b.mp4"', file=sys.stderr)
        return 1
    try:
        ids = all(clip.isdigit() for clip in clips)
        plan = _of_videos(layout, clips) if ids else _of_files([Path(clip) for clip in clips])
    except (ProductError, OSError) as error:
        print(getattr(error, "sentence", error), file=sys.stderr)
        return 1
    print("\n".join(_drawn(plan, clips)))
    return 0


class _Files:
    """Files as a bucket that can only be read."""

    def head(self, key: str) -> StoredObject | None:
        path = Path(key)
        if not path.is_file():
            return None
        found = path.stat()
        return StoredObject(key, datetime.fromtimestamp(found.st_mtime, UTC), found.st_size, str(found.st_mtime_ns))

    def read(self, key: str, offset: int, length: int, _etag: str) -> bytes:
        with Path(key).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def download(self, key: str, path: Path) -> int:
        shutil.copyfile(key, path)
        return path.stat().st_size


def _of_files(paths: Sequence[Path]) -> dict[str, Any]:
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise OSError(f"There is no file {missing[0]}: name files, or section videos by their numbers.")
    sources = [{"key": str(path)} for path in paths]
    encoder = FfmpegEncoder(imageio_ffmpeg.get_ffmpeg_exe(), seconds_left=lambda: 600.0, should_stop=lambda: False)
    with tempfile.TemporaryDirectory(prefix="vsl-plan-") as folder:
        os.chmod(folder, 0o700)  # noqa: PTH101 - a folder by name
        place = Place(Path(folder), encoder, lambda: None)
        work = Work(sources, Wishes())
        planned = FilmWork(_Files(), SystemClock(), place, _unheard, work).plan()  # type: ignore[arg-type]
    return shown_plan(sources, planned, estimate(planned.reckoning, [], MEMORY_MB))


def _unheard(_step: str, _percent: int) -> None:
    """A plan is there before anybody wants to hear of it."""


def _of_videos(layout: Layout, ids: Sequence[str]) -> dict[str, Any]:
    stack = read_json(layout.stack_file)
    request = urllib.request.Request(
        f"{stack['baseUrl']}/compile-videos/plan",
        json.dumps({"videoIds": list(ids)}).encode(),
        {"X-API-Key": stack["apiKey"], "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            plan: dict[str, Any] = json.loads(answer.read())["data"]
    except urllib.error.HTTPError as refused:
        raise OSError(json.loads(refused.read())["error"]) from None
    return plan


def _drawn(plan: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    rows = [("clip", "picture", "rate", "sound", "seconds", "is")]
    rows += [_row(name, clip) for name, clip in zip(names, plan["clips"], strict=True)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield ""
    for clip in plan["clips"]:
        yield from (f"  {one['message']}" for one in clip["mismatches"])
    found = plan["estimate"]
    how = ", all sound encoded anew as one" if plan["wholeSound"] else ""
    yield f"{plan['strategy']} to {plan['container']}{how}: a film of {plan['totalDuration']:.2f} s"
    yield (
        f"about {found['seconds']:.2f} s ({found['lowSeconds']:.2f} to {found['highSeconds']:.2f}), "
        f"{plan['bytesThrough'] / 1e6:.1f} MB through the function, {plan['bytesCopied'] / 1e6:.1f} MB copied by S3, "
        f"${found['costUsd']:.6f}"
    )
    for rung, reasons in plan["refused"].items():
        yield f"not {rung}: {reasons[0] if reasons else 'not asked for'}"


def _row(name: str, clip: Mapping[str, Any]) -> tuple[str, str, str, str, str, str]:
    video, audio = clip["probe"]["video"] or {}, clip["probe"]["audio"]
    picture = f"{video.get('codec')} {video.get('displayWidth')}x{video.get('displayHeight')}"
    sound = f"{audio['codec']} {audio['sampleRate']} Hz x{audio['channels']}" if audio else "none"
    seconds = clip["probe"].get("seconds")
    fps = video.get("fps") or "?"
    return Path(name).name, picture, str(fps), sound, "?" if seconds is None else f"{seconds:.2f}", clip["action"]
