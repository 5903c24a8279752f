"""Video and audio to build clips from, each encoded once a run by the product's FFmpeg."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import imageio_ffmpeg

from tests.odd_films import noise
from tests.odd_films.drawing import drawn
from tests.odd_films.movie import AUDIO, VIDEO, Movie, Sample, Track, read_movie

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
VARIANTS = 6
FRAMES = (14, 18, 24, 30, 36, 40)
OPEN_GOP = "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0"
X264 = "-c:v libx264 -pix_fmt yuv420p -crf 16"


@dataclass(frozen=True)
class VideoKind:
    """How a base is encoded: options, size in pixels, pixel aspect, rate. `family` can share a track."""

    name: str
    options: str
    family: str = "h264"
    size: tuple[int, int] = (160, 96)
    pixel_aspect: Fraction = Fraction(1)
    fps: Fraction = Fraction(24)


def _x264(name: str, options: str, **others: object) -> VideoKind:
    return VideoKind(name, f"{X264} {options}", **others)  # type: ignore[arg-type]


VIDEO_KINDS = (
    _x264("plain", "-preset veryfast -bf 0 -g 12"),
    _x264("b-frames", "-preset veryfast -bf 2 -g 12"),
    _x264("b-pyramid", "-preset veryfast -x264-params bframes=3:b-pyramid=normal:b-adapt=0:keyint=16:scenecut=0"),
    _x264("baseline", "-preset ultrafast -profile:v baseline -g 10"),
    _x264("main", "-preset fast -profile:v main -bf 1 -g 48"),
    _x264("other-sets", "-preset medium -refs 4 -qp 20 -bf 0 -g 8"),
    _x264("slices", "-preset veryfast -bf 2 -g 12 -x264-params slices=3:aud=1"),
    _x264("25", "-preset veryfast -bf 0 -g 12", fps=Fraction(25)),
    _x264("29.97", "-preset veryfast -bf 2 -g 15", fps=Fraction(30000, 1001)),
    _x264("30", "-preset veryfast -bf 0 -g 15", fps=Fraction(30)),
    _x264("60", "-preset veryfast -bf 0 -g 30", fps=Fraction(60)),
    _x264("open-gop", f"-preset veryfast -x264-params {OPEN_GOP}"),
    _x264("other-size", "-preset veryfast -bf 0 -g 12", size=(128, 96)),
    _x264("pixel-aspect", "-preset veryfast -bf 0 -g 12 -vf setsar=4/3", pixel_aspect=Fraction(4, 3)),
    VideoKind(
        "hevc",
        "-c:v libx265 -preset ultrafast -crf 18 -tag:v hvc1 -pix_fmt yuv420p "
        "-x265-params log-level=none:keyint=12:bframes=2:open-gop=0",
        "hevc",
    ),
    VideoKind(
        "hevc-open",
        "-c:v libx265 -preset ultrafast -crf 18 -tag:v hvc1 -pix_fmt yuv420p "
        "-x265-params log-level=none:keyint=12:min-keyint=12:bframes=2:open-gop=1",
        "hevc",
    ),
    VideoKind("vp9", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 20 -b:v 0 -g 12 -pix_fmt yuv420p", "vp9"),
    _x264("never shown", "-preset veryfast -bf 0 -g 12"),
    VideoKind("mpeg4", "-c:v mpeg4 -q:v 2 -g 12 -pix_fmt yuv420p", "mpeg4"),
)


@dataclass(frozen=True)
class AudioKind:
    """How a noise is encoded. `block`: PCM, so many samples in one of the model's."""

    name: str
    options: str
    rate: int = 48_000
    suffix: str = "mp4"
    block: int = 0


