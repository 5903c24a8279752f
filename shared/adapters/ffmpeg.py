"""FFmpeg as a child that is kept in: own arguments, empty environment, limits, a deadline, a way to stop it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.domain.errors import BadMedia, Conflict, DependencyDown
from shared.media import commands
from shared.media.plan import Target
from shared.media.probe import MediaFacts, parse_probe, with_decoded

KILLED_BEFORE_DEADLINE_SECONDS = 5.0
POLL_SECONDS = 0.05
MEMORY_BYTES = 2500 * 1024**2
FILE_BYTES = 8 * 1024**3
LOG_BYTES = 4_000_000
LISTING_BYTES = 200_000_000
REMEDIES = (
    ("moov atom not found", "The file is cut off: upload or generate it again."),
    ("Invalid data found", "The file is damaged or no media that can be read: generate or upload it again."),
    ("does not contain any stream", "The file holds neither picture nor sound."),
    ("matches no streams", "The file holds no picture."),
    ("not in allowed", "This kind of file is not accepted as media."),
    ("whitelist", "This kind of file is not accepted as media."),
    ("File too large", "The result would be too large: compile fewer clips."),
    ("Cannot allocate memory", "The picture is too large to be worked on."),
)


class FfmpegEncoder:
    """Implements `Encoder`. `seconds_left` is the invocation's; `should_stop` is asked many times a second."""

    def __init__(self, ffmpeg: str, *, seconds_left: Callable[[], float], should_stop: Callable[[], bool]) -> None:
        if not ffmpeg:
            raise DependencyDown(
                "FFmpeg is not on the PATH: deploy the stage with its ffmpeg layer.", code="ffmpeg_missing"
            )
        self._ffmpeg, self._seconds_left, self._should_stop = ffmpeg, seconds_left, should_stop

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
        facts = parse_probe(*self._run(commands.probe_command(path, sound=sound), path.parent), size_bytes)
        if facts.video is None or facts.video.stream == 0:
            return facts
        chosen = commands.probe_command(path, video=facts.video.stream, sound=sound)
        return parse_probe(*self._run(chosen, path.parent), size_bytes)

    def verify(self, path: Path) -> MediaFacts:
        probed = self.probe(path)
        listing, log = self._run(commands.decode_command(path, probed), path.parent)
        facts = with_decoded(probed, listing, log)
        if facts.video is not None and facts.video.frames == 0:
            raise BadMedia("No picture of the file can be decoded: generate or upload it again.")
        return facts

    def thumbnail(self, path: Path, target: Path) -> None:
        self._run(commands.thumbnail_command(path, target), path.parent)
        _must_exist(target)

    def join(self, clips: Sequence[Path], target: Path) -> None:
        script = target.with_suffix(".ffconcat")
        script.write_text(commands.join_list(clips), "utf8")
        self._run(commands.join_command(script, target), target.parent)
        _must_exist(target)

    def conform(self, clip: Path, facts: MediaFacts, like: Target, target: Path) -> None:
        self._run(commands.conform_command(clip, facts, like, target), target.parent)
        _must_exist(target)

    def _run(self, arguments: Sequence[str], folder: Path) -> tuple[str, str]:
        """stdout and log of a run. Raises BadMedia with a remedy, Conflict when told to stop."""
        with tempfile.TemporaryFile(dir=folder) as out, tempfile.TemporaryFile(dir=folder) as log:
            process = subprocess.Popen(
                [self._ffmpeg, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=log, cwd=folder, env={},
                start_new_session=True, close_fds=True,
            )  # fmt: skip
            _limit(process.pid)
            code = self._wait(process)
            text = _read(log, LOG_BYTES)
            if code != 0:
                raise BadMedia(_remedy(text))
            return _read(out, LISTING_BYTES), text

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        while process.poll() is None:
            if self._should_stop():
                _kill(process)
                raise Conflict("The job was stopped.", code="stopped")
            if self._seconds_left() < KILLED_BEFORE_DEADLINE_SECONDS:
                _kill(process)
                raise Conflict("The invocation's time is over; the job is taken up again.", code="out_of_time")
            time.sleep(POLL_SECONDS)
        return process.returncode


def _limit(pid: int) -> None:
    """Set from outside, as code between fork and exec may deadlock in a process with threads."""
    if not hasattr(resource, "prlimit"):
        return
    try:
        resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    except ProcessLookupError:
        return


def _kill(process: subprocess.Popen[bytes]) -> None:
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
