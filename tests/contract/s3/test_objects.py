"""Objects: bytes, headers, conditions, ranges, copies, lists (Amazon S3 API Reference)."""

from __future__ import annotations

import base64
import hashlib
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.s3_servers import refused

KEY = "generated/a b/é+&=%/clip (1)~.mp4"
AN_HOUR = timedelta(hours=1)


def put(s3: Any, bucket: str, key: str = KEY, body: bytes = b"0123456789", **more: Any) -> str:
    """The ETag."""
    return str(s3.put_object(Bucket=bucket, Key=key, Body=body, **more)["ETag"])


def read(s3: Any, bucket: str, key: str = KEY, **more: Any) -> bytes:
    return bytes(s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read())


def test_an_object_comes_back_with_its_headers_and_metadata(s3: Any, bucket: str) -> None:
    sent = {
        "ContentType": "video/mp4",
        "CacheControl": "no-store",
        "ContentDisposition": "inline",
        "ContentEncoding": "identity",
        "ContentLanguage": "en",
        "Metadata": {"job": "j1"},
    }
    put(s3, bucket, **sent)
    answer = s3.get_object(Bucket=bucket, Key=KEY)
    assert answer["Body"].read() == b"0123456789"
    assert {name: answer[name] for name in sent} == sent
    assert answer["AcceptRanges"] == "bytes"


def test_a_body_packed_by_its_sender_stays_packed(s3: Any, bucket: str) -> None:
    packed = zlib.compress(b"captions" * 100)
    put(s3, bucket, body=packed, ContentEncoding="deflate")
    assert s3.head_object(Bucket=bucket, Key=KEY)["ContentLength"] == len(packed)


def test_the_etag_is_the_md5(s3: Any, bucket: str) -> None:
    assert put(s3, bucket, body=b"film") == f'"{hashlib.md5(b"film", usedforsecurity=False).hexdigest()}"'


def test_an_empty_object_is_an_object(s3: Any, bucket: str) -> None:
    put(s3, bucket, body=b"")
    answer = s3.get_object(Bucket=bucket, Key=KEY)
    assert (answer["ContentLength"], answer["Body"].read()) == (0, b"")


@pytest.mark.parametrize("key", ["a//b", "/leading", "trailing/", "../up", "a/./b", "é" * 512, "tab\tnewline\n"])
def test_a_key_is_only_a_name(s3: Any, bucket: str, key: str) -> None:
    put(s3, bucket, key, key.encode())
    put(s3, bucket, "other", b"other")
    assert read(s3, bucket, key) == key.encode()
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]] == [key]


def test_a_key_of_1025_bytes_is_too_long(s3: Any, bucket: str) -> None:
    with refused("KeyTooLongError", 400):
        put(s3, bucket, "k" * 1025)


def test_what_is_not_there_is_named(s3: Any, bucket: str) -> None:
    with refused("NoSuchKey", 404):
        read(s3, bucket)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key=KEY)
    with refused("NoSuchBucket", 404):
        put(s3, "no-such-bucket-here")


def test_a_second_put_replaces_the_first(s3: Any, bucket: str) -> None:
    put(s3, bucket, body=b"first", Metadata={"a": "1"})
    put(s3, bucket, body=b"second")
    answer = s3.get_object(Bucket=bucket, Key=KEY)
    assert (answer["Body"].read(), answer["Metadata"]) == (b"second", {})


def test_a_body_that_does_not_fit_its_digest_is_not_stored(s3: Any, bucket: str) -> None:
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    with refused("BadDigest", 400):
        put(s3, bucket, ContentMD5=wrong)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key=KEY)


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_body_that_does_not_fit_its_checksum_is_not_stored(s3: Any, bucket: str, name: str) -> None:
    length = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}[name]
    with refused("BadDigest", 400):
        put(s3, bucket, **{f"Checksum{name}": base64.b64encode(bytes(length)).decode()})
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key=KEY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CRC32", "y/Q5Jg=="),
        ("CRC32C", "4waSgw=="),
        ("CRC64NVME", "rosUhgp5mIg="),
        ("SHA256", base64.b64encode(hashlib.sha256(b"123456789").digest()).decode()),
    ],
)
def test_a_checksum_is_kept_and_told(s3: Any, bucket: str, name: str, value: str) -> None:
    put(s3, bucket, body=b"123456789", **{f"Checksum{name}": value})
    told = s3.head_object(Bucket=bucket, Key=KEY, ChecksumMode="ENABLED")
    assert told[f"Checksum{name}"] == value


@pytest.mark.parametrize(
    ("asked", "sent", "told"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
    ],
)
def test_a_range_is_answered_with_its_place(s3: Any, bucket: str, asked: str, sent: bytes, told: str) -> None:
    put(s3, bucket)
    answer = s3.get_object(Bucket=bucket, Key=KEY, Range=asked)
    assert (answer["Body"].read(), answer["ContentRange"]) == (sent, told)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_outside_is_refused(s3: Any, bucket: str, asked: str) -> None:
    put(s3, bucket)
    with refused("InvalidRange", 416) as details:
        read(s3, bucket, Range=asked)
    assert (details["ActualObjectSize"], details["RangeRequested"]) == ("10", asked)


