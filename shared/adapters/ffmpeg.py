"""FFmpeg as a child that is kept in: own arguments, empty environment, limits, a deadline, a way to stop it."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO

from shared.adapters.ffmpeg_pipes import Pipes, Stall
from shared.adapters.ffmpeg_remedies import ENDED_BY, cut_off, remedy
from shared.adapters.hardening import PROGRAMS, start_kept_in
from shared.domain.errors import BadMedia, Conflict, DependencyDown, NoRoom, OutOfTime
from shared.media import commands
from shared.media.conform import ClipChanges, Timing, conform_command, has_changed
from shared.media.presentation import BY_RULE, Streams
from shared.media.probe import MediaFacts, VideoFacts, parse_probe, with_decoded
from shared.media.sound import SoundPiece, held_seconds, samples_of
from shared.media.streams import MediaInput, MediaResult, Write
from shared.media.target import Target

KILLED_BEFORE_DEADLINE_SECONDS = 5.0
POLL_SECONDS = 0.05
# A stopped run is not held up by a store that takes its time.
LONGEST_JOIN_SECONDS = 1.0
# AVERROR(ENOSPC) as the program ends with it. What its log would say finds no room either.
DISK_FULL = 256 - errno.ENOSPC
LOG_BYTES = 4_000_000
# An hour of 60 pictures a second, each listed as stored and as decoded, with its sound, takes 50 MB.
LISTING_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What one FFmpeg may take: address space, one file, and processor seconds over all its threads."""

    memory_bytes: int = 2500 * 1024**2
    file_bytes: int = 8 * 1024**3
    cpu_seconds: int = 5400


Tell = Callable[[float], None]
PROGRESS_BYTES = 1000
# At the end it may say the largest number there is.
_OUT_TIME = re.compile(rb"out_time_us=([0-9]{1,12})\n")


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

    def probe(self, source: MediaInput, streams: Streams | None = None) -> MediaFacts:
        streams = streams or BY_RULE
        try:
            return self._probe(source, streams)
        except BadMedia:
            # A sound track without a codec, or an empty one, must not hide a picture.
            facts = self._probe(source, streams, sound=False)
            if facts.video is None:
                raise
            return facts

    def _probe(self, source: MediaInput, streams: Streams, *, sound: bool = True) -> MediaFacts:
        size_bytes = source.stat().st_size if isinstance(source, Path) else source.size_bytes
        described = streams.video or 0, streams.audio or 0
        command = commands.probe_command(source, video=described[0], audio=described[1], sound=sound)
        facts = parse_probe(*self._list(command, source), size_bytes, streams)
        found = facts.video.stream if facts.video else described[0], facts.audio.stream if facts.audio else described[1]
        if found == described:
            return facts
        command = commands.probe_command(source, video=found[0], audio=found[1], sound=sound)
        return parse_probe(*self._list(command, source), size_bytes, replace(streams, video=found[0], audio=found[1]))

    def verify(self, source: MediaInput, streams: Streams | None = None) -> MediaFacts:
        probed = self.probe(source, streams)
        listing, log = self._list(commands.decode_command(source, probed), source)
        facts = with_decoded(probed, listing, log)
        if facts.video is not None and facts.video.frames == 0:
            raise BadMedia("No picture of the file can be decoded: generate or upload it again.")
        return facts

    def thumbnail(self, source: MediaInput, target: Path, streams: Streams | None = None) -> None:
        try:
            self._run(commands.thumbnail_command(source, target, (streams or BY_RULE).video or 0), source, target)
        except BadMedia:
            # Its colours may be tagged as what FFmpeg cannot convert; a clip is not probed once more for the others.
            video = self.probe(source, streams).video
            number = video.stream if video is not None else 0
            self._run(commands.thumbnail_command(source, target, number, video), source, target)

    def join(self, clips: Sequence[Path], target: Path, seconds: Sequence[Fraction] | None = None) -> None:
        if any(clip.parent != target.parent for clip in clips):
            raise ValueError("clips lie beside the film: its script holds plain names")
        script = target.with_suffix(".ffconcat")
        script.write_text(commands.join_list(clips, seconds), "utf8")
        self._run(commands.join_command(script, target), script, target)

    def rewrap(
        self, clip: MediaInput, facts: MediaFacts, result: MediaResult, *, sound: bool, tell: Tell | None = None
    ) -> None:
        if facts.video is None:
            raise ValueError("a clip without a picture cannot be rewrapped")
        heard, held = (facts.audio if sound else None), held_seconds(facts)
        self._run(commands.rewrap_command(clip, facts.video, result, sound=heard, held=held), clip, result, tell=tell)

    def whole_sound(
        self,
        pieces: Sequence[SoundPiece],
        sample_rate: int,
        channels: int,
        result: MediaResult,
        *,
        tell: Tell | None = None,
    ) -> None:
        source = _RawSound(self._run, pieces, sample_rate, channels)
        self._run(commands.whole_sound_command(sample_rate, channels, result), source, result, tell=tell)

    def conform(
        self,
        clip: MediaInput,
        facts: MediaFacts,
        like: Target,
        result: MediaResult,
        *,
        model: VideoFacts | None = None,
        timing: Timing | None = None,
        changing: bool = False,
        tell: Tell | None = None,
    ) -> None:
        command = conform_command(clip, facts, like, result, model=model, timing=timing, changing=changing)
        _, log = self._run(command, clip, result, tell=tell)
        if not changing and has_changed(log):
            raise ClipChanges

    def _list(self, arguments: Sequence[str], source: MediaInput) -> tuple[str, str]:
        """Like `_run`, of a run that writes a listing only: a file of endless tiny packets must not fill our memory."""
        most = min(self._limits.file_bytes, LISTING_BYTES)
        return self._run(arguments, source, limits=replace(self._limits, file_bytes=most))

    def _run(
        self,
        arguments: Sequence[str],
        source: MediaInput | None,
        result: MediaResult | None = None,
        *,
        limits: Limits | None = None,
        tell: Tell | None = None,
    ) -> tuple[str, str]:
        """stdout and log of a run. Raises BadMedia with a remedy, Conflict when told to stop, what a pipe's end met."""
        with _work_folder(source, result) as folder, _files(folder) as (out, log):
            told = _Told(folder / "told.progress", tell)
            stream = None if isinstance(source, Path) else source
            takes = None if isinstance(result, Path) else result
            command = [self._ffmpeg, *told.arguments, *arguments]

            def start() -> subprocess.Popen[bytes]:
                # A group that is ended as one, in this session: schedulers may weigh sessions as wholes (sched(7)).
                return subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE if stream else subprocess.DEVNULL,
                    stdout=subprocess.PIPE if takes else out,
                    stderr=log,
                    cwd=folder,
                    env={},
                    process_group=0,
                    close_fds=True,
                    umask=0o077,
                )

            process = start_kept_in(start, **_files_of(self._ffmpeg, folder, source, result))
            pipes = Pipes(process, stream, takes)
            try:
                _limit(process.pid, limits or self._limits, self._seconds_left())
                code = self._wait(process, told, pipes)
                pipes.join()
            finally:
                _kill(process)
                pipes.join(LONGEST_JOIN_SECONDS)
            pipes.check()
            text, listing = _read(log, LOG_BYTES), _read(out, LISTING_BYTES)
            _check_end(code, text, listing)
            if isinstance(result, Path):
                _must_exist(result)
            return listing, text

    def _wait(self, process: subprocess.Popen[bytes], told: _Told, pipes: Pipes) -> int:
        stall = Stall(process.pid, pipes)
        while True:
            told.pass_on()
            pipes.check()
            stall.check()
            if self._should_stop():
                raise Conflict("The job was stopped.", code="stopped")
            if self._seconds_left() < KILLED_BEFORE_DEADLINE_SECONDS:
                raise OutOfTime
            with suppress(subprocess.TimeoutExpired):
                return process.wait(POLL_SECONDS)


