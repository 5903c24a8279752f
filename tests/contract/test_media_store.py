"""The bucket in memory and on an S3 server of the tests' own: whole files, ranges, uploads in parts, forms."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
import imageio_ffmpeg
import pytest
from botocore.config import Config

from shared.adapters import s3 as s3_adapter
from shared.adapters.s3 import S3MediaStore
from shared.domain.errors import BadMedia, DependencyDown, NotFound
from shared.media.mp4.reading import read_mp4
from shared.ports import OpenUpload
from shared.usecases.object_source import open_object
from tests.memory_media import MemoryMedia
from tests.s3_servers import PART_BYTES, S3Server, error_code, ministack_server, moto_server, own_server
from tests.scripted_server import in_turn, reply, scripted

BUCKET = "media"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3MediaStore]:
    with own_server(tmp_path_factory.mktemp("s3")) as own:
        own.server.client().create_bucket(Bucket=BUCKET)
        yield S3MediaStore(own.server.client(), BUCKET)


@pytest.fixture(params=["memory", "s3"])
def media(request: pytest.FixtureRequest) -> Any:
    return MemoryMedia() if request.param == "memory" else request.getfixturevalue("s3")


@pytest.fixture
def key() -> str:
    return f"generated/{uuid4()}/original.mp4"


def test_media_come_back_as_they_went(media: Any, key: str, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"picture" * 1000)
    assert media.upload(tmp_path / "up", key, "video/mp4") == 7000
    assert media.download(key, tmp_path / "down") == 7000
    assert (tmp_path / "down").read_bytes() == b"picture" * 1000
    found = media.head(key)
    assert (found.key, found.size_bytes, found.content_type, found.readable) == (key, 7000, "video/mp4", True)


@pytest.mark.parametrize("written", ["Image/PNG", "image/png; charset=utf-8", "IMAGE/png;a=b"])
def test_a_look_tells_a_content_type_without_case_and_parameters(media: Any, key: str, written: str) -> None:
    media.put(key, b"image", written)
    assert media.head(key).content_type == "image/png"


def test_absent_media_are_not_found(media: Any, tmp_path: Path) -> None:
    assert media.head("generated/none") is None
    for missed in (
        lambda: media.download("generated/none", tmp_path / "down"),
        lambda: media.read("generated/none", 0, 1, '"etag"'),
        lambda: open_object(media, "generated/none"),
    ):
        with pytest.raises(NotFound):
            missed()


def test_what_is_erased_is_told_once_and_then_nothing(media: Any, key: str) -> None:
    folder = f"{key.rpartition('/')[0]}/"
    odd = f"{folder}a b+\u00e9&.mp4"
    for name in (key, odd):
        media.put(name, b"person", "video/mp4")

    first = media.erase(folder, 1)
    rest = media.erase(folder, 1000)

    assert len(first) == 1
    assert first | rest == {key, odd}
    assert media.erase(folder, 1000) == set()
    assert media.head(key) is None


@pytest.mark.parametrize("server", [moto_server, ministack_server])
def test_nothing_of_a_person_stays_in_a_bucket_that_keeps_versions(
    server: Callable[[Path], AbstractContextManager[S3Server]], key: str, tmp_path: Path
) -> None:
    with server(tmp_path) as running:
        client = running.client()
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        media = S3MediaStore(client, BUCKET)
        for data in (b"first", b"second"):
            media.put(key, data, "video/mp4")
        media.delete([key])
        media.put("generated/somebody else", b"stays", "video/mp4")
        folder = f"{key.rpartition('/')[0]}/"

        deleted, erased, left = media.keys(folder), media.erase(folder, 1000), media.erase(folder, 1000)
        versions = client.list_object_versions(Bucket=BUCKET)

    assert (deleted, erased, left) == ([], {key}, set())
    assert [one["Key"] for one in versions["Versions"]] == ["generated/somebody else"]
    assert "DeleteMarkers" not in versions


def test_write_once_keeps_the_first(media: Any, key: str) -> None:
    media.write_once(key, io.BytesIO(b"first"), "video/mp4")
    media.write_once(key, io.BytesIO(b"second"), "video/mp4")
    assert media.read_text(key) == "first"


def test_a_body_with_its_hash_is_kept_with_it(media: Any, key: str) -> None:
    media.write_once(key, io.BytesIO(b"first"), "video/mp4", hashlib.sha256(b"first").hexdigest())
    media.write_once(key, io.BytesIO(b"second"), "video/mp4", hashlib.sha256(b"second").hexdigest())
    assert media.head(key).sha256 == hashlib.sha256(b"first").hexdigest()


def test_nothing_is_kept_of_a_body_with_another_hash(media: Any, key: str) -> None:
    with pytest.raises(DependencyDown):
        media.write_once(key, io.BytesIO(b"cut"), "video/mp4", hashlib.sha256(b"cut off").hexdigest())
    assert media.head(key) is None


def test_an_object_without_a_hash_of_the_whole_has_none(media: Any, key: str) -> None:
    media.put(key, b"clip", "video/mp4")
    upload = media.start_upload(f"{key}.parts", "video/mp4")
    media.complete_upload(upload, [media.upload_part(upload, 1, b"clip")])
    assert (media.head(key).sha256, media.head(upload.key).sha256) == ("", "")


def test_deleting_twice_is_no_error(media: Any, key: str) -> None:
    media.write_text(key, "text")
    assert key in media.keys(key.rpartition("/")[0])
    media.delete([key])
    media.delete([key])
    assert media.keys(key) == []


def test_a_text_that_is_replaced_reads_as_the_last_one(media: Any) -> None:
    name = f"catalog/{uuid4()}.json"
    with pytest.raises(NotFound):
        media.read_text(name)
    for text in ("{}", '{"é": 1}'):
        media.replace_text(name, text)
    assert media.read_text(name) == '{"é": 1}'


def test_a_listing_pins_objects_as_a_look_does(media: Any, key: str) -> None:
    media.put(key, b"clip", "video/mp4")
    (listed,) = media.page(key.rpartition("/")[0], "", 10)
    assert (listed.etag, listed.size_bytes) == (media.head(key).etag, 4)


def test_a_source_is_read_in_ranges_and_counts_them(media: Any, key: str) -> None:
    media.put(key, bytes(range(256)), "video/mp4")
    source = open_object(media, key)
    assert (source.size_bytes, source.read(10, 3), source.read(250, 100)) == (
        256,
        b"\n\x0b\x0c",
        bytes(range(250, 256)),
    )
    assert (source.read(256, 5), source.bytes_read) == (b"", 9)


def test_a_source_that_is_replaced_is_never_read_on(media: Any, key: str) -> None:
    media.put(key, b"one" * 2_000_000, "video/mp4")
    source = open_object(media, key)
    media.put(key, b"two" * 2_000_000, "video/mp4")
    upload = media.start_upload(f"{key}.joined", "video/mp4")
    for stale in (lambda: source.read(0, 3), lambda: media.copy_part(upload, 1, source.stored, 0, 3)):
        with pytest.raises(BadMedia) as refused:
            stale()
        assert refused.value.code == "source_changed"
    media.abort_upload(upload)


def test_parts_that_were_sent_and_copied_are_joined(media: Any, key: str) -> None:
    clip = os.urandom(PART_BYTES + 100)
    media.put(key, clip, "video/mp4")
    upload = media.start_upload(f"{key}.film", "video/mp4")
    copied = media.copy_part(upload, 2, media.head(key), 50, PART_BYTES)
    sent = media.upload_part(upload, 1, b"h" * PART_BYTES)
    last = media.upload_part(upload, 3, b"end")
    media.complete_upload(upload, [last, sent, copied])
    media.complete_upload(upload, [last, sent, copied])
    film = open_object(media, f"{key}.film")
    assert film.read(0, film.size_bytes) == b"h" * PART_BYTES + clip[50 : 50 + PART_BYTES] + b"end"
    assert media.head(f"{key}.film").content_type == "video/mp4"


def test_an_upload_that_was_given_up_is_gone(media: Any, key: str) -> None:
    upload, other = media.start_upload(f"{key}/a", "video/mp4"), media.start_upload(f"{key}/b", "video/mp4")
    part = media.upload_part(upload, 1, b"part")
    found, _ = media.open_uploads(key, "", 10)
    assert (found.upload_id, abs(found.began_at - datetime.now(UTC)) < timedelta(hours=1)) == (upload.upload_id, True)
    assert [after.key for after in media.open_uploads(key, found.key, 10)] == [other.key]
    for ended in (found, upload, other):
        media.abort_upload(ended)
    assert media.open_uploads(key, "", 10) == []
    for late in (lambda: media.upload_part(upload, 2, b"x"), lambda: media.complete_upload(upload, [part])):
        with pytest.raises(NotFound):
            late()


def test_a_signed_url_opens_its_object_and_no_other(s3: S3MediaStore) -> None:
    s3.write_text("generated/signed.txt", "signed")
    url = s3.signed_url("generated/signed.txt")
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"signed"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url.replace("signed.txt", "other.txt"))


def test_more_objects_are_deleted_than_one_request_takes(media: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_adapter, "MOST_DELETED", 2)
    folder = f"generated/contract/{uuid4()}/"
    for number in range(5):
        media.write_text(f"{folder}{number}", "text")
    media.delete([found.key for found in media.page(folder, "", 1000)])
    media.delete([])
    assert media.keys(folder) == []


@pytest.mark.parametrize("name", ["a.png", "a b+c.png", "\u00e9.png", "x"])
def test_a_url_of_the_bucket_names_its_key_and_no_other_does(media: Any, name: str) -> None:
    url = media.signed_url(f"uploads/{name}")

    assert media.key_of(url) == f"uploads/{name}"
    assert media.key_of(url.partition("?")[0]) == f"uploads/{name}"
    for other in (url.replace("://", "://evil."), url.replace("://", "://user@"), "https://evil.example/" + url, ""):
        assert media.key_of(other) is None


def test_a_bucket_in_aws_is_known_by_its_own_host() -> None:
    signing = Config(signature_version="s3v4")
    client = boto3.client("s3", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b", config=signing)
    media = S3MediaStore(client, "vsl-dev-media")

    assert media.key_of(media.signed_url("uploads/a b.png")) == "uploads/a b.png"
    assert media.key_of("https://vsl-dev-media.s3.amazonaws.com.evil.example/uploads/a.png") is None


@pytest.mark.parametrize("query", ["", "?X-Amz-Signature=abc", "#t=1", "?versionId=1#t=1"])
@pytest.mark.parametrize(
    ("address", "is_ours"),
    [
        ("https://vsl-dev-media.s3.eu-west-1.amazonaws.com", True),
        ("https://VSL-dev-media.S3.eu-west-1.amazonaws.com:443", True),
        ("https://s3.eu-west-1.amazonaws.com/vsl-dev-media", True),
        ("https://vsl-dev-media.s3.dualstack.eu-west-1.amazonaws.com", True),
        ("https://s3.dualstack.eu-west-1.amazonaws.com/vsl-dev-media", True),
        ("https://vsl-dev-media.s3.amazonaws.com", True),
        ("http://vsl-dev-media.s3.eu-west-1.amazonaws.com", False),
        ("https://vsl-dev-media.s3.us-east-1.amazonaws.com", False),
        ("https://s3.eu-west-1.amazonaws.com/vsl-dev-media-2", False),
        ("https://s3.eu-west-1.amazonaws.com", False),
        ("https://other.s3.eu-west-1.amazonaws.com", False),
        ("https://vsl-dev-media.s3.eu-west-1.amazonaws.com:8443", False),
    ],
)
def test_a_bucket_in_aws_is_known_by_every_address_it_has(address: str, is_ours: bool, query: str) -> None:
    client = boto3.client("s3", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")

    key = S3MediaStore(client, "vsl-dev-media").key_of(f"{address}/uploads/a%20b.mp4{query}")

    assert key == ("uploads/a b.mp4" if is_ours else None)


@pytest.mark.parametrize(
    ("changed", "body", "told"),
    [
        ({}, b"clip", "204 "),
        ({}, b"cli", "400 EntityTooSmall"),
        ({}, b"clips", "400 EntityTooLarge"),
        ({"Content-Type": "text/html"}, b"clip", "403 AccessDenied"),
        ({"key": "generated/elsewhere.mp4"}, b"clip", "403 AccessDenied"),
        ({"x-amz-meta-more": "1"}, b"clip", "403 AccessDenied"),
    ],
)
def test_a_form_takes_one_file_of_this_size_and_type(s3: S3MediaStore, changed: Any, body: bytes, told: str) -> None:
    form = s3.upload_form(f"uploads/{uuid4()}.mp4", "video/mp4", 4, 60)
    fields = {**form.fields, **changed}
    answer = httpx.post(form.url, data=fields, files={"file": ("c.mp4", body, "video/mp4")})
    assert error_code(answer) == told
    stored = s3.head(form.fields["key"])
    assert (stored.content_type if stored else None) == ("video/mp4" if told == "204 " else None)


def test_a_form_ends_with_its_time(s3: S3MediaStore) -> None:
    form = s3.upload_form(f"uploads/{uuid4()}.mp4", "video/mp4", 4, -1)
    answer = httpx.post(form.url, data=dict(form.fields), files={"file": ("c.mp4", b"clip", "video/mp4")})
    assert (error_code(answer), "expired" in answer.text) == ("403 AccessDenied", True)


BROKEN = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
ARCHIVED = b"<Error><Code>InvalidObjectState</Code></Error>"
HALF = b"HTTP/1.1 206 Said\r\nContent-Length: 4\r\n\r\ncl"


def store_at(origin: str) -> S3MediaStore:
    options: Any = {"s3": {"addressing_style": "path"}, "retries": {"total_max_attempts": 2}, "read_timeout": 2}
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "us-east-1"}
    return S3MediaStore(boto3.client("s3", endpoint_url=origin, config=Config(**options), **keys), BUCKET)


def test_a_join_that_answers_200_with_an_error_is_an_error() -> None:
    with scripted(in_turn(reply(200, BROKEN))) as server, pytest.raises(DependencyDown):
        store_at(server.origin).complete_upload(OpenUpload("key", "id", datetime.now(UTC)), [])
    assert [asked.method for asked in server.asked] == ["POST", "POST"]


def test_a_range_that_breaks_off_is_read_again() -> None:
    with scripted(in_turn(HALF, reply(206, b"clip"))) as server:
        assert store_at(server.origin).read("key", 0, 4, '"e"') == b"clip"
    assert [asked.headers["range"] for asked in server.asked] == ["bytes=0-3"] * 2


DENIED = b"<Error><Code>AccessDenied</Code></Error>"
LISTED = (
    b"<ListBucketResult><Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00Z</LastModified><ETag>e</ETag>"
    b"<Size>4</Size></Contents></ListBucketResult>"
)


@pytest.mark.parametrize("listed", [b"<ListBucketResult/>", LISTED % b"key-2"])
def test_what_is_refused_and_in_no_list_is_absent(listed: bytes) -> None:
    with scripted(in_turn(reply(403), reply(200, listed))) as server:
        assert store_at(server.origin).head("key") is None
    assert "prefix=key" in server.asked[-1].path
    with scripted(in_turn(reply(403, DENIED), reply(200, listed))) as server, pytest.raises(NotFound):
        store_at(server.origin).read_text("key")


@pytest.mark.parametrize("listing", [reply(200, LISTED % b"key"), reply(403, DENIED)])
def test_what_is_refused_and_may_be_there_is_not_absent(listing: bytes) -> None:
    with scripted(in_turn(reply(403), listing)) as server, pytest.raises(DependencyDown):
        store_at(server.origin).head("key")


def test_what_lies_in_an_archive_is_said_to() -> None:
    with scripted(in_turn(reply(403, ARCHIVED))) as server, pytest.raises(BadMedia) as refused:
        store_at(server.origin).read("key", 0, 4, '"e"')
    assert refused.value.code == "source_archived"
    head = {"Last_Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "ETag": '"e"', "x_amz_storage_class": "GLACIER"}
    head["Content_Type"] = "video/mp4"
    with scripted(in_turn(reply(200, **head))) as server, pytest.raises(BadMedia):
        open_object(store_at(server.origin), "key")


def test_a_stored_clip_is_read_by_its_boxes_without_its_pictures(media: Any, key: str, tmp_path: Path) -> None:
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x240:d=2"]
    subprocess.run([*argv, "-movflags", "+faststart", str(tmp_path / "clip.mp4")], check=True)
    size_bytes = media.upload(tmp_path / "clip.mp4", key, "video/mp4")
    source = open_object(media, key)
    assert len(read_mp4(source).movie.tracks) == 1
    assert 0 < source.bytes_read < size_bytes
