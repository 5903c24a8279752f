"""What is stored, in SQLite; the bytes are files of their own (segments.py).

A row is what makes bytes an object: it is committed after they are written, so a reader sees the old object or
the new one, and a killed server leaves no half. Contents are lists of pieces of segments, so a copy and the
joining of parts write rows and no bytes.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from local.s3.checksums import Checksum
from local.s3.errors import Refused

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (
    name TEXT PRIMARY KEY, created_at REAL NOT NULL, cors TEXT, notification TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, key TEXT NOT NULL, size_bytes INTEGER NOT NULL, etag TEXT NOT NULL,
    modified_at REAL NOT NULL, description TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, started_at REAL NOT NULL,
    description TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads (bucket, key, id);
CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, size_bytes INTEGER NOT NULL, etag TEXT NOT NULL,
    modified_at REAL NOT NULL, checksum TEXT, content TEXT NOT NULL, PRIMARY KEY (upload, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pieces (
    content TEXT NOT NULL, position INTEGER NOT NULL, segment TEXT NOT NULL, start INTEGER NOT NULL,
    length INTEGER NOT NULL, PRIMARY KEY (content, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pieces_by_segment ON pieces (segment);
CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, queue_arn TEXT NOT NULL, body TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Bucket:
    """`cors` and `notification` are the XML documents they were set by."""

    name: str
    created_at: float
    cors: str | None = None
    notification: str | None = None


@dataclass(frozen=True)
class Piece:
    """`length` bytes of a segment from `start`."""

    segment: str
    start: int
    length: int


@dataclass(frozen=True)
class Description:
    """What a client says of an object: headers to give back, tags, checksum."""

    headers: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    checksum: Checksum | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Description:
        kept = json.loads(text)
        checksum = Checksum(**kept["checksum"]) if kept["checksum"] else None
        return Description(kept["headers"], kept["tags"], checksum)


@dataclass(frozen=True)
class StoredObject:
    """`etag` is without quotes, `modified_at` Unix time in whole seconds, `content` names its pieces."""

    bucket: str
    key: str
    size_bytes: int
    etag: str
    description: Description
    modified_at: float = field(default_factory=lambda: float(int(time.time())))
    content: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True)
class Event:
    """A message that waits to be sent to a queue."""

    number: int
    queue_arn: str
    body: str


class Index:
    """One connection, used by one thread. Bytes that a change leaves behind are its caller's to remove."""

    def __init__(self, file: Path, *, fsync: bool) -> None:
        self.connection = sqlite3.connect(file, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute(f"PRAGMA synchronous = {'FULL' if fsync else 'NORMAL'}")
        self.connection.executescript(_SCHEMA)

    def close(self) -> None:
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing; no `await` may stand inside."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def make_bucket(self, name: str) -> None:
        """Making one's own bucket again is no error in us-east-1."""
        self.connection.execute("INSERT OR IGNORE INTO buckets VALUES (?, ?, NULL, NULL)", (name, time.time()))

    def bucket(self, name: str) -> Bucket:
        """Raises NoSuchBucket."""
        row = self._one("SELECT * FROM buckets WHERE name = ?", name)
        if row is None:
            raise Refused("NoSuchBucket", BucketName=name)
        return Bucket(*row)

    def buckets(self) -> list[Bucket]:
        return [Bucket(*row) for row in self.connection.execute("SELECT * FROM buckets ORDER BY name")]

    def configure_bucket(self, bucket: Bucket) -> None:
        values = (bucket.cors, bucket.notification, bucket.name)
        self.connection.execute("UPDATE buckets SET cors = ?, notification = ? WHERE name = ?", values)

    def delete_bucket(self, name: str) -> None:
        """Raises BucketNotEmpty."""
        if self._one("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", name):
            raise Refused("BucketNotEmpty", BucketName=name)
        self.connection.execute("DELETE FROM buckets WHERE name = ?", (name,))

    def find(self, bucket: str, key: str) -> StoredObject | None:
        row = self._one("SELECT * FROM objects WHERE bucket = ? AND key = ?", bucket, key)
        return None if row is None else _stored(row)

    def objects_after(self, bucket: str, prefix: str, after: str, limit: int) -> list[StoredObject]:
        """Objects whose keys begin with the prefix and come after `after`, in the order of UTF-8 bytes."""
        rows = self.connection.execute(
            "SELECT * FROM objects WHERE bucket = ? AND key > ? AND key >= ? AND substr(key, 1, ?) = ? "
            "ORDER BY key LIMIT ?",
            (bucket, after, prefix, len(prefix), prefix, limit),
        )
        return [_stored(row) for row in rows]

    def put(self, stored: StoredObject, pieces: Iterable[Piece], events: Iterable[tuple[str, str]] = ()) -> list[str]:
        """Replaces the object of that key; with it go its events (queue ARN, body). Inside a transaction.

        The segments the old one held, which may be in use elsewhere: ask `unused`.
        """
        freed = self.delete(stored.bucket, stored.key)
        self.connection.execute(
            "INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                stored.bucket,
                stored.key,
                stored.size_bytes,
                stored.etag,
                stored.modified_at,
                stored.description.to_json(),
                stored.content,
            ),
        )
        self.add_pieces(stored.content, pieces)
        self.add_events(events)
        return freed

    def describe(self, stored: StoredObject, description: Description) -> None:
        """Changes what is said of the object, not its bytes."""
        values = (description.to_json(), stored.bucket, stored.key)
        self.connection.execute("UPDATE objects SET description = ? WHERE bucket = ? AND key = ?", values)

    def delete(self, bucket: str, key: str) -> list[str]:
        """Inside a transaction. The segments it held, which may be in use elsewhere: ask `unused`."""
        found = self.find(bucket, key)
        if found is None:
            return []
        self.connection.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
        return self.remove_pieces(found.content)

    def pieces(self, content: str) -> list[Piece]:
        rows = self.connection.execute(
            "SELECT segment, start, length FROM pieces WHERE content = ? ORDER BY position", (content,)
        )
        return [Piece(*row) for row in rows]

    def add_pieces(self, content: str, pieces: Iterable[Piece]) -> None:
        rows = ((content, n, piece.segment, piece.start, piece.length) for n, piece in enumerate(pieces))
        self.connection.executemany("INSERT INTO pieces VALUES (?, ?, ?, ?, ?)", rows)

    def remove_pieces(self, content: str) -> list[str]:
        segments = [piece.segment for piece in self.pieces(content)]
        self.connection.execute("DELETE FROM pieces WHERE content = ?", (content,))
        return segments

    def unused(self, segments: Iterable[str]) -> list[str]:
        """Those of the segments that no content names."""
        look = "SELECT 1 FROM pieces WHERE segment = ? LIMIT 1"
        return [segment for segment in set(segments) if self._one(look, segment) is None]

    def add_events(self, events: Iterable[tuple[str, str]]) -> None:
        self.connection.executemany("INSERT INTO events (queue_arn, body) VALUES (?, ?)", events)

    def waiting_events(self, limit: int) -> list[Event]:
        return [Event(*row) for row in self.connection.execute("SELECT * FROM events ORDER BY id LIMIT ?", (limit,))]

    def forget_event(self, event: Event) -> None:
        self.connection.execute("DELETE FROM events WHERE id = ?", (event.number,))

    def drop_unless(self, lengths: dict[str, int]) -> list[str]:
        """Removes objects with bytes that are not there (name of segment -> size of its file); their keys.

        Only a power cut without fsync leaves such; an upload's parts are found missing when they are used.
        """
        lost = {
            content
            for content, segment, end in self.connection.execute("SELECT content, segment, start + length FROM pieces")
            if lengths.get(segment, -1) < end
        }
        rows = self.connection.execute("SELECT bucket, key, content FROM objects").fetchall() if lost else []
        gone = [(bucket, key) for bucket, key, content in rows if content in lost]
        with self.transaction():
            for bucket, key in gone:
                self.delete(bucket, key)
        return [f"{bucket}/{key}" for bucket, key in gone]

    def _one(self, statement: str, *values: Any) -> Sequence[Any] | None:
        row: Sequence[Any] | None = self.connection.execute(statement, values).fetchone()
        return row


def _stored(row: Sequence[Any]) -> StoredObject:
    bucket, key, size_bytes, etag, modified_at, description, content = row
    return StoredObject(bucket, key, size_bytes, etag, Description.from_json(description), modified_at, content)
