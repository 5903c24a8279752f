"""Clips and FFmpeg for tests: what a test needs is made by FFmpeg itself or byte by byte, never brought along."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg

from shared.adapters.clock import SystemClock
from shared.adapters.ffmpeg import FfmpegEncoder, Limits
from shared.media.probe import AudioFacts, MediaFacts, VideoFacts
from shared.media.target import Wishes
from shared.usecases.film import Film, Work
from shared.usecases.film_work import FilmWork
from shared.usecases.inspect_media import Place
from tests.memory_media import MemoryMedia
from tests.patience import PATIENCE_SECONDS

AS_IT_IS = Wishes()
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def encoder(*, seconds_left: float = 600, stop: bool = False, limits: Limits | None = None) -> FfmpegEncoder:
    return FfmpegEncoder(FFMPEG, seconds_left=lambda: seconds_left, should_stop=lambda: stop, limits=limits or Limits())


def bare(*arguments: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """FFmpeg as anybody would call it, with nothing that keeps it in."""
    argv = [FFMPEG, "-y", "-nostdin", "-hide_banner", "-v", "error", *map(str, arguments)]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


def made(*arguments: str | Path) -> Path:
    """The file a command makes, named last."""
    done = bare(*arguments)
    assert done.returncode == 0, done.stderr
    return Path(arguments[-1])


def clip(
    path: Path,
    *,
    size: str = "160x90",
    fps: int | str = 24,
    seconds: float = 1,
    sound: str | None = "stereo",
    hertz: int = 440,
    coded: tuple[str, ...] = (),
) -> Path:
    """A moving test picture with a tone; `sound`: mono, stereo, 5.1 or None."""
    inputs = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={fps}:d={seconds}"]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    if sound:
        inputs += ["-f", "lavfi", "-i", f"sine={hertz}:r=44100:d={seconds}"]
        codecs += ["-c:a", "aac", "-ac", {"mono": "1", "stereo": "2", "5.1": "6"}[sound]]
    return made(*inputs, *codecs, *coded, path)


def compiled(
    clips: Sequence[Path],
    folder: Path,
    wishes: Wishes = AS_IT_IS,
    *,
    media: MemoryMedia | None = None,
    ffmpeg: FfmpegEncoder | None = None,
) -> tuple[Film, Path]:
    """A film as the product makes it, of clips in a bucket in memory; `folder` gets a workplace and the film."""
    media, place = media or MemoryMedia(), folder / "workplace"
    place.mkdir(mode=0o700, exist_ok=True)
    for number, path in enumerate(clips):
        media.put(f"clips/{number}-{path.name}", path.read_bytes(), "video/mp4")
    sources = [{"key": f"clips/{number}-{path.name}"} for number, path in enumerate(clips)]
    spec = Work(sources, wishes, "account", "job", "film", "thumbnail.jpg")
    work = FilmWork(media, SystemClock(), Place(place, ffmpeg or encoder(), lambda: None), lambda *_: None, spec)
    film = work.make(work.plan())
    assert media.uploads == {}
    path = folder / film.key
    media.download(film.key, path)
    return film, path


def picture(facts: MediaFacts) -> VideoFacts:
    assert facts.video is not None
    return facts.video


def tone(facts: MediaFacts) -> AudioFacts:
    assert facts.audio is not None
    return facts.audio


def packets(path: Path) -> list[tuple[int, float, str]]:
    """Stream, presentation time in seconds and hash of each packet."""
    argv = [
        FFMPEG,
        "-v",
        "error",
        "-i",
        str(path),
        "-map",
        "0",
        "-c",
        "copy",
        "-copyts",
        "-f",
        "framehash",
        "-hash",
        "md5",
        "-",
    ]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    bases = {int(x.split()[1][:-1]): Fraction(x.split()[2]) for x in lines if x.startswith("#tb")}
    rows = [line.split(",") for line in lines if line and not line.startswith("#")]
    return [(int(row[0]), float(int(row[2]) * bases[int(row[0])]), row[5].strip()) for row in rows]


def pixel(path: Path, x: int, y: int, at_seconds: float = 0) -> tuple[int, int, int]:
    """Red, green and blue of one pixel as shown at a time."""
    argv = [
        FFMPEG,
        "-v",
        "error",
        "-ss",
        str(at_seconds),
        "-i",
        str(path),
        "-frames:v",
        "1",
        "-vf",
        f"format=rgb24,crop=1:1:{x}:{y}:exact=1",
        "-f",
        "rawvideo",
        "-",
    ]
    red, green, blue = subprocess.run(argv, capture_output=True, check=True).stdout[:3]
    return red, green, blue
