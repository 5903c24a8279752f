"""A child's standard input and output, each served by a thread: it reads and writes when it likes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

from shared.domain.errors import BadMedia
from shared.media.streams import Stream, Write

READ_BYTES = 1024**2
STALLED_SECONDS = 120.0


class Pipes:
    """What goes into a child and what comes out of it. `check` raises what went wrong on the way."""

    def __init__(self, process: subprocess.Popen[bytes], source: Stream | None, result: Write | None) -> None:
        self._errors: list[BaseException] = []
        self.moved_bytes = 0
        self._threads: list[Thread] = []
        stdin, stdout = process.stdin, process.stdout
        if source is not None and stdin is not None:

            def write(data: bytes | memoryview) -> None:
                stdin.write(data)
                self.moved_bytes += len(data)

            def fill() -> None:
                # A child that has read enough closes its end.
                with suppress(BrokenPipeError), stdin:
                    source.pour(write)

            self._start(fill)
        if result is not None and stdout is not None:

            def drain() -> None:
                with stdout:
                    while data := stdout.read(READ_BYTES):
                        result(data)
                        self.moved_bytes += len(data)

            self._start(drain)

    def check(self) -> None:
        """Raises what a thread met."""
        if self._errors:
            raise self._errors[0]

    def join(self, timeout_seconds: float | None = None) -> None:
        """Waits until all that the child wrote has arrived, once it has ended."""
        for thread in self._threads:
            thread.join(timeout_seconds)

    def _start(self, work: Callable[[], None]) -> None:
        def watched() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for the child
                self._errors.append(error)

        thread = Thread(target=watched, daemon=True)
        self._threads.append(thread)
        thread.start()


class Stall:
    """Ends a run in which nothing moves any more: neither processor time nor a byte of its pipes, for so long."""

    def __init__(self, pid: int, pipes: Pipes) -> None:
        self._stat, self._pipes = Path(f"/proc/{pid}/stat"), pipes
        self._seen, self._since = self._moved(), time.monotonic()

    def check(self) -> None:
        """Raises BadMedia."""
        now, moved = time.monotonic(), self._moved()
        if moved != self._seen:
            self._seen, self._since = moved, now
        elif now - self._since > STALLED_SECONDS:
            raise BadMedia("FFmpeg stands still over the media: export the clip anew as MP4 with H.264 and AAC.")

    def _moved(self) -> tuple[str, int]:
        try:
            fields = self._stat.read_text("latin-1").rpartition(")")[2].split()
        except OSError:
            return "", self._pipes.moved_bytes
        return " ".join(fields[11:13]), self._pipes.moved_bytes
