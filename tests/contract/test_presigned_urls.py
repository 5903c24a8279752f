"""URLs for GET: as the SDK signs them, but the same for as long as a signing window lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from botocore.config import Config

from shared import bootstrap
from shared.adapters.clock import SystemClock
from shared.adapters.presigned_urls import SIGNING_WINDOW_SECONDS, presigned
from shared.adapters.s3 import S3MediaStore
from tests.memory import MemoryClock
from tests.s3_servers import OwnServer, own_server

BUCKET = "media"
START = datetime(2026, 1, 1, 12, 15, tzinfo=UTC)
ODD_KEYS = ("a.png", "a b+c&d=e.png", "\u00e9/\u4e2d~.mp4", "100%/%20.txt", "x'y(z)*!,;:@$.png")


def client(token: str | None = "a/token+==", style: str = "path", endpoint: str | None = None) -> Any:
    config = Config(signature_version="s3v4", s3={"addressing_style": style})
    return boto3.client(
        "s3",
        "eu-west-1",
        endpoint_url=endpoint,
        aws_access_key_id="AKID",
        aws_secret_access_key="secret",
        aws_session_token=token,
        config=config,
    )


def signed_at(moment: datetime, key: str = "a.png", seconds: int = 3600, **credentials: Any) -> str:
    return S3MediaStore(client(**credentials), BUCKET, MemoryClock(moment)).signed_url(key, seconds)


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], S3MediaStore]]:
    """The media store as a function deployed to this region makes it."""
    for name, value in (("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("S3_BUCKET", "vsl-media")):
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)

    def media_in(region: str) -> S3MediaStore:
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
        return bootstrap.media()

    _forget_clients()
    yield media_in
    _forget_clients()


def _forget_clients() -> None:
    bootstrap.aws.cache_clear()
    bootstrap.media.cache_clear()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    with own_server(tmp_path_factory.mktemp("s3")) as own:
        own.server.client().create_bucket(Bucket=BUCKET)
        yield own


@pytest.mark.parametrize("key", ODD_KEYS)
@pytest.mark.parametrize("token", [None, "a/token+=="])
@pytest.mark.parametrize(("style", "endpoint"), [("path", "http://localhost:9000"), ("virtual", None), ("path", None)])
def test_a_url_is_what_the_sdk_makes_of_the_same_moment(
    key: str, token: str | None, style: str, endpoint: str | None
) -> None:
    sdk = client(token, style, endpoint)
    theirs = sdk.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key}, ExpiresIn=60)
    (moment,) = parse_qs(urlsplit(theirs).query)["X-Amz-Date"]
    at = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    ours = presigned(
        theirs.partition("?")[0], sdk._request_signer._credentials.get_frozen_credentials(), "eu-west-1", at, 60
    )

    assert urlsplit(ours)[:3] == urlsplit(theirs)[:3]
    assert parse_qs(urlsplit(ours).query) == parse_qs(urlsplit(theirs).query)
    media = S3MediaStore(sdk, BUCKET, MemoryClock(at))
    assert media.signed_url(key).partition("?")[0] == theirs.partition("?")[0]


@pytest.mark.parametrize(
    ("region", "host"),
    [
        *((region, f"s3.{region}.amazonaws.com") for region in ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1")),
        *((region, f"s3.{region}.amazonaws.com") for region in ("sa-east-1", "ap-southeast-2", "me-south-1")),
        ("us-gov-west-1", "s3.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_urls_and_forms_name_the_bucket_in_its_own_region(
    deployed: Callable[[str], S3MediaStore], region: str, host: str
) -> None:
    media = deployed(region)

    url = urlsplit(media.signed_url("uploads/a.png"))
    form = media.upload_form("uploads/a.png", "image/png", 4, 900)

    assert (url.scheme, url.netloc, url.path) == ("https", f"vsl-media.{host}", "/uploads/a.png")
    assert parse_qs(url.query)["X-Amz-Credential"][0].split("/")[2] == region
    assert form.url == f"https://vsl-media.{host}/"
    assert form.fields["x-amz-credential"].split("/")[2] == region
    assert media.key_of(url.geturl()) == "uploads/a.png"
    assert media.key_of(f"https://{host}/vsl-media/uploads/a.png") == "uploads/a.png"


def test_the_local_stack_is_addressed_by_path(
    deployed: Callable[[str], S3MediaStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")

    media = deployed("us-east-1")

    assert media.signed_url("uploads/a.png").startswith("http://127.0.0.1:9000/vsl-media/uploads/a.png?")
    assert media.upload_form("uploads/a.png", "image/png", 4, 900).url == "http://127.0.0.1:9000/vsl-media"


def test_a_url_is_the_same_within_a_window_and_another_in_the_next() -> None:
    last = START + timedelta(seconds=SIGNING_WINDOW_SECONDS - 0.001)

    assert signed_at(START) == signed_at(START + timedelta(minutes=7)) == signed_at(last)
    assert signed_at(last) != signed_at(START + timedelta(seconds=SIGNING_WINDOW_SECONDS))
    assert signed_at(START) != signed_at(START - timedelta(milliseconds=1))


def test_a_url_lives_an_hour_in_all_and_three_quarters_of_it_at_the_end_of_its_window() -> None:
    query = parse_qs(urlsplit(signed_at(START + timedelta(seconds=SIGNING_WINDOW_SECONDS - 1))).query)

    assert query["X-Amz-Date"] == ["20260101T121500Z"]
    assert int(query["X-Amz-Expires"][0]) - SIGNING_WINDOW_SECONDS == 2700


def test_other_credentials_make_another_url() -> None:
    assert signed_at(START, token="first") != signed_at(START, token="rotated")


@pytest.mark.parametrize("key", ODD_KEYS)
def test_it_opens_the_object_and_no_other_and_not_for_another_method(own: OwnServer, key: str) -> None:
    media = S3MediaStore(own.server.client(), BUCKET)
    media.put(key, b"picture", "image/png")
    url = media.signed_url(key)

    assert httpx.get(url).content == b"picture"
    assert httpx.get(url.replace("?", "x?", 1)).status_code == 403
    assert httpx.put(url, content=b"other").status_code == 403


@pytest.mark.parametrize(("minutes_ago", "status"), [(0, 200), (44, 200), (61, 403)])
def test_it_opens_for_three_quarters_of_an_hour_at_least(own: OwnServer, minutes_ago: int, status: int) -> None:
    clock = MemoryClock(SystemClock().now() - timedelta(minutes=minutes_ago))
    media = S3MediaStore(own.server.client(), BUCKET, clock)
    media.put("aged.png", b"picture", "image/png")

    assert httpx.get(media.signed_url("aged.png")).status_code == status
