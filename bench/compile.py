"""`make bench-compile`: our splice beside the reference method on one S3 server in one run, and other ways on files.

The reference fetches all clips side by side, joins them with FFmpeg's concat demuxer and sends the film. Every film is
decoded afterwards, outside the measured time: one that has not all pictures counts as failed. "latency" makes the
server answer after 15 ms and pass 100 MB/s a request.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import boto3
import httpx
import imageio_ffmpeg
from botocore.config import Config

from bench.results import Row, keep, line_of
from local.s3.config import ServerConfig
from shared.adapters.ffmpeg import FfmpegEncoder
from shared.domain.row_limits import bounded_record
from shared.usecases.inspect_media import look_through

BUCKET = "bench"
RESULTS = Path("docs/benchmarks/compile.jsonl")
MOVIEPY = Path(".local/venv-moviepy/bin/python")
SLOW = {"get": {"firstByteMs": 15, "bytesPerSecond": 100e6}, "put": {"firstByteMs": 15, "bytesPerSecond": 100e6},
        "copy": {"firstByteMs": 15}, "complete": {"firstByteMs": 15}, "other": {"firstByteMs": 15}}  # fmt: skip
WARM_RUNS = {"small": 9, "large": 3}
COLUMNS = ("case", "server", "way", "state", "wallSeconds", "cpuSeconds", "megabytesThrough", "memoryMb", "film")
HEAD = (
    "| " + " | ".join(("case", "server", "way", "state", "wall s", "CPU s", "MB through", "memory MB", "film")) + " |"
)


@dataclass(frozen=True)
class Case:
    """Clips of one size, all alike."""

    name: str
    clips: int
    megabytes: float
    seconds: int
    size: str

    @property
    def runs(self) -> int:
        return WARM_RUNS["large" if self.megabytes > 10 else "small"] + 1


CASES = (
    Case("3 x 2.25 MB", 3, 2.25, 3, "1280x720"),
    Case("10 x 2.5 MB", 10, 2.5, 3, "1280x720"),
    Case("20 x 50 MB", 20, 50, 30, "1280x720"),
)


def main(arguments: list[str]) -> int:
    """Prints the table and the ratios, appends the rows to the results; 0 when every film was right."""
    parser = argparse.ArgumentParser(prog="python -m bench.compile", description=__doc__)
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    chosen = [case for case in CASES if parser.parse_args(arguments).case in case.name]
    rows: list[Row] = []
    print(f"{HEAD}\n|{' --- |' * len(COLUMNS)}")
    with tempfile.TemporaryDirectory(prefix="vsl-bench-") as folder, server(Path(folder) / "s3") as store:
        for case in chosen:
            for row in measure(case, store, Path(folder)):
                rows.append(row)
                print(line_of(row, COLUMNS), flush=True)
    print("\n".join(ratios(rows)))
    keep(RESULTS, rows)
    return 0 if all(row["film"] == "right" for row in rows) else 1


@dataclass(frozen=True)
class Store:
    """An S3 server of this run."""

    client: Mapping[str, Any]
    control_url: str

    def boto(self) -> Any:
        style = Config(s3={"addressing_style": "path"}, signature_version="s3v4")
        return boto3.client("s3", **self.client, config=style)

    def pace(self, settings: Mapping[str, Any]) -> None:
        httpx.put(f"{self.control_url}/pace", json=dict(settings)).raise_for_status()


@contextmanager
def server(folder: Path) -> Iterator[Store]:
    """Our S3 server; its answers do not wait for the disk, as the figures are about who asks it."""
    folder.mkdir()
    config = ServerConfig(
        port=free_port(), control_port=free_port(), directory=folder, access_key_id="bench",
        secret_access_key="bench-secret", fsync=False,
    )  # fmt: skip
    (folder / "config.json").write_text(config.model_dump_json(by_alias=True))
    process = subprocess.Popen([sys.executable, "-m", "local.s3", "--config", str(folder / "config.json")])
    store = Store(
        {
            "endpoint_url": f"http://127.0.0.1:{config.port}", "region_name": config.region,
            "aws_access_key_id": config.access_key_id, "aws_secret_access_key": config.secret_access_key,
        },
        f"http://127.0.0.1:{config.control_port}/_control",
    )  # fmt: skip
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
            client.get(f"{store.control_url}/health").raise_for_status()
        store.boto().create_bucket(Bucket=BUCKET)
        yield store
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def measure(case: Case, store: Store, folder: Path) -> Iterator[Row]:
    """Rows of one case: on the server as it is, on a slow one, and of small clips as local files."""
    clip = clip_of(case, folder)
    keys = [f"{case.megabytes}/{number}.mp4" for number in range(case.clips)]
    for key in keys:
        store.boto().upload_file(str(clip), BUCKET, key)
    etags = [store.boto().head_object(Bucket=BUCKET, Key=key)["ETag"] for key in keys]
    out = folder / "film.mp4"
    job = {
        "keys": keys, "etags": etags, "bucket": BUCKET, "film": "film.mp4", "client": dict(store.client),
        "ffmpeg": imageio_ffmpeg.get_ffmpeg_exe(), "runs": case.runs, "out": str(out),
        "files": [str(clip)] * case.clips, "sizeBytes": clip.stat().st_size, "record": record_of(clip),
    }  # fmt: skip
    pictures = case.clips * frames_of(clip)
    for name, settings in (("as it is", {}), ("latency", SLOW)):
        store.pace(settings)
        for way in ("reference", "engine"):
            runs = list(joined(way, job))
            store.pace({})
            store.boto().download_file(BUCKET, "film.mp4", str(out))
            yield from rows_of(case, name, way, runs, frames_of(out) == pictures)
            store.pace(settings)
    store.pace({})
    for way in ("concat demuxer", "concat filter", "MoviePy") if case.megabytes < 10 else ():
        yield from rows_of(case, "files", way, list(joined(way, {**job, "runs": 2})), frames_of(out) == pictures)
    store.boto().delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})


def record_of(clip: Path) -> Mapping[str, Any] | None:
    """The facts of the decoded clip as its job's row keeps them; decoding is no part of a compile."""
    encoder = FfmpegEncoder(imageio_ffmpeg.get_ffmpeg_exe(), seconds_left=lambda: 600.0, should_stop=lambda: False)
    return bounded_record(look_through(encoder, clip).record)


