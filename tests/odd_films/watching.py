"""What FFmpeg shows of a file: every frame with its time, the audio, and what it complains of, in one run."""

from __future__ import annotations

import re
import subprocess
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from tests.odd_films.bases import FFMPEG
from tests.odd_films.drawing import Image
from tests.odd_films.movie import AUDIO, read_movie
from tests.odd_films.noise import RATE, Signs, signs

_CLOCK = re.compile(r"config in time_base: (\d+)/(\d+)")
_FRAME = re.compile(
    r"\bn: *\d+ pts: *(-?\d+|NOPTS) .*? duration: *(-?\d+) .*? sar:(\d+)/(\d+) s:(\d+)x(\d+)", re.DOTALL
)
# What FFmpeg says of its own work, not of the file.
_HARMLESS = re.compile(r"^(\[(Parsed_|out#|vost#|aost#|rawvideo|s16le|swscaler|fc#)|Stream mapping|Press |Output |Input |  )")
_COMPLAINT = re.compile(
    r"error|corrupt|invalid|missing|damaged|illegal|concealing|no frame!|non-existing|overflow|non monoton", re.I
)
LONGEST_RUN_SECONDS = 60


@dataclass(frozen=True)
class Seen:
    """A frame as it is shown from `begin` on, for `seconds` as far as the file says."""

    begin: Fraction
    seconds: Fraction
    image: Image


@dataclass(frozen=True)
class Watched:
    """A file as it is played. `samples`: 16 bits at 8 kHz from second 0 on, None without audio."""

    frames: tuple[Seen, ...]
    samples: array[int] | None
    complaints: tuple[str, ...]

    @property
    def end(self) -> Fraction:
        """When the last frame ends."""
        return self.frames[-1].begin + self.frames[-1].seconds

    def signs(self) -> Signs:
        """Of its audio."""
        return signs(self.samples or array("h"))


def watched(path: Path, *, ffmpeg: str = FFMPEG, video: int = 0, audio: int | None = 0) -> Watched:
    """Plays a file, by the tracks of these numbers. Raises AssertionError where FFmpeg shows nothing at all."""
    with tempfile.TemporaryDirectory() as folder:
        heard = Path(folder) / "audio"
        argv = [
            ffmpeg, "-hide_banner", "-nostats", "-y", "-threads", "1", "-copyts", "-i", str(path),
            "-map", f"0:v:{video}", "-vf", "showinfo=checksum=0,format=gray", "-fps_mode", "passthrough",
            "-f", "rawvideo", "-",
        ]  # fmt: skip
        if audio is not None and _has_audio(path, ffmpeg):
            filters = f"aresample={RATE}:async=1:min_hard_comp=0.005:first_pts=0"
            argv += ["-map", f"0:a:{audio}", "-af", filters, "-ac", "1", "-f", "s16le", str(heard)]
        done = subprocess.run(argv, capture_output=True, check=False, timeout=LONGEST_RUN_SECONDS)
        samples = None
        if heard.exists():
            samples = array("h", heard.read_bytes())
    log = done.stderr.decode(errors="replace")
    assert done.stdout, f"nothing is shown: {log[-500:]}"
    return Watched(tuple(_frames(log, memoryview(done.stdout))), samples, tuple(_complaints(log)))


def _has_audio(path: Path, ffmpeg: str) -> bool:
    """By its index where it has one, which is faster than to ask FFmpeg."""
    data = path.read_bytes()
    if data[4:8] == b"ftyp" and b"moof" not in data:
        return any(track.handler == AUDIO for track in read_movie(data).tracks)
    asked = subprocess.run([ffmpeg, "-hide_banner", "-i", str(path)], capture_output=True, check=False)
    return b"Audio: " in asked.stderr


def _frames(log: str, pixels: memoryview) -> Iterator[Seen]:
    clock = _CLOCK.search(log)
    assert clock is not None
    tick = Fraction(int(clock[1]), int(clock[2]))
    at = 0
    for found in _FRAME.finditer(log):
        width, height = int(found[5]), int(found[6])
        sar = Fraction(int(found[3]), int(found[4])) if int(found[3]) and int(found[4]) else Fraction(1)
        image = Image(pixels[at : at + width * height], width, height, sar * width / height)
        at += width * height
        yield Seen(int(found[1]) * tick, int(found[2]) * tick, image)
    assert at == len(pixels), "frames of other sizes than FFmpeg says"


def _complaints(log: str) -> Iterator[str]:
    for line in log.splitlines():
        if _COMPLAINT.search(line) and not _HARMLESS.search(line):
            yield line.strip()
