"""Our S3 server's store: what survives a kill, what is cleaned up, how much memory it takes, how slow it can be."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.s3_servers import PART_BYTES, OwnServer, S3Server, error_code, own_server, refused, wait_for

BUCKET = "media"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnServer]:
    with own_server(tmp_path / "s3") as own:
        own.server.client().create_bucket(Bucket=BUCKET)
        yield own


@pytest.fixture
def s3(own: OwnServer) -> Any:
    return own.server.client()


def segments(own: OwnServer) -> list[Path]:
    return [file for file in (own.config.directory / "segments").rglob("*") if file.is_file()]


def restart(own: OwnServer) -> None:
    own.end(signal.SIGKILL)
    own.start()


def read(s3: Any, key: str) -> bytes:
    return bytes(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def test_what_was_answered_survives_a_kill(own: OwnServer, s3: Any) -> None:
    body = os.urandom(PART_BYTES)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="joined")["UploadId"]
    part = s3.upload_part(Bucket=BUCKET, Key="joined", UploadId=upload, PartNumber=1, Body=body)
    s3.put_object(Bucket=BUCKET, Key="a/é", Body=b"film", ContentType="video/mp4", Metadata={"job": "1"})

    restart(own)

    kept = s3.get_object(Bucket=BUCKET, Key="a/é")
    assert (kept["Body"].read(), kept["ContentType"], kept["Metadata"]) == (b"film", "video/mp4", {"job": "1"})
    named = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=BUCKET, Key="joined", UploadId=upload, MultipartUpload=named)
    assert read(s3, "joined") == body


def test_a_kill_in_the_middle_of_an_upload_leaves_the_old_object_and_no_bytes(own: OwnServer, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="film", Body=b"old")
    with half_sent(own, s3, "film") as connection:
        wait_for(lambda: len(segments(own)) == 2)
        own.end(signal.SIGKILL)
        connection.close()
    own.start()
    assert read(s3, "film") == b"old"
    wait_for(lambda: len(segments(own)) == 1)


def test_a_client_that_goes_away_leaves_nothing(own: OwnServer, s3: Any) -> None:
    with half_sent(own, s3, "film") as connection:
        wait_for(lambda: segments(own))
        connection.close()
    wait_for(lambda: not segments(own))
    with refused("404", 404):
        s3.head_object(Bucket=BUCKET, Key="film")


def half_sent(own: OwnServer, s3: Any, key: str) -> socket.socket:
    """A PUT of 10 MB of which half arrives."""
    url = httpx.URL(s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": key}))
    head = (
        f"PUT {url.raw_path.decode()} HTTP/1.1\r\nHost: 127.0.0.1:{own.config.port}\r\nContent-Length: 10000000\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", own.config.port))
    connection.sendall(head.encode() + bytes(5_000_000))
    return connection


def test_bytes_that_no_object_needs_are_removed(own: OwnServer, s3: Any) -> None:
    body = os.urandom(PART_BYTES + 1)
    s3.put_object(Bucket=BUCKET, Key="source", Body=body)
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/source")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="joined")["UploadId"]
    s3.upload_part_copy(
        Bucket=BUCKET,
        Key="joined",
        UploadId=upload,
        PartNumber=1,
        CopySource=f"{BUCKET}/source",
        CopySourceRange="bytes=0-9",
    )
    assert len(segments(own)) == 1

    s3.put_object(Bucket=BUCKET, Key="source", Body=b"")
    s3.delete_object(Bucket=BUCKET, Key="copy")
    wait_for(lambda: sorted(file.stat().st_size for file in segments(own)) == [0, len(body)])
    s3.abort_multipart_upload(Bucket=BUCKET, Key="joined", UploadId=upload)

    wait_for(lambda: [file.stat().st_size for file in segments(own)] == [0])


def test_a_bucket_takes_its_open_uploads_along(own: OwnServer, s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="film")["UploadId"]
    s3.upload_part(Bucket=BUCKET, Key="film", UploadId=upload, PartNumber=1, Body=b"part")
    s3.delete_bucket(Bucket=BUCKET)
    wait_for(lambda: not segments(own))


def test_a_body_of_unknown_length_is_refused(s3: Any) -> None:
    url = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "film"})
    assert error_code(httpx.put(url, content=iter([b"film"]))) == "411 MissingContentLength"


def test_a_reader_gets_the_whole_of_what_is_deleted_meanwhile(own: OwnServer, s3: Any) -> None:
    body = os.urandom(4 * PART_BYTES)
    s3.put_object(Bucket=BUCKET, Key="film", Body=body)
    answer = s3.get_object(Bucket=BUCKET, Key="film")["Body"]
    begun = answer.read(1000)
    s3.delete_object(Bucket=BUCKET, Key="film")
    assert begun + answer.read() == body
    wait_for(lambda: not segments(own))


def test_one_of_many_writers_is_the_first(own: OwnServer, s3: Any) -> None:
    def write(number: int) -> int:
        url = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "once", "IfNoneMatch": "*"})
        return httpx.put(url, content=bytes([number]) * 300_000, headers={"If-None-Match": "*"}).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(write, range(24)))

    assert answers == [200] + [412] * 23
    assert len(set(read(s3, "once"))) == 1
    wait_for(lambda: len(segments(own)) == 1)


def test_bytes_that_a_power_cut_took_are_missed_at_the_next_start(own: OwnServer, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="kept", Body=b"kept")
    s3.put_object(Bucket=BUCKET, Key="lost", Body=b"lost film")
    own.end(signal.SIGKILL)
    next(file for file in segments(own) if file.read_bytes() == b"lost film").write_bytes(b"lost")
    own.start()
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["kept"]
    assert read(s3, "kept") == b"kept"


def test_memory_does_not_grow_with_what_is_moved(own: OwnServer, s3: Any) -> None:
    body, size = os.urandom(8 * PART_BYTES), 8 * PART_BYTES
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="film")["UploadId"]
    parts = [
        {
            "PartNumber": n,
            "ETag": s3.upload_part(Bucket=BUCKET, Key="film", UploadId=upload, PartNumber=n, Body=body)["ETag"],
        }
        for n in range(1, 7)
    ]
    s3.complete_multipart_upload(Bucket=BUCKET, Key="film", UploadId=upload, MultipartUpload={"Parts": parts})
    whole = s3.get_object(Bucket=BUCKET, Key="film")["Body"]
    assert sum(len(data) for data in whole.iter_chunks(2**20)) == 6 * size
    assert own.process is not None
    status = Path(f"/proc/{own.process.pid}/status").read_text()
    peak_kb = int(status.partition("VmHWM:")[2].split()[0])
    assert peak_kb < 130_000  # 250 MB went in and out


def test_boto3_s_trailing_checksums_are_read(own: OwnServer, s3: Any) -> None:
    """boto3 sends them over TLS only, so its request is made for TLS and sent without."""
    sent: dict[str, Any] = {}

    def keep(request: Any, **_: Any) -> None:
        headers = {name: value if isinstance(value, str) else value.decode() for name, value in request.headers.items()}
        sent.update(url=request.url.replace("https://", "http://"), headers=headers, body=request.body.read())
        raise InterruptedError

    over_tls = S3Server("ours", own.server.url.replace("http://", "https://")).client()
    over_tls.meta.events.register("before-send.s3.PutObject", keep)
    with pytest.raises(InterruptedError):
        over_tls.put_object(Bucket=BUCKET, Key="film", Body=b"film" * 50_000)
    assert sent["headers"]["X-Amz-Content-SHA256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    spoilt, answer = (
        httpx.put(sent["url"], headers=sent["headers"], content=iter([body]))  # chunked by HTTP as well
        for body in (sent["body"].replace(b"film", b"flim", 1), sent["body"])
    )

    assert (error_code(spoilt), answer.status_code) == ("400 BadDigest", 200)
    assert read(s3, "film") == b"film" * 50_000
    assert s3.head_object(Bucket=BUCKET, Key="film", ChecksumMode="ENABLED")["ChecksumCRC32"]


def test_slowness_is_set_by_class_and_taken_back(own: OwnServer, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="film", Body=b"x" * 200_000)
    slow = {"get": {"firstByteMs": 1, "bytesPerSecond": 10_000_000}, "put": {"firstByteMs": 1}}
    told = own.control("PUT", "pace", slow).json()
    assert (told["get"], told["copy"]["firstByteMs"]) == (slow["get"], 0)
    assert len(read(s3, "film")) == 200_000
    assert own.control("PUT", "pace", {"get": {"firstByteMs": -1}}).status_code == 400
    assert own.control("DELETE", "pace").json()["get"]["bytesPerSecond"] is None


def test_the_control_port_is_not_the_bucket_s(own: OwnServer) -> None:
    assert httpx.put(f"{own.server.url}/_control/pace", json={}).status_code == 403
    assert httpx.get(f"http://127.0.0.1:{own.config.control_port}/{BUCKET}").status_code == 404


def test_what_the_server_does_not_know_is_not_implemented(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="film", Body=b"film")
    for call in (
        lambda: s3.get_object(Bucket=BUCKET, Key="film", VersionId="1"),
        lambda: s3.get_object_acl(Bucket=BUCKET, Key="film"),
        lambda: s3.get_bucket_lifecycle_configuration(Bucket=BUCKET),
        lambda: s3.put_object(Bucket=BUCKET, Key="film", ServerSideEncryption="aws:kms"),
    ):
        with refused("NotImplemented", 501):
            call()


def test_keys_never_become_paths(own: OwnServer, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="../../../escaped", Body=b"film")
    outside = list(own.config.directory.parent.rglob("*escaped*"))
    assert (outside, read(s3, "../../../escaped")) == ([], b"film")
    with sqlite3.connect(own.config.directory / "index.sqlite") as index:
        assert index.execute("SELECT count(*) FROM pieces").fetchone() == (1,)
