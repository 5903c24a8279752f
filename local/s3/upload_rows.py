"""Uploads in parts, as rows; a part's bytes are a content like an object's."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

from local.s3.checksums import Checksum
from local.s3.errors import Refused
from local.s3.index import Description, Index, Piece


@dataclass(frozen=True)
class Upload:
    """The description's checksum names algorithm and kind; its value is empty."""

    bucket: str
    key: str
    description: Description
    started_at: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: uuid4().hex + uuid4().hex)


@dataclass(frozen=True)
class Part:
    number: int
    size_bytes: int
    etag: str
    checksum: Checksum | None
    modified_at: float = field(default_factory=lambda: float(int(time.time())))
    content: str = field(default_factory=lambda: uuid4().hex)


class UploadRows:
    """Uploads and parts of an index."""

    def __init__(self, index: Index) -> None:
        self._index, self._connection = index, index.connection

    def start(self, upload: Upload) -> None:
        row = (upload.id, upload.bucket, upload.key, upload.started_at, upload.description.to_json())
        self._connection.execute("INSERT INTO uploads VALUES (?, ?, ?, ?, ?)", row)

    def find(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Raises NoSuchUpload."""
        look = "SELECT * FROM uploads WHERE id = ? AND bucket = ? AND key = ?"
        row = self._connection.execute(look, (upload_id, bucket, key)).fetchone()
        if row is None:
            raise Refused("NoSuchUpload", UploadId=upload_id)
        return _upload(row)

    def listed(self, bucket: str, prefix: str, after: tuple[str, str], limit: int) -> list[Upload]:
        """In the order of keys, then of ids; `after`: (key, id), an empty id stands for all of that key."""
        key, upload_id = after
        rows = self._connection.execute(
            "SELECT * FROM uploads WHERE bucket = ? AND substr(key, 1, ?) = ? "
            "AND (key > ? OR (key = ? AND ? != '' AND id > ?)) ORDER BY key, id LIMIT ?",
            (bucket, len(prefix), prefix, key, key, upload_id, upload_id, limit),
        )
        return [_upload(row) for row in rows]

    def put_part(self, upload: Upload, part: Part, pieces: Sequence[Piece]) -> list[str]:
        """Replaces the part of that number. Raises NoSuchUpload when the upload has ended meanwhile.

        Returns the segments that nothing names any more.
        """
        with self._index.transaction():
            self.find(upload.bucket, upload.key, upload.id)
            freed: list[str] = []
            for old in self.parts(upload.id, part.number - 1, 1):
                freed = self._index.remove_pieces(old.content) if old.number == part.number else []
            checksum = json.dumps(asdict(part.checksum)) if part.checksum else None
            row = (upload.id, part.number, part.size_bytes, part.etag, part.modified_at, checksum, part.content)
            self._connection.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            self._index.add_pieces(part.content, pieces)
            return self._index.unused(freed)

    def parts(self, upload_id: str, after: int = 0, limit: int = 10_000) -> list[Part]:
        look = (
            "SELECT number, size_bytes, etag, checksum, modified_at, content FROM parts "
            "WHERE upload = ? AND number > ? ORDER BY number LIMIT ?"
        )
        return [_part(row) for row in self._connection.execute(look, (upload_id, after, limit))]

    def end(self, upload_id: str) -> list[str]:
        """Removes the upload with its parts' rows; their contents, whose pieces remain. Inside a transaction."""
        contents = [part.content for part in self.parts(upload_id)]
        self._connection.execute("DELETE FROM parts WHERE upload = ?", (upload_id,))
        self._connection.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))
        return contents

    def abort(self, upload_id: str) -> list[str]:
        """Removes all of an upload; the segments that nothing names any more."""
        with self._index.transaction():
            contents = self.end(upload_id)
            return self._index.unused([s for content in contents for s in self._index.remove_pieces(content)])


def _upload(row: Sequence[Any]) -> Upload:
    upload_id, bucket, key, started_at, description = row
    return Upload(bucket, key, Description.from_json(description), started_at, upload_id)


def _part(row: Sequence[Any]) -> Part:
    number, size_bytes, etag, checksum, modified_at, content = row
    kept = Checksum(**json.loads(checksum)) if checksum else None
    return Part(number, size_bytes, etag, kept, modified_at, content)