@pytest.mark.parametrize("asked", ["bytes=4-2", "lines=1-2", "bytes=x-y", "bytes=0-1,3-4"])
def test_what_is_no_single_range_is_ignored(s3: Any, bucket: str, asked: str) -> None:
    put(s3, bucket)
    answer = s3.get_object(Bucket=bucket, Key=KEY, Range=asked)
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Body"].read()) == (200, b"0123456789")


def test_reading_on_condition(s3: Any, bucket: str) -> None:
    etag = put(s3, bucket)
    modified = s3.head_object(Bucket=bucket, Key=KEY)["LastModified"]
    assert read(s3, bucket, IfMatch=etag) == b"0123456789"
    assert read(s3, bucket, IfNoneMatch='"other"') == b"0123456789"
    assert read(s3, bucket, IfModifiedSince=modified - AN_HOUR) == b"0123456789"
    assert read(s3, bucket, IfUnmodifiedSince=modified) == b"0123456789"
    for condition in ({"IfMatch": '"other"'}, {"IfUnmodifiedSince": modified - AN_HOUR}):
        with refused("PreconditionFailed", 412):
            read(s3, bucket, **condition)
    for condition in ({"IfNoneMatch": etag}, {"IfModifiedSince": modified}):
        with refused("304", 304):
            read(s3, bucket, **condition)


def test_an_etag_outweighs_a_date(s3: Any, bucket: str) -> None:
    etag = put(s3, bucket)
    long_ago, later = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + AN_HOUR
    assert read(s3, bucket, IfMatch=etag, IfUnmodifiedSince=long_ago) == b"0123456789"
    assert read(s3, bucket, IfNoneMatch='"other"', IfModifiedSince=later) == b"0123456789"


def test_write_once_refuses_the_second(s3: Any, bucket: str) -> None:
    put(s3, bucket, body=b"first", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        put(s3, bucket, body=b"second", IfNoneMatch="*")
    assert read(s3, bucket) == b"first"


def test_write_over_a_known_version_only(s3: Any, bucket: str) -> None:
    with refused("NoSuchKey", 404):
        put(s3, bucket, IfMatch='"any"')
    etag = put(s3, bucket, body=b"first")
    put(s3, bucket, body=b"second", IfMatch=etag)
    with refused("PreconditionFailed", 412):
        put(s3, bucket, body=b"third", IfMatch=etag)
    assert read(s3, bucket) == b"second"


def test_deleting_is_done_once_and_said_always(s3: Any, bucket: str) -> None:
    put(s3, bucket)
    for _ in range(2):
        assert s3.delete_object(Bucket=bucket, Key=KEY)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_many_are_deleted_at_once(s3: Any, bucket: str) -> None:
    for key in ("a", "b & c", "d"):
        put(s3, bucket, key)
    asked = {"Objects": [{"Key": key} for key in ("a", "b & c", "never there")]}
    deleted = s3.delete_objects(Bucket=bucket, Delete=asked)["Deleted"]
    assert sorted(entry["Key"] for entry in deleted) == ["a", "b & c", "never there"]
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["d"]


def test_more_than_a_thousand_deletions_are_refused(s3: Any, bucket: str) -> None:
    with refused("MalformedXML", 400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": str(n)} for n in range(1001)]})


def test_tags_are_set_counted_and_removed(s3: Any, bucket: str) -> None:
    put(s3, bucket, Tagging="archive=true&size=large")
    assert s3.get_object(Bucket=bucket, Key=KEY)["TagCount"] == 2
    s3.put_object_tagging(Bucket=bucket, Key=KEY, Tagging={"TagSet": [{"Key": "kept", "Value": "1"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key=KEY)["TagSet"] == [{"Key": "kept", "Value": "1"}]
    s3.delete_object_tagging(Bucket=bucket, Key=KEY)
    assert s3.get_object_tagging(Bucket=bucket, Key=KEY)["TagSet"] == []


def test_more_than_ten_tags_are_refused(s3: Any, bucket: str) -> None:
    with refused("BadRequest", 400):
        put(s3, bucket, Tagging="&".join(f"t{n}=1" for n in range(11)))


def test_metadata_have_a_limit(s3: Any, bucket: str) -> None:
    with refused("MetadataTooLarge", 400):
        put(s3, bucket, Metadata={"long": "x" * 2100})


def test_public_acls_are_refused_by_a_bucket_without_acls(s3: Any, bucket: str) -> None:
    with refused("AccessControlListNotSupported", 400):
        put(s3, bucket, ACL="public-read")


def test_an_upload_in_one_piece_is_encrypted_at_rest(s3: Any, bucket: str) -> None:
    put(s3, bucket)
    assert s3.head_object(Bucket=bucket, Key=KEY)["ServerSideEncryption"] == "AES256"
