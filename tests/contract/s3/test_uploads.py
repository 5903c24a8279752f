"""Uploads in parts (Amazon S3 User Guide: Uploading and copying objects using multipart upload)."""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest

from tests.s3_servers import PART_BYTES, refused

KEY = "compiled/final é.mp4"


@dataclass
class Upload:
    """One upload in parts, with the ETags it has been given."""

    s3: Any
    bucket: str
    key: str
    id: str

    def part(self, number: int, body: bytes, **more: Any) -> dict[str, Any]:
        """As CompleteMultipartUpload wants it named."""
        sent = self.s3.upload_part(
            Bucket=self.bucket, Key=self.key, UploadId=self.id, PartNumber=number, Body=body, **more
        )
        return {"PartNumber": number, "ETag": sent["ETag"]}

    def copy(self, number: int, source: str, **more: Any) -> dict[str, Any]:
        made = self.s3.upload_part_copy(
            Bucket=self.bucket,
            Key=self.key,
            UploadId=self.id,
            PartNumber=number,
            CopySource={"Bucket": self.bucket, "Key": source},
            **more,
        )
        return {"PartNumber": number, "ETag": made["CopyPartResult"]["ETag"]}

    def complete(self, parts: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.s3.complete_multipart_upload(
            Bucket=self.bucket, Key=self.key, UploadId=self.id, MultipartUpload={"Parts": list(parts)}, **more
        )
        return made

    def read(self) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=self.key)["Body"].read())


def begin(s3: Any, bucket: str, **more: Any) -> Upload:
    made = s3.create_multipart_upload(Bucket=bucket, Key=KEY, ContentType="video/mp4", Metadata={"job": "1"}, **more)
    return Upload(s3, bucket, KEY, made["UploadId"])


@pytest.fixture
def upload(s3: Any, bucket: str) -> Upload:
    return begin(s3, bucket)


@pytest.fixture(scope="module")
def large() -> bytes:
    return os.urandom(PART_BYTES)


def test_parts_become_one_object_in_their_order(upload: Upload, large: bytes) -> None:
    second = upload.part(7, b"tail")
    first = upload.part(2, large)
    made = upload.complete([first, second])
    digests = b"".join(hashlib.md5(body, usedforsecurity=False).digest() for body in (large, b"tail"))
    assert made["ETag"] == f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-2"'
    assert upload.read() == large + b"tail"
    head = upload.s3.head_object(Bucket=upload.bucket, Key=KEY)
    assert (head["ContentType"], head["Metadata"], head["ETag"]) == ("video/mp4", {"job": "1"}, made["ETag"])


def test_ranges_cross_the_borders_of_parts(upload: Upload, large: bytes) -> None:
    upload.complete([upload.part(1, large), upload.part(2, b"tail")])
    read = upload.s3.get_object(Bucket=upload.bucket, Key=KEY, Range=f"bytes={PART_BYTES - 2}-{PART_BYTES + 1}")
    assert read["Body"].read() == large[-2:] + b"ta"


def test_nothing_is_there_before_the_upload_is_completed(upload: Upload) -> None:
    upload.part(1, b"only")
    with refused("404", 404):
        upload.s3.head_object(Bucket=upload.bucket, Key=KEY)
    assert upload.s3.list_objects_v2(Bucket=upload.bucket)["KeyCount"] == 0


def test_a_part_sent_again_replaces_the_first(upload: Upload) -> None:
    upload.part(1, b"first")
    upload.complete([upload.part(1, b"second")])
    assert upload.read() == b"second"


def test_parts_that_are_not_named_are_left_out(upload: Upload, large: bytes) -> None:
    kept = [upload.part(1, large), upload.part(3, b"tail")]
    upload.part(2, large)
    upload.complete(kept)
    assert upload.read() == large + b"tail"


def test_a_part_other_than_the_last_has_five_mebibytes(upload: Upload, large: bytes) -> None:
    parts = [upload.part(1, large[:-1]), upload.part(2, b"tail")]
    with refused("EntityTooSmall", 400) as details:
        upload.complete(parts)
    assert (details["ProposedSize"], details["PartNumber"]) == (str(PART_BYTES - 1), "1")
    upload.part(1, large)  # a refused completion leaves the upload as it was