def joined(way: str, job: Mapping[str, Any]) -> Iterator[Row]:
    """The runs of one process: the first is cold."""
    python = str(MOVIEPY) if way == "MoviePy" else sys.executable
    argv = [python, "-m", "bench.joining", way, json.dumps(job)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way} failed:\n{done.stderr[-2000:]}")
    yield from (json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"warm"'))


def rows_of(case: Case, server_name: str, way: str, runs: Sequence[Row], right: bool) -> Iterator[Row]:
    """The cold run, and the median of the warm ones."""
    for state, of_state in (("cold", runs[:1]), ("warm", runs[1:])):
        middle = {name: median(run[name] for run in of_state) for name in ("wallSeconds", "cpuSeconds", "bytesThrough")}
        yield {
            "case": case.name, "server": server_name, "way": way, "state": state,
            "wallSeconds": round(middle["wallSeconds"], 4), "cpuSeconds": round(middle["cpuSeconds"], 4),
            "megabytesThrough": round(middle["bytesThrough"] / 1e6, 2), "runs": len(of_state),
            "memoryMb": round(max(run["memoryMb"] for run in of_state)), "film": "right" if right else "wrong",
        }  # fmt: skip


def ratios(rows: Sequence[Row]) -> Iterator[str]:
    """By case, server and state, how many times less the engine needs than the reference."""
    found = {(row["case"], row["server"], row["state"], row["way"]): row for row in rows}
    for (case, name, state, way), ours in found.items():
        theirs = found.get((case, name, state, "reference"))
        if way != "engine" or theirs is None:
            continue
        wall, cpu, through = (
            theirs[key] / max(ours[key], 1e-4) for key in ("wallSeconds", "cpuSeconds", "megabytesThrough")
        )
        yield f"{case}, {name}, {state}: {wall:.1f}x faster, {cpu:.1f}x less CPU, {through:.1f}x fewer bytes"


def clip_of(case: Case, folder: Path) -> Path:
    """A clip of about that size: moving noise and a tone, a key picture a second."""
    path = folder / f"{case.megabytes}.mp4"
    rate = f"{int(case.megabytes * 8e6 / case.seconds - 128_000)}"
    argv = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i",
        f"testsrc2=s={case.size}:r=24:d={case.seconds},noise=alls=40:allf=t", "-f", "lavfi", "-i",
        f"sine=440:r=44100:d={case.seconds}", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g",
        "24", "-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate, "-nal-hrd", "cbr",
        "-c:a", "aac", "-b:a", "128k", "-ac", "2", "-movflags", "+faststart", str(path),
    ]  # fmt: skip
    subprocess.run(argv, check=True)
    return path


def frames_of(film: Path) -> int:
    """Pictures that decode."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-stats", "-i", str(film), "-map", "0:v", "-fps_mode",
            "passthrough", "-f", "null", "-"]  # fmt: skip
    told = subprocess.run(argv, check=True, capture_output=True, text=True).stderr
    return int(re.findall(r"frame= *(\d+)", told)[-1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