def _check_end(code: int, log: str, listing: str) -> None:
    """Raises NoRoom, ClipChanges or BadMedia for a run that did not end well."""
    # Some demuxers take the end of a cut file for its end: no error, exit code 0.
    cut = cut_off(log)
    if code == DISK_FULL:
        raise NoRoom
    if code != 0 and has_changed(log):
        raise ClipChanges
    if code != 0 or cut:
        raise BadMedia(ENDED_BY.get(-code) or cut or remedy(log, listing))


@contextmanager
def _work_folder(*near: MediaInput | MediaResult | None) -> Iterator[Path]:
    """Where it works: beside the file it reads or writes, or in a folder of its own."""
    beside = next((one.parent for one in near if isinstance(one, Path)), None)
    if beside is None:
        with tempfile.TemporaryDirectory(prefix="ffmpeg-") as own:
            yield Path(own)
        return
    if beside.stat().st_mode & 0o077:
        raise PermissionError("FFmpeg works in a folder that is private (0700) only")
    yield beside


def _files_of(
    ffmpeg: str, folder: Path, source: MediaInput | None, result: MediaResult | None
) -> Mapping[str, list[Path]]:
    """Itself and its libraries; what it reads, which may lie elsewhere or be a link; where it works and writes."""
    return {
        "programs": [*PROGRAMS, Path(ffmpeg)],
        "readable": [source] if isinstance(source, Path) else [],
        "writable": [folder, *([result.parent] if isinstance(result, Path) else [])],
    }


@contextmanager
def _files(folder: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """For what it writes on stdout and for its log."""
    with tempfile.TemporaryFile(dir=folder) as out, tempfile.TemporaryFile(dir=folder) as log:
        yield out, log


@dataclass(frozen=True, slots=True)
class _RawSound:
    """The pieces' samples in a row, each made by a run of its own while the next run reads them: a `Stream`."""

    run: Callable[..., object]
    pieces: Sequence[SoundPiece]
    sample_rate: int
    channels: int
    size_bytes: int = 0

    def pour(self, write: Write) -> None:
        for piece, samples in zip(self.pieces, samples_of(self.pieces, self.sample_rate), strict=True):
            if samples:
                self.run(commands.sound_command(piece, samples, self.sample_rate, self.channels), piece.source, write)


class _Told:
    """FFmpeg's own word of how far its output has come, from a file it appends to."""

    def __init__(self, path: Path, tell: Tell | None) -> None:
        path.unlink(missing_ok=True)
        self._path, self._tell, self._last = path, tell, 0.0
        self.arguments = ["-progress", f"file:{path}", "-stats_period", "0.5"] if tell else []

    def pass_on(self) -> None:
        """Tells of seconds that are new."""
        if self._tell is None or not self._path.exists():
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


def _must_exist(path: Path) -> None:
    if not path.is_file() or path.stat().st_size == 0:
        raise BadMedia("FFmpeg ended without a result: export the clip anew as MP4 with H.264 and AAC.")
