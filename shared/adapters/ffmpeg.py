"""FFmpeg as a child that is kept in: own arguments, empty environment, limits, a deadline, a way to stop it."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from shared.domain.errors import BadMedia, Conflict, DependencyDown
from shared.media import commands
from shared.media.conform import conform_command
from shared.media.probe import MediaFacts, VideoFacts, parse_probe, with_decoded
from shared.media.sound import WholeAudio
from shared.media.target import Target

KILLED_BEFORE_DEADLINE_SECONDS = 5.0
POLL_SECONDS = 0.05
LOG_BYTES = 4_000_000
# An hour of 60 pictures a second, each listed as stored and as decoded, with its sound, takes 50 MB.
LISTING_BYTES = 64_000_000
REMEDIES = (
    ("File ended prematurely", "The file is cut off: upload or generate it again."),
    ("partial file", "The file is cut off: upload or generate it again."),
    ("moov atom not found", "The file is cut off: upload or generate it again."),
    ("Invalid data found", "The file is damaged or no media that can be read: generate or upload it again."),
    ("does not contain any stream", "The file holds neither picture nor sound."),
    ("matches no streams", "The file holds no picture."),
    ("not in allowed", "This kind of file is not accepted as media."),
    ("whitelist", "This kind of file is not accepted as media."),
    ("File too large", "The file or its result is too large: use fewer or shorter clips."),
    ("Cannot allocate memory", "The picture is too large to be worked on."),
)
CUT_OFF = REMEDIES[:2]
SEEKABLE = ("mov,mp4", "matroska")
ENDED_BY: dict[int, str] = {
    signal.SIGXFSZ: "The file or its result is too large: use fewer or shorter clips.",
    signal.SIGXCPU: "The media takes more computing time than it may: use shorter or smaller media.",
    signal.SIGKILL: "The media takes more computing time or memory than it may: use shorter or smaller media.",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one FFmpeg may take: address space, one file, and processor seconds over all its threads."""

    memory_bytes: int = 2500 * 1024**2
    file_bytes: int = 8 * 1024**3
    cpu_seconds: int = 5400


Tell = Callable[[float], None]
PROGRESS_BYTES = 1000
_OUT_TIME = re.compile(rb"out_time_us=([0-9]+)")


