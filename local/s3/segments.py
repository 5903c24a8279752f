"""Files that hold the bytes: written once, never changed, removed when no content names them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


class Segments:
    """A folder of segments. Names are random, so nothing a client says becomes part of a path."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._readers: Counter[str] = Counter()
        self._doomed: set[str] = set()
        # A gigabyte takes the file system a quarter of a second to let go.
        self._removing = ThreadPoolExecutor(max_workers=1)
        for first in range(256):
            (directory / f"{first:02x}").mkdir(parents=True, exist_ok=True)

    def create(self) -> tuple[str, BinaryIO]:
        """A new segment's name and its file, open for writing."""
        name = uuid4().hex
        return name, open(self.path(name), "xb", buffering=0)

    def path(self, name: str) -> Path:
        return self._directory / name[:2] / name

    @contextmanager
    def reading(self, names: Iterable[str]) -> Iterator[None]:
        """Meanwhile the segments stay, whatever becomes of their objects."""
        held = list(names)
        self._readers.update(held)
        try:
            yield
        finally:
            self._readers.subtract(held)
            self.remove(name for name in set(held) & self._doomed if not self._readers[name])

    def keep(self, names: Iterable[str]) -> None:
        """Takes back what `remove` would do once the readers have ended: something names them again."""
        self._doomed.difference_update(names)

    def remove(self, names: Iterable[str]) -> None:
        """Deletes files, those being read once their readers have ended."""
        for name in list(names):
            if self._readers[name] > 0:
                self._doomed.add(name)
            else:
                self._doomed.discard(name)
                del self._readers[name]
                self._removing.submit(self.path(name).unlink, missing_ok=True)

    def lengths(self) -> dict[str, int]:
        """Sizes in bytes of all segments on disk."""
        return {
            file.name: file.stat().st_size for folder in os.scandir(self._directory) for file in os.scandir(folder.path)
        }