AUDIO_KINDS = (
    AudioKind("aac-48", "-c:a aac -b:a 160k -ac 2"),
    AudioKind("aac-48-mono", "-c:a aac -b:a 96k -ac 1"),
    AudioKind("aac-44", "-c:a aac -b:a 160k -ac 2", 44_100),
    AudioKind("aac-22", "-c:a aac -b:a 96k -ac 2", 22_050),
    AudioKind("mp3", "-c:a libmp3lame -b:a 160k -ac 2"),
    AudioKind("opus", "-c:a libopus -b:a 128k -ac 2"),
    AudioKind("pcm", "-c:a pcm_s16le -ac 1", 16_000, "mov", 320),
)
VIDEOS = {kind.name: kind for kind in VIDEO_KINDS}
NEVER_SHOWN = VIDEOS.pop("never shown")
AUDIOS = {kind.name: kind for kind in AUDIO_KINDS}


@dataclass(frozen=True)
class Pool:
    """Bases in a folder, encoded when they are first asked for; several processes may share it."""

    folder: Path

    def video(self, kind: VideoKind, variant: int) -> Track:
        """A track of its own to change; its frames bear the number of kind and variant."""
        return _track(self._made_video(kind, variant), VIDEO, clip_number(kind, variant), 0)

    def audio(self, kind: AudioKind, noise_number: int) -> Track:
        """A track of its own to change, with 4 s of a noise."""
        return _track(self._made_audio(kind, noise_number), AUDIO, noise_number, kind.block)

    def jpeg(self) -> bytes:
        """A still."""
        path = self.folder / "still.jpg"
        if not path.exists():
            frame = drawn(255, 0, 160, 96)
            encode("-f rawvideo -pix_fmt gray -s 160x96 -i -", frame, "-pix_fmt yuvj420p -frames:v 1 -update 1", path)
        return path.read_bytes()

    def _made_video(self, kind: VideoKind, variant: int) -> Path:
        path = self.folder / f"video-{kind.name}-{variant}.mp4"
        if not path.exists():
            width, height = kind.size
            number = clip_number(kind, variant)
            frames = b"".join(drawn(number, frame, width, height) for frame in range(FRAMES[variant]))
            source = f"-f rawvideo -pix_fmt gray -s {width}x{height} -r {kind.fps} -i -"
            encode(source, frames, kind.options, path)
        return path

    def _made_audio(self, kind: AudioKind, noise_number: int) -> Path:
        path = self.folder / f"audio-{kind.name}-{noise_number}.{kind.suffix}"
        if not path.exists():
            source = f"-f s16le -ar {noise.RATE} -ac 1 -i -"
            encode(source, noise.samples_of(noise_number).tobytes(), f"-ar {kind.rate} {kind.options}", path)
        return path


def clip_number(kind: VideoKind, variant: int) -> int:
    """The number that frames of this base bear."""
    return VIDEO_KINDS.index(kind) * VARIANTS + variant


def encode(source: str, data: bytes, options: str, path: Path) -> None:
    """Runs FFmpeg on what it is fed; the file appears under its name when it is whole."""
    unfinished = path.with_name(f"{os.getpid()}-{path.name}")
    argv = [FFMPEG, "-y", "-v", "error", "-nostats", *shlex.split(source), *shlex.split(options), str(unfinished)]
    done = subprocess.run(argv, input=data, capture_output=True, check=False)
    assert done.returncode == 0, f"{shlex.join(argv)}\n{done.stderr.decode(errors='replace')}"
    unfinished.replace(path)


@cache
def _read(path: Path) -> Movie:
    return read_movie(path.read_bytes())


def _track(path: Path, handler: bytes, source: int, block: int) -> Track:
    (track,) = (track for track in _read(path).tracks if track.handler == handler)
    return _own(track, source, block)


def _own(track: Track, source: int, block: int) -> Track:
    """A copy that can be changed; an encoder's priming is where its edit list begins."""
    zero = max((first for _, first in track.edits or []), default=0) if track.handler == AUDIO else 0
    samples = blocked(track.samples, block) if block else list(track.samples)
    return replace(track, samples=samples, source=source, zero=zero, edits=None, block=block)


def blocked(samples: Sequence[Sample], block: int) -> list[Sample]:
    """Samples of one tick each, so many in one."""
    data = [samples[first : first + block] for first in range(0, len(samples) // block * block, block)]
    return [Sample(b"".join(one.data for one in part), block) for part in data]
