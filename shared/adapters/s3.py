"""The private media bucket."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, unquote

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from shared.adapters.aws import is_refusal, tell_refusal
from shared.adapters.clock import SystemClock
from shared.adapters.presigned_urls import UrlSigner
from shared.domain.addresses import AddressRefused, parse_url
from shared.domain.content_types import essence
from shared.domain.errors import BadMedia, DependencyDown, NotFound, ProductError
from shared.ports import Clock, OpenUpload, Part, StoredObject, UploadForm

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_ABSENT = ("404", "NoSuchKey", "NotFound", "NoSuchUpload")
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_CHANGED = ("PreconditionFailed", "412", "InvalidRange", "416")
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
# Of one request (S3 API, DeleteObjects).
MOST_DELETED = 1000
_BROKEN_OFF = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)


class S3MediaStore:
    """Implements `MediaStore`. The client must sign with SigV4 (see `bootstrap.py`)."""

    def __init__(self, client: S3Client, bucket: str, clock: Clock | None = None) -> None:
        self._client, self._bucket = client, bucket
        # The SDK has no public way to a client's own credentials; `contract/test_presigned_urls.py` notices a change.
        signing: Any = client
        self._signer = UrlSigner(
            lambda: signing._request_signer._credentials.get_frozen_credentials(),
            client.meta.region_name,
            clock or SystemClock(),
        )

    @property
    def bucket(self) -> str:
        return self._bucket

    def download(self, key: str, path: Path) -> int:
        with _own_errors(), self._absent_by_list(key):
            self._client.download_file(self._bucket, key, str(path))
        return path.stat().st_size

    def upload(self, path: Path, key: str, content_type: str) -> int:
        from boto3.exceptions import S3UploadFailedError

        try:
            with _own_errors():
                self._client.upload_file(str(path), self._bucket, key, ExtraArgs={"ContentType": content_type})
        except S3UploadFailedError as error:
            raise _down() from error
        return path.stat().st_size

    def put(self, key: str, data: bytes, content_type: str) -> None:
        with _own_errors():
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=content_type)

    def write_once(self, key: str, body: BinaryIO, content_type: str, sha256: str = "") -> None:
        # Without one the SDK sends a CRC32 of its own.
        checksum: Any = {"ChecksumSHA256": base64.b64encode(bytes.fromhex(sha256)).decode()} if sha256 else {}
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*", **checksum
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _TAKEN:
                raise _down() from error
        except BotoCoreError as error:
            raise _down() from error

    def write_text(self, key: str, text: str) -> None:
        """Writes a small text once."""
        self.write_once(key, io.BytesIO(text.encode()), "text/plain")

    def replace_text(self, key: str, text: str) -> None:
        self.put(key, text.encode(), "application/json")

    def read_text(self, key: str) -> str:
        with _own_errors(), self._absent_by_list(key):
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read().decode()

    def head(self, key: str) -> StoredObject | None:
        try:
            with _own_errors(), self._absent_by_list(key):
                answer = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except NotFound:
            return None
        return StoredObject(
            key,
            answer["LastModified"],
            answer["ContentLength"],
            answer["ETag"],
            essence(answer["ContentType"]) or "",
            _is_readable(answer),
            _sha256_of(answer),
        )

    def read(self, key: str, offset: int, length: int, etag: str) -> bytes:
        if length <= 0:
            return b""
        with _own_errors(), self._absent_by_list(key):
            try:
                return self._range(key, offset, length, etag)
            except _BROKEN_OFF:
                # The SDK repeats requests, but not a body that broke off.
                return self._range(key, offset, length, etag)

    def _range(self, key: str, offset: int, length: int, etag: str) -> bytes:
        span = f"bytes={offset}-{offset + length - 1}"
        answer = self._client.get_object(Bucket=self._bucket, Key=key, Range=span, IfMatch=etag)
        return answer["Body"].read()

    @contextmanager
    def _absent_by_list(self, key: str) -> Iterator[None]:
        """Raises NotFound for a key that is refused and that no list shows.

        S3 answers 403 for an absent key to a role that may not list the bucket, else 404. Our roles may list below
        some prefixes; that this is enough for a 404 is nowhere documented, that it is enough for the list is.
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        """
        try:
            yield
        except ClientError as error:
            if not is_refusal(error.response):
                raise
            if self._may_be_there(key):
                tell_refusal(f"s3.{error.operation_name}")
                raise
            raise _meaning("NoSuchKey") from error

    def _may_be_there(self, key: str) -> bool:
        """Whether a list shows the key, or is refused as well."""
        try:
            return [one.key for one in self.page(key, "", 1)] == [key]
        except DependencyDown as error:
            if isinstance(error.__cause__, ClientError) and is_refusal(error.__cause__.response):
                return True
            raise

    def delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), MOST_DELETED):
            self._delete([{"Key": key} for key in keys[start : start + MOST_DELETED]])

    def erase(self, prefix: str, limit: int) -> Set[str]:
        with _own_errors():
            # In a bucket that never had versions each object is its one version, `null`.
            page = self._client.list_object_versions(
                Bucket=self._bucket, Prefix=prefix, MaxKeys=min(limit, MOST_DELETED)
            )
        found = [(one["Key"], one["VersionId"]) for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))]
        if found:
            self._delete([{"Key": key, "VersionId": version} for key, version in found])
        return {key for key, _ in found}

    def _delete(self, entries: Sequence[ObjectIdentifierTypeDef]) -> None:
        with _own_errors():
            answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": entries, "Quiet": True})
        if answer.get("Errors"):
            raise _down()

    def keys(self, prefix: str) -> Sequence[str]:
        with _own_errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def page(self, prefix: str, after: str, limit: int) -> Sequence[StoredObject]:
        with _own_errors():
            answer = self._client.list_objects_v2(
                Bucket=self._bucket, Prefix=prefix, StartAfter=after, MaxKeys=min(limit, 1000)
            )
        return [
            StoredObject(
                entry["Key"], entry["LastModified"], entry["Size"], entry["ETag"], readable=_is_readable(entry)
            )
            for entry in answer.get("Contents", [])
        ]

    def start_upload(self, key: str, content_type: str) -> OpenUpload:
        with _own_errors():
            answer = self._client.create_multipart_upload(Bucket=self._bucket, Key=key, ContentType=content_type)
        return OpenUpload(key, answer["UploadId"], datetime.now(UTC))

    def upload_part(self, upload: OpenUpload, number: int, data: bytes) -> Part:
        with _own_errors():
            answer = self._client.upload_part(
                Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id, PartNumber=number, Body=data
            )
        return Part(number, answer["ETag"])

    def copy_part(self, upload: OpenUpload, number: int, source: StoredObject, offset: int, length: int) -> Part:
        with _own_errors():
            answer = self._client.upload_part_copy(
                Bucket=self._bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                PartNumber=number,
                CopySource={"Bucket": self._bucket, "Key": source.key},
                CopySourceIfMatch=source.etag,
                CopySourceRange=f"bytes={offset}-{offset + length - 1}",
            )
        return Part(number, answer["CopyPartResult"]["ETag"])

    def complete_upload(self, upload: OpenUpload, parts: Sequence[Part]) -> None:
        ordered = sorted(parts, key=lambda part: part.number)
        named: Any = [{"PartNumber": part.number, "ETag": part.etag} for part in ordered]
        try:
            with _own_errors():
                # An error inside a 200 is one to botocore: it repeats the call, then raises.
                self._client.complete_multipart_upload(
                    Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id, MultipartUpload={"Parts": named}
                )
        except NotFound:
            # Repeated after an answer that was lost, it finds no upload: what it joined is there.
            found = self.head(upload.key)
            if found is None or found.etag != _joined_etag(ordered):
                raise

    def abort_upload(self, upload: OpenUpload) -> None:
        try:
            with _own_errors():
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id)
        except NotFound:
            return

    def open_uploads(self, prefix: str, after: str, limit: int) -> Sequence[OpenUpload]:
        with _own_errors():
            answer = self._client.list_multipart_uploads(
                Bucket=self._bucket, Prefix=prefix, KeyMarker=after, MaxUploads=min(limit, 1000)
            )
        return [OpenUpload(found["Key"], found["UploadId"], found["Initiated"]) for found in answer.get("Uploads", [])]

    def signed_url(self, key: str, seconds: int = 3600) -> str:
        return self._signer.sign(self._address + quote(key, safe="/-._~"), seconds)

    @cached_property
    def _address(self) -> str:
        """Where the client finds the bucket's objects; their keys follow."""
        params = {"Bucket": self._bucket, "Key": "x"}
        return self._client.generate_presigned_url("get_object", Params=params).partition("?")[0].removesuffix("x")

    def key_of(self, url: str) -> str | None:
        try:
            target = parse_url(url)
        except AddressRefused:
            return None
        path = target.request_target.partition("?")[0]
        for origin, folder in self._addresses():
            if target.origin == origin and path.startswith(folder):
                return unquote(path.removeprefix(folder)) or None
        return None

    def _addresses(self) -> Iterator[tuple[str, str]]:
        """Origins and folders of this bucket: where the client finds it and, on AWS, virtual-hosted and path style.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
        """
        own = parse_url(self._address)
        yield own.origin, own.request_target
        region = self._client.meta.region_name
        # Partitions have suffixes of their own: amazonaws.com, amazonaws.com.cn, amazonaws.eu.
        found = re.search(r"\.s3\.(?:[a-z0-9-]+\.)?(amazonaws\.[a-z.]+)$", f".{own.host}")
        if found is None:
            return
        suffix = found.group(1)
        for service in (f"s3.{region}", f"s3.dualstack.{region}", "s3"):
            yield f"https://{self._bucket}.{service}.{suffix}", "/"
            yield f"https://{service}.{suffix}", f"/{self._bucket}/"

    def upload_form(self, key: str, content_type: str, size_bytes: int, seconds: int) -> UploadForm:
        conditions: list[Any] = [{"Content-Type": content_type}, ["content-length-range", size_bytes, size_bytes]]
        form = self._client.generate_presigned_post(
            self._bucket, key, Fields={"Content-Type": content_type}, Conditions=conditions, ExpiresIn=seconds
        )
        return UploadForm(form["url"], form["fields"])


