"""Log files of functions and of the gateway: appended to, and moved aside when they grow too large."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

_READ_BYTES = 65536


class CappedLog:
    """Appends lines; at `limit_bytes` the file becomes `<name>.1`, replacing the one before."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._limit_bytes = limit_bytes
        self._open()

    def write(self, line: bytes) -> None:
        self._file.write(line if line.endswith(b"\n") else line + b"\n")
        self._size_bytes += len(line)
        if self._size_bytes > self._limit_bytes:
            self.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._open()

    def write_text(self, line: str) -> None:
        self.write(line.encode())

    def write_json(self, record: Mapping[str, object]) -> None:
        self.write(json.dumps(record).encode())

    def close(self) -> None:
        self._file.close()

    def _open(self) -> None:
        self._file: BinaryIO = self._path.open("ab", buffering=0)
        self._size_bytes = self._path.stat().st_size


class OutputPipe:
    """Carries what an environment prints to a log, line by line.

    `drain` reads all that was printed so far: a function prints before it answers, so calling it
    when the answer arrives puts the output in front of the END line.
    """

    def __init__(self, log: CappedLog) -> None:
        self._log = log
        self._partial = b""
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_fd, self.drain)
        self._open = True

    def close_write_end(self) -> None:
        os.close(self.write_fd)

    def drain(self) -> None:
        while self._open:
            try:
                chunk = os.read(self._read_fd, _READ_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                self.close()
                return
            self._take(chunk)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._read_fd)
        os.close(self._read_fd)
        if self._partial:
            self._log.write(self._partial)

    def _take(self, chunk: bytes) -> None:
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        for line in lines:
            self._log.write(line)