class FfmpegEncoder:
    """Implements `Encoder`. `seconds_left` is the invocation's; `should_stop` is asked many times a second."""

    def __init__(
        self,
        ffmpeg: str,
        *,
        seconds_left: Callable[[], float],
        should_stop: Callable[[], bool],
        limits: Limits = Limits(),
    ) -> None:
        if not ffmpeg:
            raise DependencyDown(
                "FFmpeg is not on the PATH: deploy the stage with its ffmpeg layer.", code="ffmpeg_missing"
            )
        self._ffmpeg, self._seconds_left, self._should_stop = ffmpeg, seconds_left, should_stop
        self._limits = limits

    def probe(self, path: Path) -> MediaFacts:
        try:
            return self._probe(path)
        except BadMedia:
            # A sound track without a codec, or an empty one, must not hide a picture.
            facts = self._probe(path, sound=False)
            if facts.video is None:
                raise
            return facts

    def _probe(self, path: Path, *, sound: bool = True) -> MediaFacts:
        size_bytes = path.stat().st_size
        facts = parse_probe(*self._list(commands.probe_command(path, sound=sound), path.parent), size_bytes)
        if facts.video is None or facts.video.stream == 0:
            return facts
        chosen = commands.probe_command(path, video=facts.video.stream, sound=sound)
        return parse_probe(*self._list(chosen, path.parent), size_bytes)

    def verify(self, path: Path) -> MediaFacts:
        probed = self.probe(path)
        listing, log = self._list(commands.decode_command(path, probed), path.parent)
        cut_off = next((sentence for mark, sentence in CUT_OFF if mark in log), None)
        if cut_off:
            # Some demuxers take the end of a cut file for its end: no error, exit code 0.
            raise BadMedia(cut_off)
        facts = with_decoded(probed, listing, log)
        if facts.video is not None and facts.video.frames == 0:
            raise BadMedia("No picture of the file can be decoded: generate or upload it again.")
        return facts

    def thumbnail(self, path: Path, target: Path) -> None:
        self._run(commands.thumbnail_command(path, target), path.parent)
        _must_exist(target)

    def join(self, clips: Sequence[Path], target: Path, *, whole_audio: WholeAudio | None = None) -> None:
        if any(clip.parent != target.parent for clip in clips):
            raise ValueError("clips lie beside the film: its script holds plain names")
        script = target.with_suffix(".ffconcat")
        if whole_audio is None:
            script.write_text(commands.join_list(clips), "utf8")
            self._run(commands.join_command(script, target), target.parent)
        else:
            pairs = [self._seekable(*pair, target) for pair in enumerate(zip(clips, whole_audio.seen, strict=True))]
            script.write_text(commands.join_list(*zip(*pairs, strict=True)), "utf8")
            gathered = self._gathered(whole_audio, target)
            self._run(commands.join_whole_command(script, gathered, target), target.parent)
        _must_exist(target)

    def _seekable(self, number: int, pair: tuple[Path, MediaFacts], target: Path) -> tuple[Path, MediaFacts]:
        """As it is where FFmpeg finds a file's first picture by its time; else its picture in an MP4 of its own."""
        clip, facts = pair
        if facts.video is None or (facts.container.startswith(SEEKABLE) and facts.video.stream == 0):
            return pair
        own = target.with_name(f"{target.stem}-picture-{number}.mp4")
        self._run(commands.rewrap_command(clip, facts.video, own), target.parent)
        _must_exist(own)
        return own, replace(facts, video=replace(facts.video, start_seconds=Fraction(0)))

    def _gathered(self, whole: WholeAudio, target: Path) -> WholeAudio:
        """As it is where one FFmpeg can read all pieces; else of lossless files, each made of many pieces."""
        groups = whole.groups()
        if len(groups) == 1:
            return whole
        files = [target.with_name(f"{target.stem}-sound-{number}.flac") for number in range(len(groups))]
        for group, file in zip(groups, files, strict=True):
            self._run(commands.sound_command(group, file), target.parent)
        return whole.of_files(files)

    def conform(
        self, clip: Path, facts: MediaFacts, like: Target, target: Path, *,
        model: VideoFacts | None = None, sps_id: int | None = None, tell: Tell | None = None,
    ) -> None:  # fmt: skip
        told = _Told(target.with_suffix(".progress"), tell) if tell else None
        command = conform_command(clip, facts, like, target, model=model, sps_id=sps_id)
        self._run([*told.arguments, *command] if told else command, target.parent, told=told)
        _must_exist(target)

    def _list(self, arguments: Sequence[str], folder: Path) -> tuple[str, str]:
        """Like `_run`, of a run that writes a listing only: a file of endless tiny packets must not fill our memory."""
        most = min(self._limits.file_bytes, LISTING_BYTES)
        return self._run(arguments, folder, replace(self._limits, file_bytes=most))

    def _run(
        self, arguments: Sequence[str], folder: Path, limits: Limits | None = None, told: _Told | None = None
    ) -> tuple[str, str]:
        """stdout and log of a run. Raises BadMedia with a remedy, Conflict when told to stop."""
        if folder.stat().st_mode & 0o077:
            raise PermissionError("FFmpeg works in a folder that is private (0700) only")
        with tempfile.TemporaryFile(dir=folder) as out, tempfile.TemporaryFile(dir=folder) as log:
            process = subprocess.Popen(
                [self._ffmpeg, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=log, cwd=folder, env={},
                start_new_session=True, close_fds=True, umask=0o077,
            )  # fmt: skip
            try:
                _limit(process.pid, limits or self._limits, self._seconds_left())
                code = self._wait(process, told)
            finally:
                _kill(process)
            text = _read(log, LOG_BYTES)
            if code != 0:
                raise BadMedia(ENDED_BY.get(-code) or _remedy(text))
            return _read(out, LISTING_BYTES), text

    def _wait(self, process: subprocess.Popen[bytes], told: _Told | None) -> int:
        while True:
            if told is not None:
                told.pass_on()
            if self._should_stop():
                raise Conflict("The job was stopped.", code="stopped")
            if self._seconds_left() < KILLED_BEFORE_DEADLINE_SECONDS:
                raise Conflict("The invocation's time is over; the job is taken up again.", code="out_of_time")
            with suppress(subprocess.TimeoutExpired):
                return process.wait(POLL_SECONDS)


class _Told:
    """FFmpeg's own word of how far its output has come, from a file it appends to."""

    def __init__(self, path: Path, tell: Tell) -> None:
        self._path, self._tell, self._last = path, tell, 0.0
        self.arguments = ["-progress", f"file:{path}", "-stats_period", "0.5"]

    def pass_on(self) -> None:
        """Tells of seconds that are new."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(max(self._path.stat().st_size - PROGRESS_BYTES, 0))
            found = _OUT_TIME.findall(file.read(PROGRESS_BYTES))
        seconds = int(found[-1]) / 1e6 if found else 0.0
        if seconds > self._last:
            self._last = seconds
            self._tell(seconds)


def _limit(pid: int, limits: Limits, seconds_left: float) -> None:
    """Set from outside, as code between fork and exec may deadlock in a process with threads.

    The processor's limit ends FFmpeg even where this process is frozen or gone.
    """
    if not hasattr(resource, "prlimit"):
        return
    cpu_seconds = max(1, min(limits.cpu_seconds, int(seconds_left * (os.cpu_count() or 1))))
    for kind, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.prlimit(pid, kind, (most, most))
        except ProcessLookupError:
            return


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The whole group, which outlives its leader when that left children behind."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(file: object, limit: int) -> str:
    file.seek(0)  # type: ignore[attr-defined]
    return str(file.read(limit).decode("utf8", "replace"))  # type: ignore[attr-defined]


def _remedy(log: str) -> str:
    """One sentence with a remedy and nothing of our paths."""
    return next((sentence for mark, sentence in REMEDIES if mark in log), "The media could not be worked on.")


def _must_exist(path: Path) -> None:
    if not path.is_file() or path.stat().st_size == 0:
        raise BadMedia("FFmpeg ended without a result: the media could not be worked on.")
