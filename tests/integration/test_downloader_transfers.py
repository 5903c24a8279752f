"""Transfers that are cut, endless or slow: resumed where that is sound, given up in the end."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest

from shared.adapters.downloader import FRUITLESS_TRIES
from shared.domain.errors import BadMedia, DependencyDown, TooLarge
from tests.integration.fetching import PNG, TAG, downloader, drip, refused
from tests.scripted_server import Answer, Asked, always, in_turn, reply, scripted


@pytest.mark.parametrize("answer", [reply(500), reply(503), reply(429), b"", b"nonsense\r\n\r\n", reply(200, PNG)[:-9]])
def test_failures_of_the_server_are_tried_again_but_not_for_ever(tmp_path: Path, answer: bytes) -> None:
    tries = refused(always(answer), tmp_path, DependencyDown)[1]

    # A cut body is progress the first time.
    assert tries in (FRUITLESS_TRIES, FRUITLESS_TRIES + 1)


def test_a_failure_that_passes_is_no_failure(tmp_path: Path) -> None:
    with scripted(in_turn(reply(502), b"", reply(200, PNG))) as server:
        assert downloader(server.origin).fetch(f"{server.origin}/a", tmp_path).size_bytes == len(PNG)


def test_a_server_that_is_not_there_is_down(tmp_path: Path) -> None:
    with scripted(always(b"")) as server:
        origin = server.origin

    with pytest.raises(DependencyDown):
        downloader(origin).fetch(f"{origin}/a", tmp_path)


def serve_a_tenth(connection: socket.socket, asked: Asked) -> None:
    """Continues where it was asked to, and cuts after another tenth."""
    start = int(asked.headers.get("range", "bytes=0-")[6:-1])
    part = PNG[start : start + len(PNG) // 10 + 1]
    left = str(len(PNG) - start)
    span = f"bytes {start}-{len(PNG) - 1}/{len(PNG)}" if start else ""
    head = reply(206 if start else 200, ETag=TAG, Content_Length=left, Content_Range=span)
    connection.sendall(head + part)


def test_a_connection_cut_at_every_tenth_is_resumed(tmp_path: Path) -> None:
    with scripted(serve_a_tenth) as server:
        fetched = downloader(server.origin).fetch(f"{server.origin}/a", tmp_path)

    assert fetched.path.read_bytes() == PNG
    assert fetched.sha256 == hashlib.sha256(PNG).hexdigest()
    assert len(server.asked) == 10
    assert {asked.headers.get("if-range") for asked in server.asked[1:]} == {TAG}


REST = f"bytes {len(PNG) - 5000}-{len(PNG) - 1}/{len(PNG)}"


@pytest.mark.parametrize(
    "second",
    [
        reply(200, PNG[::-1], ETag='"v2"'),
        reply(206, PNG[-5000:], ETag='"v2"', Content_Range=REST),
        reply(206, PNG[:5000], ETag=TAG, Content_Range=f"bytes 0-4999/{len(PNG)}"),
        reply(206, PNG[-5000:], ETag=TAG, Content_Range="bytes */5"),
        reply(416),
    ],
)
def test_a_file_that_changed_meanwhile_starts_again(tmp_path: Path, second: bytes) -> None:
    cut = reply(200, PNG, ETag=TAG)[:-5000]
    with scripted(in_turn(cut, second, reply(200, PNG))) as server:
        guarded = downloader(server.origin)
        try:
            assert guarded.fetch(f"{server.origin}/a", tmp_path).path.read_bytes() == PNG
        except BadMedia:
            # The file became another one in whole, which is no picture.
            assert second.endswith(PNG[::-1])


@pytest.mark.parametrize("tag", ["", 'W/"v1"', "v1"])
def test_without_a_strong_tag_a_cut_file_starts_again(tmp_path: Path, tag: str) -> None:
    with scripted(in_turn(reply(200, PNG, ETag=tag)[:-5000], reply(200, PNG))) as server:
        fetched = downloader(server.origin).fetch(f"{server.origin}/a", tmp_path)

    assert fetched.path.read_bytes() == PNG
    assert "range" not in server.asked[1].headers


def chunked(body: bytes) -> bytes:
    return reply(200, Content_Length="", Transfer_Encoding="chunked") + b"%x\r\n%s\r\n" % (len(body), body)


def test_a_chunked_body_needs_its_end(tmp_path: Path) -> None:
    with scripted(in_turn(chunked(PNG), chunked(PNG) + b"0\r\n\r\n")) as server:
        fetched = downloader(server.origin).fetch(f"{server.origin}/a", tmp_path)

    assert fetched.path.read_bytes() == PNG
    assert len(server.asked) == 2


def pour_for_ever(connection: socket.socket, asked: Asked) -> None:
    connection.sendall(reply(200, Content_Length="") + PNG)
    while True:
        connection.sendall(bytes(65536))


@pytest.mark.parametrize("answer", [pour_for_ever, always(reply(200, PNG, Content_Length="100001"))])
def test_a_body_over_the_limit_is_too_large(tmp_path: Path, answer: Answer) -> None:
    assert refused(answer, tmp_path, TooLarge)[1] == 1


@pytest.mark.parametrize("length", ["", "90000"])
def test_a_body_that_only_drips_is_given_up(tmp_path: Path, length: str) -> None:
    answer = drip(reply(200, Content_Length=length) + PNG)

    error, tries = refused(answer, tmp_path, DependencyDown, rate_window_seconds=0.2, min_bytes_per_second=100_000)

    assert "slowly" in error.sentence
    assert tries >= FRUITLESS_TRIES


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX: ", reply(200, Content_Length="") + PNG, chunked(PNG)])
def test_the_whole_has_an_end_whatever_drips(tmp_path: Path, head: bytes) -> None:
    error, tries = refused(drip(head), tmp_path, DependencyDown, wall_seconds=0.3, min_bytes_per_second=0)

    assert "longer" in error.sentence
    assert tries == 1


def test_a_large_body_that_is_no_media_is_refused_at_its_beginning(tmp_path: Path) -> None:
    answer = drip(reply(200, b"<html>" * 200, Content_Length="90000"))

    assert refused(answer, tmp_path, BadMedia)[1] == 1
