"""Tiny clips made by FFmpeg, films written from splices, and what FFmpeg finds in either."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import imageio_ffmpeg

from shared.media.clip import Clip, read_clip
from shared.media.splice.film import CopiedRange, Made, Splice, payloads_needed, splice
from shared.usecases.object_source import FileSource

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
SIZE = "96x64"
PICTURES = ("-map", "0:v:0", "-fps_mode", "passthrough")


@dataclass(frozen=True)
class Packet:
    """Presentation time and hash of a packet or of a decoded picture."""

    seconds: Fraction
    hash: str


@cache
def clip(
    name: str = "clip.mp4",
    *,
    pictures: int = 12,
    fps: str = "24",
    size: str = SIZE,
    sound: float | None = 0.5,
    tone: int = 440,
    rate: int = 44100,
    options: str = "",
    inputs: str = "",
) -> Path:
    """A clip of a moving pattern that `tone` makes unlike others. `options` come last and so win; once made, kept."""
    path = Path(_folder().name) / str(len(list(Path(_folder().name).iterdir()))) / name
    path.parent.mkdir()
    argv = [*inputs.split(), "-f", "lavfi", "-i", f"testsrc2=s={size}:r={fps},hue=h={tone % 360}"]
    argv += ["-f", "lavfi", "-i", f"sine={tone}:r={rate}:d={sound},vibrato=f=7"] if sound else []
    argv += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "6", "-c:a", "aac", "-ac", "2"]
    ffmpeg(*argv, "-frames:v", str(pictures), *options.split(), str(path))
    return path


@cache
def whole_sound(seconds: float, *, tone: int = 440, rate: int = 48000, options: str = "") -> Path:
    """A file of nothing but a steady tone; once made, kept."""
    path = Path(_folder().name) / str(len(list(Path(_folder().name).iterdir()))) / "sound.mp4"
    path.parent.mkdir()
    source = f"sine={tone}:r={rate}:d={seconds}"
    ffmpeg("-f", "lavfi", "-i", source, "-c:a", "aac", "-ac", "2", "-b:a", "128k", *options.split(), str(path))
    return path


def ffmpeg(*argv: str) -> str:
    """What FFmpeg writes to its output; a word of complaint fails the test."""
    quiet = {**os.environ, "SVT_LOG": "1"}  # the AV1 encoder talks past FFmpeg's own level
    done = subprocess.run([FFMPEG, "-v", "error", "-y", *argv], capture_output=True, text=True, check=False, env=quiet)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def spliced(paths: Sequence[Path], film: Path, sound: Path | None = None) -> Splice:
    """The film of the clips, or of their pictures and a whole sound, written to a file."""
    clips = [read_clip(FileSource(path)) for path in paths]
    made = joined(clips, paths, read_clip(FileSource(sound)) if sound else None)
    written(made, [*paths, *([sound] if sound else [])], film)
    return made


def written(made: Splice, sources: Sequence[Path], film: Path) -> None:
    """The film's bytes, put together from its sources."""
    with film.open("wb") as file:
        file.write(made.head)
        for piece in made.pieces:
            file.write(piece.data if isinstance(piece, Made) else _bytes(sources, piece))
    assert film.stat().st_size == made.size_bytes


def joined(clips: Sequence[Clip], paths: Sequence[Path], sound: Clip | None = None) -> Splice:
    """The splice, with the payloads it asks for."""
    needed = payloads_needed(clips, whole_sound=sound is not None)
    return splice(clips, {one.clip: _bytes(paths, one) for one in needed}, sound=sound)


def packets(path: Path, stream: str = "0:v:0") -> list[Packet]:
    """All packets of a stream, in the order they lie in."""
    return _listed("-i", str(path), "-map", stream, "-c", "copy", "-copyts")


def shown(path: Path) -> list[Packet]:
    """All pictures, decoded, in the order they are shown."""
    return _listed("-i", str(path), *PICTURES, "-enc_time_base", "demux", "-copyts")


def shown_after_seek(path: Path, seconds: Fraction) -> Packet:
    """The first picture after a jump to just before `seconds`."""
    jump = max(float(seconds) - 0.001, 0.0)
    found = _listed(
        "-ss", f"{jump:.6f}", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough", "-frames:v", "1"
    )
    return found[0]


@cache
def _folder() -> TemporaryDirectory[str]:
    """Kept as long as the process lives."""
    return TemporaryDirectory(prefix="vsl-clips-")


def _listed(*argv: str) -> list[Packet]:
    lines = ffmpeg(*argv, "-f", "framehash", "-hash", "md5", "-").splitlines()
    base = next(Fraction(line.split()[2]) for line in lines if line.startswith("#tb"))
    rows = [line.split(",") for line in lines if line and not line.startswith("#")]
    return [Packet(int(row[2]) * base, row[5].strip()) for row in rows]


def _bytes(paths: Sequence[Path], piece: CopiedRange) -> bytes:
    return FileSource(paths[piece.clip]).read(piece.offset, piece.length)
