"""The guarded downloader against real servers: what it asks, where it goes, what it takes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import socket
import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from shared.domain.errors import BadMedia, OutputGone, ProductError, TooLarge
from tests.integration.fetching import PNG, downloader, refused
from tests.scripted_server import Asked, always, in_turn, reply, scripted


def test_brings_a_file_as_its_bytes_say(tmp_path: Path) -> None:
    with scripted(always(reply(200, PNG, Content_Type="text/html"))) as server:
        fetched = downloader(server.origin).fetch(f"{server.origin}/a.mp4#t=1", tmp_path)

    assert (fetched.content_type, fetched.size_bytes) == ("image/png", len(PNG))
    assert fetched.sha256 == hashlib.sha256(PNG).hexdigest()
    assert fetched.path.read_bytes() == PNG
    assert fetched.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("told", ["Image/PNG; charset=binary", "VIDEO/MP4", "nonsense", "image/png, text/html", ""])
def test_a_type_that_is_told_changes_nothing(tmp_path: Path, told: str) -> None:
    with scripted(always(reply(200, PNG, Content_Type=told))) as server:
        assert downloader(server.origin).fetch(f"{server.origin}/a.mp4", tmp_path).content_type == "image/png"


def test_sends_no_credentials_no_cookies_and_uses_no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with scripted(always(reply(200, PNG, Set_Cookie="canary=1"))) as server:
        guarded = downloader(server.origin)
        for _ in range(2):
            guarded.fetch(f"{server.origin}/a", tmp_path)

    assert {frozenset(asked.headers) for asked in server.asked} == {
        frozenset(("host", "user-agent", "accept", "accept-encoding"))
    }
    assert server.asked[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_follows_redirects_between_allowed_origins(tmp_path: Path, status: int) -> None:
    with ExitStack() as servers:
        end = servers.enter_context(scripted(always(reply(200, PNG))))
        there = always(reply(status, b"no", Location=f"{end.origin}/b?c=1"))
        start = servers.enter_context(scripted(there))
        fetched = downloader(start.origin, end.origin).fetch(f"{start.origin}/a", tmp_path)

    assert fetched.size_bytes == len(PNG)
    assert [asked.path for asked in end.asked] == ["/b?c=1"]


@pytest.mark.parametrize(
    "location",
    [
        "{trap}/canary",
        "//127.0.0.1:{port}/canary",
        "http://localhost:{port}/",
        "https://127.0.0.1:{port}/",
        "http://allowed@127.0.0.1:{port}/",
        "http://2130706433:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "\\\\127.0.0.1:{port}\\",
        "file:///etc/passwd",
        "data:text/plain,canary",
        "canary",
        "",
    ],
)
@pytest.mark.parametrize("status", [301, 308])
def test_redirects_elsewhere_reach_nothing(tmp_path: Path, location: str, status: int) -> None:
    with scripted(always(reply(200, PNG))) as trap:
        there = location.format(trap=trap.origin, port=trap.port)
        refused(always(reply(status, Location=there)), tmp_path, BadMedia)

    assert trap.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("video.mp4", "/v/1/video.mp4"),
        ("../x.mp4", "/v/x.mp4"),
        ("?token=1", "/v/1/canary?token=1"),
        ("/a/./b.mp4#t=3", "/a/b.mp4"),
        ("//{host}/x.mp4", "/x.mp4"),
        ("my caf\u00e9 \u00c5 [1].mp4", "/v/1/my%20caf%C3%A9%20%C3%85%20%5B1%5D.mp4"),
    ],
)
def test_follows_a_redirect_relative_to_where_it_comes_from(
    tmp_path: Path, status: int, location: str, asked: str
) -> None:
    def answer(connection: socket.socket, request: Asked) -> None:
        there = reply(status, Location=location.format(host=request.headers["host"]))
        connection.sendall(there if request.path == "/v/1/canary?a=1" else reply(200, PNG))

    with scripted(answer) as server:
        fetched = downloader(server.origin).fetch(f"{server.origin}/v/1/canary?a=1", tmp_path)

    assert fetched.size_bytes == len(PNG)
    assert [request.path for request in server.asked] == ["/v/1/canary?a=1", asked]


def test_a_relative_redirect_goes_on_from_the_last_origin_not_the_first(tmp_path: Path) -> None:
    with ExitStack() as servers:
        end = servers.enter_context(scripted(in_turn(reply(302, Location="b"), reply(200, PNG))))
        start = servers.enter_context(scripted(always(reply(302, Location=f"{end.origin}/there/a"))))
        downloader(start.origin, end.origin).fetch(f"{start.origin}/here/a", tmp_path)

    assert [asked.path for asked in end.asked] == ["/there/a", "/there/b"]


def test_relative_redirects_count_among_the_redirects(tmp_path: Path) -> None:
    assert refused(always(reply(302, Location="on/")), tmp_path, BadMedia)[1] == 4


@pytest.mark.parametrize("locations", [(), ("/a", "/b"), ("/a", "/a /b")])
def test_a_redirect_without_one_location_is_not_followed(tmp_path: Path, locations: tuple[str, ...]) -> None:
    lines = "".join(f"Location: {location}\r\n" for location in locations)
    answer = f"HTTP/1.1 302 Said\r\nContent-Length: 0\r\n{lines}\r\n".encode()

    error, times = refused(always(answer), tmp_path, BadMedia)

    assert (times, "without one Location" in error.sentence) == (1, True)


def test_a_redirect_loop_ends(tmp_path: Path) -> None:
    assert refused(always(reply(302, Location="/again")), tmp_path, BadMedia)[1] == 4


def test_other_origins_are_never_asked(tmp_path: Path) -> None:
    with scripted(always(reply(200, PNG))) as trap:
        for allowed in ("https://replicate.delivery", f"https://127.0.0.1:{trap.port}", "http://127.0.0.1:1"):
            with pytest.raises(BadMedia):
                downloader(allowed).fetch(f"{trap.origin}/a", tmp_path)

    assert trap.asked == []


@pytest.mark.parametrize("url", ["https://replicate.delivery.evil/a", "https://replicate.delivery:444/a", "a", ""])
def test_look_alikes_of_an_origin_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadMedia):
        downloader("https://replicate.delivery").fetch(url, tmp_path)


@pytest.mark.parametrize("status", [404, 410, 403])
def test_an_output_that_is_gone_is_not_asked_for_again(tmp_path: Path, status: int) -> None:
    assert refused(always(reply(status, PNG)), tmp_path, OutputGone)[1] == 1


@pytest.mark.parametrize("status", [201, 204, 300, 304, 400, 405])
def test_other_answers_are_no_media(tmp_path: Path, status: int) -> None:
    assert refused(always(reply(status, PNG)), tmp_path, BadMedia)[1] == 1


@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP, identity"])
def test_a_coded_body_is_refused_unread(tmp_path: Path, coding: str) -> None:
    bomb = gzip.compress(bytes(10_000_000))

    assert refused(always(reply(200, bomb, Content_Encoding=coding)), tmp_path, BadMedia)[1] == 1


def archive() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("a.mp4", PNG)
    return made.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html><script>1</script>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        archive(),
        b"MZ" + bytes(600),
        b"\x7fELF" + bytes(600),
        b"#EXTM3U\nhttp://169.254.169.254/\n",
        b"ffconcat version 1.0\n",
        b"<MPD/>",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
        gzip.compress(PNG),
        b"plain words",
        b" " * 99_999,
    ],
)
def test_what_is_no_media_is_refused_whatever_it_claims(tmp_path: Path, body: bytes) -> None:
    assert refused(always(reply(200, body, Content_Type="video/mp4")), tmp_path, BadMedia)[1] == 1


def test_text_passes_only_where_it_is_asked_for(tmp_path: Path) -> None:
    with scripted(always(reply(200, b"A story.\n" * 200, Content_Type="video/mp4"))) as server:
        fetched = downloader(server.origin, text_allowed=True).fetch(f"{server.origin}/a", tmp_path)

    assert fetched.content_type == "text/plain"


def test_markup_is_no_text(tmp_path: Path) -> None:
    refused(always(reply(200, b"<html>" * 200)), tmp_path, BadMedia, text_allowed=True)


def test_a_data_uri_is_decoded_like_a_file(tmp_path: Path) -> None:
    uri = "data:text/html;charset=utf-8;base64," + base64.b64encode(PNG).decode()

    fetched = downloader().fetch(uri, tmp_path)

    assert (fetched.content_type, fetched.path.read_bytes()) == ("image/png", PNG)
    assert fetched.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        ("data:image/png;base64," + base64.b64encode(b"<svg/>").decode(), BadMedia),
        ("data:image/png," + "a" * 50, BadMedia),
        ("data:image/png;base64,a*b=", BadMedia),
        ("data:;base64,", BadMedia),
        ("data:image/png;base64," + base64.b64encode(PNG * 10).decode(), TooLarge),
    ],
)
def test_a_data_uri_has_the_same_limits(tmp_path: Path, uri: str, error: type[ProductError]) -> None:
    with pytest.raises(error):
        downloader().fetch(uri, tmp_path)

    assert list(tmp_path.iterdir()) == []