def test_parts_must_be_named_in_order(upload: Upload, large: bytes) -> None:
    first, second = upload.part(1, large), upload.part(2, b"tail")
    with refused("InvalidPartOrder", 400):
        upload.complete([second, first])
    with refused("InvalidPartOrder", 400):
        upload.complete([first, first])


def test_a_part_must_be_named_with_its_etag(upload: Upload) -> None:
    part = upload.part(1, b"only")
    with refused("InvalidPart", 400):
        upload.complete([{**part, "ETag": f'"{"0" * 32}"'}])
    with refused("InvalidPart", 400):
        upload.complete([part, {**part, "PartNumber": 2}])
    upload.complete([part])


def test_a_completion_without_parts_is_refused(upload: Upload) -> None:
    with refused("MalformedXML", 400):
        upload.complete([])


@pytest.mark.parametrize("number", [0, 10_001])
def test_parts_are_numbered_from_1_to_10000(upload: Upload, number: int) -> None:
    with refused("InvalidArgument", 400):
        upload.part(number, b"part")


def test_an_upload_that_ended_is_gone(upload: Upload) -> None:
    part = upload.part(1, b"only")
    upload.s3.abort_multipart_upload(Bucket=upload.bucket, Key=KEY, UploadId=upload.id)
    for call in (lambda: upload.part(1, b"again"), lambda: upload.complete([part])):
        with refused("NoSuchUpload", 404):
            call()
    with refused("NoSuchUpload", 404):
        upload.s3.list_parts(Bucket=upload.bucket, Key=KEY, UploadId=upload.id)


def test_an_upload_belongs_to_its_key(upload: Upload) -> None:
    with refused("NoSuchUpload", 404):
        upload.s3.upload_part(Bucket=upload.bucket, Key="other", UploadId=upload.id, PartNumber=1, Body=b"x")


