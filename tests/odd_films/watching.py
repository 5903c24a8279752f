"""What FFmpeg shows of a file: every frame with its time, the audio, and what it complains of, in one run."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from tests.odd_films.bases import FFMPEG
from tests.odd_films.drawing import Image
from tests.odd_films.movie import AUDIO, handlers
from tests.odd_films.noise import RATE, Signs, signs

_HEADER = re.compile(r"#(\w+) 0: (\d+)[/x](\d+)")
# What FFmpeg says of its own work, not of the file.
_HARMLESS = re.compile(
    r"^(\[(Parsed_|out#|vost#|aost#|rawvideo|s16le|swscaler|fc#)|Stream mapping|Press |Output |Input |  )"
)
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
    def usual_seconds(self) -> Fraction:
        """How long most of the frames last."""
        steps = sorted(b.begin - a.begin for a, b in pairwise(self.frames))
        return steps[len(steps) // 2] if steps else self.frames[0].seconds

    @property
    def end(self) -> Fraction:
        """When the last frame ends, as far as that is told; what FFmpeg says of VP9's frames is no use."""
        return self.frames[-1].begin + max(self.frames[-1].seconds, self.usual_seconds)

    def signs(self) -> Signs:
        """Of its audio."""
        return signs(self.samples or array("h"))


def watched(path: Path, *, ffmpeg: str = FFMPEG, video: int = 0, audio: int | None = 0) -> Watched:
    """Plays a file, by the tracks of these numbers. Raises AssertionError where FFmpeg shows nothing at all."""
    with tempfile.TemporaryDirectory() as folder:
        heard, listed = Path(folder) / "audio", Path(folder) / "frames"
        clock = "demux" if ffmpeg == FFMPEG else "-1"
        shown = f"-map 0:v:{video} -vf format=gray -c:v rawvideo -fps_mode passthrough -enc_time_base {clock}"
        command = f"{ffmpeg} -hide_banner -nostats -v warning -y -threads 1 -copyts -i {path} "
        command += f"{shown} -f rawvideo - {shown} -f framecrc {listed}"
        if audio is not None and _has_audio(path, ffmpeg):
            filters = f"aresample={RATE}:async=1:min_hard_comp=0.005:first_pts=0"
            command += f" -map 0:a:{audio} -af {filters} -ac 1 -f s16le {heard}"
        done = subprocess.run(shlex.split(command), capture_output=True, check=False, timeout=LONGEST_RUN_SECONDS)
        samples = array("h", heard.read_bytes()) if heard.exists() else None
        listing = listed.read_text() if listed.exists() else ""
    log = done.stderr.decode(errors="replace")
    assert done.stdout, f"nothing is shown: {log[-500:]}"
    return Watched(tuple(_frames(listing, memoryview(done.stdout))), samples, tuple(_complaints(log)))


def _has_audio(path: Path, ffmpeg: str) -> bool:
    """By its index where it has one, which is faster than to ask FFmpeg."""
    data = path.read_bytes()
    if data[4:8] == b"ftyp":
        return AUDIO in handlers(data)
    asked = subprocess.run([ffmpeg, "-hide_banner", "-i", str(path)], capture_output=True, check=False)
    return b"Audio: " in asked.stderr


def _frames(listing: str, pixels: memoryview) -> Iterator[Seen]:
    """From FFmpeg's list: stream, decoding and presentation time, duration and size of each frame."""
    header = {found[1]: (int(found[2]), int(found[3])) for found in _HEADER.finditer(listing)}
    tick, (width, height) = Fraction(*header["tb"]), header["dimensions"]
    wide, high = header.get("sar", (1, 1))
    aspect = Fraction(width, height) * (Fraction(wide, high) if wide and high else 1)
    rows = [line.split(",") for line in listing.splitlines() if line and not line.startswith("#")]
    size = width * height
    assert len(rows) * size == len(pixels), "other frames than FFmpeg lists"
    for n, row in enumerate(rows):
        image = Image(pixels[n * size : (n + 1) * size], width, height, aspect)
        yield Seen(int(row[2]) * tick, int(row[3]) * tick, image)


def _complaints(log: str) -> Iterator[str]:
    for line in log.splitlines():
        if _COMPLAINT.search(line) and not _HARMLESS.search(line):
            yield line.strip()