def text_at(client: S3Client, address: str) -> str:
    """What an `s3:bucket/key` address names. Raises DependencyDown, and ValueError where nothing is."""
    bucket, _, key = address.removeprefix("s3:").lstrip("/").partition("/")
    try:
        return S3MediaStore(client, bucket).read_text(key)
    except NotFound:
        raise ValueError(f"Nothing is at {address}: put a file there, or name where it is.") from None


@contextmanager
def _own_errors() -> Iterator[None]:
    """What S3's and the SDK's errors mean in our words."""
    try:
        yield
    except ClientError as error:
        raise _meaning(error.response["Error"].get("Code", "")) from error
    except BotoCoreError as error:
        raise _down() from error


def _meaning(code: str) -> ProductError:
    if code in _ABSENT:
        return NotFound("The media is no longer in the bucket.", code="media_missing")
    if code in _CHANGED:
        return BadMedia("A file was replaced while it was read: send the request again.", code="source_changed")
    if code == "InvalidObjectState":
        return BadMedia("A file lies in an archive: restore it first.", code="source_archived")
    return _down()


def _listed(entry: Mapping[str, Any]) -> StoredObject:
    return StoredObject(entry["Key"], entry["LastModified"], entry["Size"], entry["ETag"], readable=_is_readable(entry))


def _sha256_of(answer: Mapping[str, Any]) -> str:
    """In hex, where S3 has checked the whole object against it: that of an upload in parts is one of its parts' hashes.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
    """
    given = answer.get("ChecksumSHA256", "")
    return "" if "-" in given else base64.b64decode(given).hex()


def _is_readable(answer: Mapping[str, Any]) -> bool:
    archived = answer.get("StorageClass") in _ARCHIVES or "ArchiveStatus" in answer
    return not archived or 'ongoing-request="false"' in str(answer.get("Restore", ""))


def _joined_etag(parts: Sequence[Part]) -> str:
    """Of an object joined from parts, without a KMS key: the MD5 of its parts' MD5s, and their number."""
    digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
    return f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"'


def _down() -> DependencyDown:
    return DependencyDown(
        "The media store does not answer; try again in a moment.", code="storage_down", retry_after_seconds=5
    )