def test_a_completion_may_be_write_once(s3: Any, bucket: str) -> None:
    first, second = begin(s3, bucket), begin(s3, bucket)
    parts = [first.part(1, b"first")], [second.part(1, b"second")]
    first.complete(parts[0], IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        second.complete(parts[1], IfNoneMatch="*")
    assert first.read() == b"first"


def test_a_completion_may_state_the_size(upload: Upload) -> None:
    part = upload.part(1, b"only")
    with refused("InvalidRequest", 400):
        upload.complete([part], MpuObjectSize=5)
    upload.complete([part], MpuObjectSize=4)


def test_parts_are_listed_page_by_page(upload: Upload) -> None:
    for number in (1, 2, 3):
        upload.part(number, b"x" * number)
    paginator = upload.s3.get_paginator("list_parts")
    pages = paginator.paginate(Bucket=upload.bucket, Key=KEY, UploadId=upload.id, PaginationConfig={"PageSize": 2})
    assert [(part["PartNumber"], part["Size"]) for page in pages for part in page["Parts"]] == [(1, 1), (2, 2), (3, 3)]


def test_open_uploads_are_listed_by_prefix_and_page(s3: Any, bucket: str) -> None:
    ids = {begin(s3, bucket).id for _ in range(3)}
    s3.create_multipart_upload(Bucket=bucket, Key="other")
    paginator = s3.get_paginator("list_multipart_uploads")
    pages = paginator.paginate(Bucket=bucket, Prefix="compiled/", PaginationConfig={"PageSize": 2})
    assert {entry["UploadId"] for page in pages for entry in page.get("Uploads", [])} == ids


def test_a_part_is_copied_from_a_range(upload: Upload, large: bytes) -> None:
    etag = upload.s3.put_object(Bucket=upload.bucket, Key="source", Body=large + b"0123456789")["ETag"]
    first = upload.copy(1, "source", CopySourceRange=f"bytes=5-{PART_BYTES + 4}", CopySourceIfMatch=etag)
    upload.complete([first, upload.part(2, b"tail")])
    assert upload.read() == (large + b"01234")[5:] + b"tail"


def test_a_part_is_copied_whole(upload: Upload) -> None:
    upload.s3.put_object(Bucket=upload.bucket, Key="source", Body=b"small")
    upload.complete([upload.copy(1, "source")])
    assert upload.read() == b"small"


def test_copied_parts_outlive_their_source(upload: Upload, large: bytes) -> None:
    upload.s3.put_object(Bucket=upload.bucket, Key="source", Body=large)
    part = upload.copy(1, "source")
    upload.s3.put_object(Bucket=upload.bucket, Key="source", Body=b"other")
    upload.complete([part])
    assert upload.read() == large


def test_a_copy_of_a_part_is_held_to_its_source_s_version(upload: Upload, large: bytes) -> None:
    upload.s3.put_object(Bucket=upload.bucket, Key="source", Body=large + b"0")
    with refused("PreconditionFailed", 412):
        upload.copy(1, "source", CopySourceRange="bytes=0-9", CopySourceIfMatch='"other"')


@pytest.mark.parametrize("asked", ["bytes=0-5242881", "bytes=9-3", "bytes=-5", "bytes=5-", "0-5"])
def test_a_copied_range_must_lie_inside(upload: Upload, large: bytes, asked: str) -> None:
    upload.s3.put_object(Bucket=upload.bucket, Key="source", Body=large + b"0")
    with refused("InvalidArgument", 400):
        upload.copy(1, "source", CopySourceRange=asked)


def test_ranges_are_copied_from_large_objects_only(upload: Upload) -> None:
    upload.s3.put_object(Bucket=upload.bucket, Key="source", Body=b"small")
    with refused("InvalidRequest", 400):
        upload.copy(1, "source", CopySourceRange="bytes=0-2")


def test_checksums_of_parts_make_the_object_s(s3: Any, bucket: str, large: bytes) -> None:
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC32")
    sums = [zlib.crc32(body).to_bytes(4, "big") for body in (large, b"tail")]
    parts = [upload.part(1, large), upload.part(2, b"tail")]
    named = [{**part, "ChecksumCRC32": base64.b64encode(crc).decode()} for part, crc in zip(parts, sums, strict=True)]
    made = upload.complete(named)
    whole = base64.b64encode(zlib.crc32(b"".join(sums)).to_bytes(4, "big")).decode()
    assert (made["ChecksumCRC32"], made["ChecksumType"]) == (f"{whole}-2", "COMPOSITE")


def test_a_checksum_of_the_whole_is_held_against_the_parts(s3: Any, bucket: str, large: bytes) -> None:
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = [upload.part(1, large), upload.part(2, b"tail")]
    whole = base64.b64encode(zlib.crc32(large + b"tail").to_bytes(4, "big")).decode()
    with refused("BadDigest", 400):
        upload.complete(parts, ChecksumCRC32="AAAAAA==", ChecksumType="FULL_OBJECT")
    assert upload.complete(parts, ChecksumCRC32=whole, ChecksumType="FULL_OBJECT")["ChecksumCRC32"] == whole


def test_composite_checksums_must_be_named_again(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket, ChecksumAlgorithm="SHA256")
    part = upload.part(1, b"only", ChecksumAlgorithm="SHA256")
    with refused("InvalidRequest", 400):
        upload.complete([part])


def test_parts_keep_to_the_upload_s_algorithm(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket, ChecksumAlgorithm="SHA256")
    with refused("InvalidRequest", 400):
        upload.part(1, b"only", ChecksumAlgorithm="CRC32")


def test_boto3_s_own_transfers_go_both_ways(s3: Any, bucket: str) -> None:
    body = os.urandom(PART_BYTES * 4)
    s3.upload_fileobj(BytesIO(body), bucket, KEY, ExtraArgs={"ContentType": "video/mp4"})
    back = BytesIO()
    s3.download_fileobj(bucket, KEY, back)
    assert back.getvalue() == body
