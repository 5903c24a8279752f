"""A stored object as something that is read in ranges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from shared.domain.errors import BadMedia, NotFound
from shared.ports import MediaStore, StoredObject


class ObjectSource:
    """One object, held to what it was when it was opened. Counts the bytes read, by any thread."""

    def __init__(self, media: MediaStore, stored: StoredObject) -> None:
        self._media, self.stored = media, stored
        self.bytes_read, self._counting = 0, Lock()
        self._whole: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """Its length."""
        return self.stored.size_bytes

    def read(self, offset: int, length: int) -> bytes:
        """A range, cut to the object's end. Raises NotFound, BadMedia `source_changed`, DependencyDown."""
        if self._whole is not None:
            return self._whole[offset : offset + length]
        return self._fetch(offset, length)

    def keep_whole(self) -> None:
        """Fetches a small object in one request; later reads are of memory. Raises as `read` does."""
        if self._whole is None:
            self._whole = self._fetch(0, self.size_bytes)

    def hold(self, data: bytes) -> None:
        """Takes its bytes from whoever has just stored them."""
        self._whole = data

    def held(self, offset: int, length: int) -> memoryview | None:
        """A range of what is in memory, not copied; None where nothing is."""
        return None if self._whole is None else memoryview(self._whole)[offset : offset + length]

    def _fetch(self, offset: int, length: int) -> bytes:
        data = self._media.read(self.stored.key, offset, min(length, self.size_bytes - offset), self.stored.etag)
        with self._counting:
            self.bytes_read += len(data)
        return data


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file of the workplace, read in ranges."""

    path: Path

    @property
    def size_bytes(self) -> int:
        """Its length."""
        return self.path.stat().st_size

    def read(self, offset: int, length: int) -> bytes:
        """A range, cut to the file's end."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)


def known_object(key: str, size_bytes: int, etag: str) -> StoredObject:
    """An object as it was when it was stored here: if it is another by now, reading it says so."""
    return StoredObject(key, datetime.min.replace(tzinfo=UTC), size_bytes, etag)


def open_object(media: MediaStore, key: str) -> ObjectSource:
    """The object at a key. Raises NotFound, BadMedia `source_archived`, DependencyDown."""
    stored = media.head(key)
    if stored is None:
        raise NotFound("The media is no longer in the bucket.", code="media_missing")
    if not stored.readable:
        raise BadMedia("A file lies in an archive: restore it first.", code="source_archived")
    return ObjectSource(media, stored)
