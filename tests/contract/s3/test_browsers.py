"""What pages of other origins may do, by the bucket's CORS rules (Amazon S3 User Guide: Using CORS)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.s3_servers import S3Server, refused

OURS, STRANGER = "http://localhost:3000", "https://evil.example"
RULES = [
    {
        "AllowedOrigins": [OURS],
        "AllowedMethods": ["GET", "PUT", "POST"],
        "AllowedHeaders": ["content-*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3000,
    },
    {"AllowedOrigins": ["https://*.example.com"], "AllowedMethods": ["GET"]},
]


@pytest.fixture
def url(s3: Any, bucket: str) -> str:
    """Of an object in a bucket with rules."""
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})
    s3.put_object(Bucket=bucket, Key="film", Body=b"film")
    return str(s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "film"}))


def preflight(url: str, origin: str, method: str = "PUT", headers: str = "") -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return httpx.options(url, headers={**asked, **({"Access-Control-Request-Headers": headers} if headers else {})})


def names(answer: httpx.Response, header: str) -> set[str]:
    return {name.strip().lower() for name in answer.headers[header].split(",")}


def test_rules_come_back_and_go(s3: Any, bucket: str) -> None:
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == RULES
    s3.delete_bucket_cors(Bucket=bucket)
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)


def test_a_known_origin_may_read(url: str) -> None:
    told = httpx.get(url, headers={"Origin": OURS}).headers
    assert told["Access-Control-Allow-Origin"] == OURS
    assert told["Access-Control-Expose-Headers"] == "ETag"
    assert "Origin" in told["Vary"]


@pytest.mark.parametrize("origin", [STRANGER, "http://localhost:3000.evil.example", "http://LOCALHOST:3000", "null"])
def test_a_stranger_is_told_nothing(url: str, origin: str) -> None:
    answer = httpx.get(url, headers={"Origin": origin})
    assert [name for name in answer.headers if name.startswith("access-control")] == []


def test_errors_may_be_read_by_known_origins_too(url: str) -> None:
    answer = httpx.get(url.replace("film?", "other?"), headers={"Origin": OURS})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (403, OURS)


def test_a_known_origin_may_ask_first(url: str) -> None:
    answer = preflight(url, OURS, "PUT", "Content-Type, content-md5")
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == OURS
    assert answer.headers["Access-Control-Max-Age"] == "3000"
    assert names(answer, "Access-Control-Allow-Methods") == {"get", "put", "post"}
    assert names(answer, "Access-Control-Allow-Headers") == {"content-type", "content-md5"}


@pytest.mark.parametrize(
    ("origin", "method", "headers"), [(STRANGER, "GET", ""), (OURS, "DELETE", ""), (OURS, "PUT", "x-amz-acl")]
)
def test_what_no_rule_allows_is_refused_when_asked(url: str, origin: str, method: str, headers: str) -> None:
    answer = preflight(url, origin, method, headers)
    assert answer.status_code == 403
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_an_origin_may_be_a_pattern(url: str) -> None:
    answer = httpx.get(url, headers={"Origin": "https://app.example.com"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "Access-Control-Allow-Origin" not in httpx.get(url, headers={"Origin": "https://example.com"}).headers


def test_a_bucket_without_rules_allows_no_one(server: S3Server, bucket: str) -> None:
    assert preflight(f"{server.url}/{bucket}/film", OURS, "GET").status_code == 403
