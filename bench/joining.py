"""One way of joining clips, run in a process of its own so that its memory and processor time are its own.

`python -m bench.joining WAY '{"keys": [...], "files": [...], ...}'` prints one JSON line a run: wall and processor
seconds, bytes through the client, the film. The first run of a process is cold, the others warm.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import run
from typing import Any

Job = Mapping[str, Any]
PARALLEL = 8


def reference(job: Job) -> Callable[[], int]:
    """As the method's document has it: fetch all (side by side), FFmpeg's concat demuxer, send the film."""
    from boto3.s3.transfer import TransferConfig

    client = bucket_client(job)
    transfer = TransferConfig(max_concurrency=PARALLEL)

    def join() -> int:
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / f"video-{number}.mp4" for number in range(len(job["keys"]))]
            with ThreadPoolExecutor(PARALLEL) as pool:
                pairs = zip(job["keys"], files, strict=True)
                list(pool.map(lambda pair: client.download_file(job["bucket"], pair[0], str(pair[1])), pairs))
            film = Path(folder) / "compiled.mp4"
            demuxed(job["ffmpeg"], files, film)
            client.upload_file(str(film), job["bucket"], job["film"], Config=transfer)
            return sum(file.stat().st_size for file in files) + film.stat().st_size

    return join


def engine(job: Job) -> Callable[[], int]:
    """The product's own, as its function runs it: plan, splice, proof. Clips were decoded when they came in."""
    from shared.adapters.clock import SystemClock
    from shared.adapters.ffmpeg import FfmpegEncoder
    from shared.adapters.s3 import S3MediaStore
    from shared.media.target import Wishes
    from shared.usecases.film import Work
    from shared.usecases.film_work import FilmWork
    from shared.usecases.inspect_media import Place

    media = S3MediaStore(bucket_client(job), job["bucket"])
    encoder = FfmpegEncoder(job["ffmpeg"], seconds_left=lambda: 600.0, should_stop=lambda: False)
    sources = [
        {
            "key": key,
            "thumbnailKey": "thumbnail.jpg",
            "sizeBytes": job["sizeBytes"],
            "decoded": {"etag": etag, **job["record"]},
        }
        for key, etag in zip(job["keys"], job["etags"], strict=True)
    ]

    def join() -> int:
        folder = Path(tempfile.mkdtemp())
        place = Place(folder, encoder, lambda: None)
        spec = Work(sources, Wishes(), "bench", "bench", job["film"].removesuffix(".mp4"), "film.jpg")
        work = FilmWork(media, SystemClock(), place, _unheard, spec)
        film = work.make(work.plan())
        assert film.plan.strategy == "splice", film.plan.refused
        assert not list(folder.iterdir()), "the splice has used the disk"
        shutil.rmtree(folder)
        return film.bytes_through

    return join


def _unheard(_step: str, _percent: int) -> None:
    """Nobody is told of progress."""


def concat_demuxer(job: Job) -> Callable[[], int]:
    """Local files, nothing fetched or sent."""

    def join() -> int:
        demuxed(job["ffmpeg"], [Path(file) for file in job["files"]], Path(job["out"]))
        return 0

    return join


def concat_filter(job: Job) -> Callable[[], int]:
    """Local files, decoded and encoded anew."""
    inputs = [word for file in job["files"] for word in ("-i", file)]
    pads = "".join(f"[{number}:v:0][{number}:a:0]" for number in range(len(job["files"])))
    graph = f"{pads}concat=n={len(job['files'])}:v=1:a=1[v][a]"
    argv = [job["ffmpeg"], "-v", "error", "-y", *inputs, "-filter_complex", graph, "-map", "[v]", "-map", "[a]"]

    def join() -> int:
        run([*argv, "-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac", job["out"]], check=True)
        return 0

    return join


def moviepy(job: Job) -> Callable[[], int]:
    """Local files by MoviePy, in an environment of its own."""
    from moviepy import VideoFileClip, concatenate_videoclips  # type: ignore[import-not-found]

    def join() -> int:
        clips = [VideoFileClip(file) for file in job["files"]]
        concatenate_videoclips(clips).write_videofile(job["out"], preset="veryfast", logger=None)
        for clip in clips:
            clip.close()
        return 0

    return join


def bucket_client(job: Job) -> Any:
    """Set up as the product's is; both ways have the same."""
    import boto3
    from botocore.config import Config

    style: Any = {"addressing_style": "path", "payload_signing_enabled": False}
    config = Config(signature_version="s3v4", s3=style, max_pool_connections=24)
    options: dict[str, Any] = dict(job["client"])
    return boto3.client("s3", **options, config=config)


def demuxed(ffmpeg: str, files: list[Path], film: Path) -> None:
    """`ffmpeg -f concat -safe 0 -c copy`."""
    script = film.with_suffix(".txt")
    script.write_text("".join(f"file '{file}'\n" for file in files))
    argv = [ffmpeg, "-v", "error", "-y", "-f", "concat", "-safe", "0", "-i", str(script), "-c", "copy", str(film)]
    run(argv, check=True)


WAYS = {
    "reference": reference,
    "engine": engine,
    "concat demuxer": concat_demuxer,
    "concat filter": concat_filter,
    "MoviePy": moviepy,
}


def main(way: str, job: Job) -> None:
    """One JSON line a run."""
    begun, cpu = time.perf_counter(), 0.0
    join = WAYS[way](job)
    for number in range(job["runs"]):
        if number:
            begun, cpu = time.perf_counter(), _cpu_seconds()
        through = join()
        figures = {
            "wallSeconds": time.perf_counter() - begun,
            "cpuSeconds": _cpu_seconds() - cpu,
            "bytesThrough": through,
            "memoryMb": _memory_mb(),
        }
        print(json.dumps({"warm": number > 0, **figures}), flush=True)


def _cpu_seconds() -> float:
    """Processor time of this process and its children, in seconds from its start."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def _memory_mb() -> float:
    """The most that this process or one it started has held at once."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
