"""The private bucket: whole files, ranges of them, uploads in parts, and what callers may do with it themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is now; `etag` pins it. A listing tells no content type and no hash.

    `content_type` is type/subtype in lower case, without parameters, and empty where none is known. `sha256` is the
    hex SHA-256 that the store has checked all its bytes against, and empty where it was given none.
    `readable` is false while its bytes lie in an archive that must be restored first.
    """

    key: str
    modified_at: datetime
    size_bytes: int
    etag: str
    content_type: str = ""
    readable: bool = True
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An upload in parts that was neither completed nor given up."""

    key: str
    upload_id: str
    began_at: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is there. Numbers are 1 to 10,000; all but the last have 5 MiB to 5 GiB (Amazon S3 limits)."""

    number: int
    etag: str


@dataclass(frozen=True, slots=True)
class UploadForm:
    """Where a browser posts a form to, with the fields that come before its `file`."""

    url: str
    fields: Mapping[str, str]


class MediaStore(Protocol):
    """The private bucket. Every method raises DependencyDown when it does not answer."""

    @property
    def bucket(self) -> str:
        """Its name."""

    def download(self, key: str, path: Path) -> int:
        """Fetches an object into a file; its bytes. Raises NotFound."""

    def upload(self, path: Path, key: str, content_type: str) -> int:
        """Puts a file; its bytes."""

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Puts bytes in one request, over what was there before."""

    def write_once(self, key: str, body: BinaryIO, content_type: str, sha256: str = "") -> None:
        """Puts a stream unless the key is taken already, which is no error.

        With a hex SHA-256 the store keeps it beside the object, and keeps nothing of a body that has another one.
        """

    def write_text(self, key: str, text: str) -> None:
        """Puts a small text unless the key is taken already."""

    def replace_text(self, key: str, text: str) -> None:
        """A small object of JSON, over what was there before."""

    def read_text(self, key: str) -> str:
        """A small object as text. Raises NotFound."""

    def head(self, key: str) -> StoredObject | None:
        """What is there, or None."""

    def read(self, key: str, offset: int, length: int, etag: str) -> bytes:
        """A range that lies inside the object. Raises NotFound, BadMedia (`source_changed`, `source_archived`)."""

    def delete(self, keys: Sequence[str]) -> None:
        """Removes objects; absent ones are no error. Where the bucket keeps versions, the last stays for its days."""

    def erase(self, prefix: str, limit: int) -> Set[str]:
        """Removes for good: versions of objects under a prefix, old ones and marks of deletion among them, `limit` at
        most (1000). The keys of what was found; none once nothing is left."""

    def keys(self, prefix: str) -> Sequence[str]:
        """All keys below a prefix."""

    def page(self, prefix: str, after: str, limit: int) -> Sequence[StoredObject]:
        """Objects under the prefix with keys behind `after`, in order, `limit` at most (1000)."""

    def start_upload(self, key: str, content_type: str) -> OpenUpload:
        """Begins an upload in parts; whoever begins one completes or aborts it."""

    def upload_part(self, upload: OpenUpload, number: int, data: bytes) -> Part:
        """Sends a part. Raises NotFound when the upload was aborted."""

    def copy_part(self, upload: OpenUpload, number: int, source: StoredObject, offset: int, length: int) -> Part:
        """Makes a range of an object a part, no byte of it passing through here; the object has over 5 MiB.

        Raises NotFound, BadMedia (`source_changed`, `source_archived`).
        """

    def complete_upload(self, upload: OpenUpload, parts: Sequence[Part]) -> None:
        """Joins the parts, in the order of their numbers. Done before is no error. Raises NotFound."""

    def abort_upload(self, upload: OpenUpload) -> None:
        """Gives an upload up with all its parts; one that has ended is no error."""

    def open_uploads(self, prefix: str, after: str, limit: int) -> Sequence[OpenUpload]:
        """Uploads under the prefix with keys behind `after`, in order, `limit` at most (1000)."""

    def signed_url(self, key: str, seconds: int = 3600) -> str:
        """A SigV4 URL for GET, for so long from the start of the signing window of 15 minutes.

        Byte for byte the same within a window, as long as the function's credentials are.
        """

    def key_of(self, url: str) -> str | None:
        """The key that a URL of this bucket names, signed or not; None for any other URL."""

    def upload_form(self, key: str, content_type: str, size_bytes: int, seconds: int) -> UploadForm:
        """A signed form that takes one file, of this size and type, to this key, for so long."""
