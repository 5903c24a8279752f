"""A child's standard input and output, each served by a thread: it reads and writes when it likes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from shared.media.streams import Stream, Write

READ_BYTES = 1024**2


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
