"""The bucket in memory; it passes the same contract suite as its real adapter."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote
from uuid import uuid4

from shared.domain.content_types import essence
from shared.domain.errors import BadMedia, DependencyDown, NotFound
from shared.ports import OpenUpload, Part, StoredObject, UploadForm


@dataclass
class _Upload:
    key: str
    content_type: str
    began_at: datetime
    parts: dict[int, bytes] = field(default_factory=dict)


class MemoryMedia:
    """A bucket."""

    bucket = "memory"

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.hashes: dict[str, str] = {}
        self.uploads: dict[str, _Upload] = {}

    def download(self, key: str, path: Path) -> int:
        return path.write_bytes(self._body(key))

    def upload(self, path: Path, key: str, content_type: str) -> int:
        self.put(key, path.read_bytes(), content_type)
        return len(self.objects[key][0])

    def put(self, key: str, data: bytes, content_type: str) -> None:
        self.objects[key] = (data, content_type)
        self.hashes.pop(key, None)

    def write_once(self, key: str, body: BinaryIO, content_type: str, sha256: str = "") -> None:
        data = body.read()
        if sha256 not in ("", hashlib.sha256(data).hexdigest()):
            raise DependencyDown("The body is not what was to be put.", code="storage_down")
        if key not in self.objects:
            self.put(key, data, content_type)
            self.hashes[key] = sha256

    def write_text(self, key: str, text: str) -> None:
        self.objects.setdefault(key, (text.encode(), "text/plain"))

    def replace_text(self, key: str, text: str) -> None:
        self.put(key, text.encode(), "application/json")

    def read_text(self, key: str) -> str:
        return self._body(key).decode()

    def head(self, key: str) -> StoredObject | None:
        if key not in self.objects:
            return None
        body, content_type = self.objects[key]
        content_type, sha256 = essence(content_type) or "", self.hashes.get(key, "")
        return StoredObject(key, datetime.now(UTC), len(body), _etag(body), content_type, sha256=sha256)

    def read(self, key: str, offset: int, length: int, etag: str) -> bytes:
        return self._pinned(key, etag)[offset : offset + length]

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def erase(self, prefix: str, limit: int) -> Set[str]:
        found = self.keys(prefix)[:limit]
        self.delete(found)
        return set(found)

    def keys(self, prefix: str) -> Sequence[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def page(self, prefix: str, after: str, limit: int) -> Sequence[StoredObject]:
        behind = [key for key in self.keys(prefix) if key > after]
        return [found for key in behind[:limit] if (found := self.head(key)) is not None]

    def start_upload(self, key: str, content_type: str) -> OpenUpload:
        upload = OpenUpload(key, uuid4().hex, datetime.now(UTC))
        self.uploads[upload.upload_id] = _Upload(key, content_type, upload.began_at)
        return upload

    def upload_part(self, upload: OpenUpload, number: int, data: bytes) -> Part:
        self._open(upload).parts[number] = data
        return Part(number, _etag(data))

    def copy_part(self, upload: OpenUpload, number: int, source: StoredObject, offset: int, length: int) -> Part:
        return self.upload_part(upload, number, self._pinned(source.key, source.etag)[offset : offset + length])

    def complete_upload(self, upload: OpenUpload, parts: Sequence[Part]) -> None:
        if upload.upload_id not in self.uploads and upload.key in self.objects:
            return
        held = self._open(upload)
        body = b"".join(held.parts[part.number] for part in sorted(parts, key=lambda part: part.number))
        self.put(upload.key, body, held.content_type)
        self.abort_upload(upload)

    def abort_upload(self, upload: OpenUpload) -> None:
        self.uploads.pop(upload.upload_id, None)

    def open_uploads(self, prefix: str, after: str, limit: int) -> Sequence[OpenUpload]:
        found = [OpenUpload(held.key, name, held.began_at) for name, held in self.uploads.items()]
        behind = [upload for upload in found if upload.key.startswith(prefix) and upload.key > after]
        return sorted(behind, key=lambda upload: upload.key)[:limit]

    def signed_url(self, key: str, seconds: int = 3600) -> str:
        return f"https://memory/{quote(key)}?expires={seconds}"

    def key_of(self, url: str) -> str | None:
        address = url.partition("?")[0]
        return unquote(address.removeprefix("https://memory/")) if address.startswith("https://memory/") else None

    def upload_form(self, key: str, content_type: str, size_bytes: int, seconds: int) -> UploadForm:
        return UploadForm("https://memory/", {"key": key, "Content-Type": content_type})

    def _body(self, key: str) -> bytes:
        if key not in self.objects:
            raise NotFound("The media is no longer in the bucket.", code="media_missing")
        return self.objects[key][0]

    def _pinned(self, key: str, etag: str) -> bytes:
        body = self._body(key)
        if _etag(body) != etag:
            raise BadMedia("A file was replaced while it was read: send the request again.", code="source_changed")
        return body

    def _open(self, upload: OpenUpload) -> _Upload:
        if upload.upload_id not in self.uploads:
            raise NotFound("The upload has ended.", code="media_missing")
        return self.uploads[upload.upload_id]


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
