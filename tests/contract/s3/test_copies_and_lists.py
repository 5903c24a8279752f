"""Copies within the store, and lists page by page (Amazon S3 API Reference: CopyObject, ListObjectsV2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.s3_servers import refused

SOURCE = "incoming/job 1/é/0"


@pytest.fixture
def etag(s3: Any, bucket: str) -> str:
    """Of the object at SOURCE."""
    made = s3.put_object(
        Bucket=bucket, Key=SOURCE, Body=b"film", ContentType="video/mp4", Metadata={"job": "1"}, Tagging="a=1"
    )
    return str(made["ETag"])


def copy(s3: Any, bucket: str, key: str = "copy", **more: Any) -> dict[str, Any]:
    source = {"Bucket": bucket, "Key": SOURCE}
    made: dict[str, Any] = s3.copy_object(Bucket=bucket, Key=key, CopySource=source, **more)["CopyObjectResult"]
    return made


def test_a_copy_has_bytes_headers_and_tags_of_its_source(s3: Any, bucket: str, etag: str) -> None:
    assert copy(s3, bucket)["ETag"] == etag
    answer = s3.get_object(Bucket=bucket, Key="copy")
    assert (answer["Body"].read(), answer["ContentType"], answer["Metadata"]) == (b"film", "video/mp4", {"job": "1"})
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [{"Key": "a", "Value": "1"}]


def test_a_copy_outlives_its_source(s3: Any, bucket: str, etag: str) -> None:
    copy(s3, bucket)
    s3.delete_object(Bucket=bucket, Key=SOURCE)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"film"


def test_a_copy_may_replace_headers_and_tags(s3: Any, bucket: str, etag: str) -> None:
    copy(
        s3,
        bucket,
        MetadataDirective="REPLACE",
        ContentType="text/plain",
        Metadata={"b": "2"},
        TaggingDirective="REPLACE",
        Tagging="c=3",
    )
    answer = s3.head_object(Bucket=bucket, Key="copy")
    assert (answer["ContentType"], answer["Metadata"]) == ("text/plain", {"b": "2"})
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [{"Key": "c", "Value": "3"}]


def test_a_copy_onto_itself_must_change_something(s3: Any, bucket: str, etag: str) -> None:
    with refused("InvalidRequest", 400):
        copy(s3, bucket, SOURCE)
    copy(s3, bucket, SOURCE, MetadataDirective="REPLACE", Metadata={"new": "1"})
    answer = s3.get_object(Bucket=bucket, Key=SOURCE)
    assert (answer["Metadata"], answer["Body"].read()) == ({"new": "1"}, b"film")


def test_a_copy_is_made_on_condition_of_its_source(s3: Any, bucket: str, etag: str) -> None:
    modified = s3.head_object(Bucket=bucket, Key=SOURCE)["LastModified"]
    copy(s3, bucket, CopySourceIfMatch=etag)
    for condition in (
        {"CopySourceIfMatch": '"other"'},
        {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfUnmodifiedSince": modified - timedelta(hours=1)},
        {"CopySourceIfModifiedSince": modified},
    ):
        with refused("PreconditionFailed", 412):
            copy(s3, bucket, "never", **condition)


def test_a_copy_is_made_once(s3: Any, bucket: str, etag: str) -> None:
    copy(s3, bucket, IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        copy(s3, bucket, IfNoneMatch="*")


def test_a_copy_of_nothing_is_refused(s3: Any, bucket: str) -> None:
    with refused("NoSuchKey", 404):
        copy(s3, bucket)


@pytest.fixture
def tree(s3: Any, bucket: str) -> list[str]:
    keys = ["a", "b/1", "b/2", "b/c/3", "d e&é", "f/", "f/4", "z"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return keys


def keys_of(page: dict[str, Any]) -> list[str]:
    return [entry["Key"] for entry in page.get("Contents", [])]


def prefixes_of(page: dict[str, Any]) -> list[str]:
    return [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]


def test_a_list_is_in_order_with_sizes_and_etags(s3: Any, bucket: str, tree: list[str]) -> None:
    page = s3.list_objects_v2(Bucket=bucket)
    assert keys_of(page) == tree
    assert (page["KeyCount"], page["IsTruncated"], page["Contents"][0]["Size"]) == (8, False, 1)
    assert page["Contents"][0]["ETag"].startswith('"')


def test_a_delimiter_folds_what_is_below(s3: Any, bucket: str, tree: list[str]) -> None:
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert (keys_of(page), prefixes_of(page)) == (["a", "d e&é", "z"], ["b/", "f/"])
    below = s3.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="b/")
    assert (keys_of(below), prefixes_of(below)) == (["b/1", "b/2"], ["b/c/"])
    assert keys_of(s3.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="f/")) == ["f/", "f/4"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pages_tell_everything_once(s3: Any, bucket: str, tree: list[str], size: int) -> None:
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": size}))
    assert [key for page in pages for key in keys_of(page)] == tree
    assert all(page["KeyCount"] <= size for page in pages)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_with_a_delimiter_tell_everything_once(s3: Any, bucket: str, tree: list[str], size: int) -> None:
    paginator = s3.get_paginator("list_objects_v2")
    pages = list(paginator.paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size}))
    assert [key for page in pages for key in keys_of(page)] == ["a", "d e&é", "z"]
    assert [prefix for page in pages for prefix in prefixes_of(page)] == ["b/", "f/"]


def test_the_first_version_of_the_list_is_answered_too(s3: Any, bucket: str, tree: list[str]) -> None:
    paginator = s3.get_paginator("list_objects")
    pages = list(paginator.paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2}))
    assert [key for page in pages for key in keys_of(page)] == ["a", "d e&é", "z"]
    assert [prefix for page in pages for prefix in prefixes_of(page)] == ["b/", "f/"]


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_in_a_bucket_without_versions_each_object_is_its_one_version(
    s3: Any, bucket: str, tree: list[str], size: int
) -> None:
    pages = list(s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": size}))
    found = [(one["Key"], one["VersionId"], one["IsLatest"]) for page in pages for one in page["Versions"]]
    assert found == [(key, "null", True) for key in tree]
    assert not [page for page in pages if "DeleteMarkers" in page]


def test_the_one_version_of_an_object_is_deleted_for_good(s3: Any, bucket: str, tree: list[str]) -> None:
    named = [{"Key": tree[0], "VersionId": "null"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": named})
    assert [(one["Key"], one["VersionId"]) for one in answer["Deleted"]] == [(tree[0], "null")]
    assert [one["Key"] for one in s3.list_object_versions(Bucket=bucket)["Versions"]] == tree[1:]


def test_a_list_begins_after_a_key(s3: Any, bucket: str, tree: list[str]) -> None:
    assert keys_of(s3.list_objects_v2(Bucket=bucket, StartAfter="b/c/3")) == ["d e&é", "f/", "f/4", "z"]


def test_no_entries_are_a_page(s3: Any, bucket: str, tree: list[str]) -> None:
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)


def test_a_token_of_no_page_is_refused(s3: Any, bucket: str) -> None:
    with refused("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=bucket, ContinuationToken="not a token")


def test_order_is_that_of_utf8_bytes(s3: Any, bucket: str) -> None:
    keys = ["\U0001f600", "z", "A", "é", "\uff5e", "a"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key)
    assert keys_of(s3.list_objects_v2(Bucket=bucket)) == sorted(keys, key=str.encode)


def test_buckets_are_made_found_and_removed_when_empty(s3: Any, bucket: str) -> None:
    assert bucket in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    s3.put_object(Bucket=bucket, Key="a")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="a")
    s3.delete_bucket(Bucket=bucket)
    with refused("404", 404):
        s3.head_bucket(Bucket=bucket)


@pytest.mark.parametrize("name", ["Upper", "a_b", "ab", "a..b", "-ab"])
def test_a_bucket_needs_a_lawful_name(s3: Any, name: str) -> None:
    s3.meta.events.unregister("before-parameter-build.s3", "validate_bucket_name")
    with refused("InvalidBucketName", 400):
        s3.create_bucket(Bucket=name)
