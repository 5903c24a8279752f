"""The private media bucket."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import DependencyDown, NotFound
from shared.ports import OpenUpload, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_ABSENT = ("404", "NoSuchKey", "NotFound")
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
MULTIPART_FROM_BYTES = 64 * 1024 * 1024
# Of one request (S3 API, DeleteObjects).
MOST_DELETED = 1000


class S3MediaStore:
    """Implements `MediaStore`. The client must sign with SigV4 (see `bootstrap.py`)."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client, self._bucket = client, bucket

    @property
    def bucket(self) -> str:
        return self._bucket

    def download(self, key: str, path: Path) -> int:
        try:
            self._client.download_file(self._bucket, key, str(path))
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                raise NotFound("The media is no longer in the bucket.", code="media_missing") from error
            raise _down() from error
        except BotoCoreError as error:
            raise _down() from error
        return path.stat().st_size

    def upload(self, path: Path, key: str, content_type: str) -> int:
        from boto3.exceptions import S3UploadFailedError

        try:
            self._client.upload_file(str(path), self._bucket, key, ExtraArgs={"ContentType": content_type})
        except (ClientError, BotoCoreError, S3UploadFailedError) as error:
            raise _down() from error
        return path.stat().st_size

    def read_text(self, key: str) -> str:
        try:
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read().decode()
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                raise NotFound("There is no such object in the bucket.", code="media_missing") from error
            raise _down() from error
        except BotoCoreError as error:
            raise _down() from error

    def write_once(self, key: str, body: BinaryIO, content_type: str) -> None:
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in _TAKEN:
                raise _down() from error
        except BotoCoreError as error:
            raise _down() from error

    def write_text(self, key: str, text: str) -> None:
        """Writes a small text once."""
        self.write_once(key, io.BytesIO(text.encode()), "text/plain")

    def replace_text(self, key: str, text: str) -> None:
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=text.encode(), ContentType="application/json")
        except (ClientError, BotoCoreError) as error:
            raise _down() from error

    def head(self, key: str) -> Mapping[str, Any] | None:
        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise _down() from error
        except BotoCoreError as error:
            raise _down() from error
        return {"sizeBytes": answer["ContentLength"], "contentType": answer["ContentType"]}

    def delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), MOST_DELETED):
            self._delete(keys[start : start + MOST_DELETED])

    def keys(self, prefix: str) -> Sequence[str]:
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        except (ClientError, BotoCoreError) as error:
            raise _down() from error

    def page(self, prefix: str, after: str, limit: int) -> Sequence[StoredObject]:
        try:
            answer = self._client.list_objects_v2(
                Bucket=self._bucket, Prefix=prefix, StartAfter=after, MaxKeys=min(limit, 1000)
            )
        except (ClientError, BotoCoreError) as error:
            raise _down() from error
        return [StoredObject(entry["Key"], entry["LastModified"]) for entry in answer.get("Contents", [])]

    def open_uploads(self, prefix: str, after: str, limit: int) -> Sequence[OpenUpload]:
        try:
            answer = self._client.list_multipart_uploads(
                Bucket=self._bucket, Prefix=prefix, KeyMarker=after, MaxUploads=min(limit, 1000)
            )
        except (ClientError, BotoCoreError) as error:
            raise _down() from error
        return [
            OpenUpload(upload["Key"], upload["UploadId"], upload["Initiated"]) for upload in answer.get("Uploads", [])
        ]

    def abort_upload(self, upload: OpenUpload) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":
                raise _down() from error
        except BotoCoreError as error:
            raise _down() from error

    def signed_url(self, key: str, seconds: int = 3600) -> str:
        return self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=seconds
        )

    def key_of(self, url: str) -> str | None:
        # A URL the client makes itself shows how this bucket is addressed here.
        prefix = self.signed_url("x").partition("?")[0].removesuffix("x")
        address = url.partition("?")[0]
        return unquote(address.removeprefix(prefix)) or None if address.startswith(prefix) else None

    def _delete(self, keys: Sequence[str]) -> None:
        entries: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in keys]
        try:
            answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": entries, "Quiet": True})
        except (ClientError, BotoCoreError) as error:
            raise _down() from error
        if answer.get("Errors"):
            raise _down()


def _down() -> DependencyDown:
    return DependencyDown(
        "The media store does not answer; try again in a moment.", code="storage_down", retry_after_seconds=5
    )
