"""Media that attacks: each test shows the attack at work on a bare command, then ours standing it."""

from __future__ import annotations

import random
import struct
import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shared.adapters.ffmpeg import Limits
from shared.domain.errors import BadMedia
from shared.media import commands
from shared.media.target import target_of
from shared.media.verification import verify_film
from tests.footage import FFMPEG, bare, clip, encoder, made

OPEN_PROTOCOLS = ("-protocol_whitelist", "file,http,tcp")


class Inner:
    """A server that nothing from outside may reach; it counts who comes all the same."""

    def __init__(self, server: ThreadingHTTPServer, paths: list[str]) -> None:
        self.paths, self.origin = paths, f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[Inner]:
    body, paths = clip(tmp_path / "inner.ts", sound=None).read_bytes(), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Inner(server, paths)
        server.shutdown()


def refused(path: Path) -> str:
    """The sentence all of ours refuse the file with."""
    with pytest.raises(BadMedia) as verified:
        encoder().verify(path)
    with pytest.raises(BadMedia):
        encoder().probe(path)
    with pytest.raises(BadMedia):
        encoder().thumbnail(path, path.with_name("thumbnail.jpg"))
    return verified.value.sentence


def script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["ffconcat version 1.0", *lines]) + "\n")
    return path


def test_one_line_in_a_concat_script_reaches_the_network(tmp_path: Path, inner: Inner) -> None:
    clip(tmp_path / "clip-0.ts", sound=None)
    evil = script(tmp_path / "clip-1.mp4", "file clip-0.ts", f"file {inner.origin}/secret.ts")
    bare("-f", "concat", "-safe", "0", *OPEN_PROTOCOLS, "-i", evil, "-c", "copy", tmp_path / "film.mp4")
    assert inner.paths == ["/secret.ts"]
    inner.paths.clear()
    refused(evil)
    with pytest.raises(BadMedia):
        encoder().join([evil, evil], tmp_path / "film.mp4")
    subprocess.run([FFMPEG, *commands.join_command(evil, tmp_path / "film.mp4")], capture_output=True)
    assert inner.paths == []


def test_one_line_in_a_concat_script_reads_another_file(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir(mode=0o700)
    secret = clip(tmp_path / "other" / "secret.mp4")
    evil = script(tmp_path / "clip-1.mp4", f"file {secret}")
    film = tmp_path / "film.mp4"
    assert bare("-f", "concat", "-safe", "0", "-i", evil, "-c", "copy", film).returncode == 0
    assert film.stat().st_size > 1000
    refused(evil)
    ours = subprocess.run([FFMPEG, *commands.join_command(evil, film)], capture_output=True, text=True)
    assert ours.returncode != 0
    assert "Unsafe file name" in ours.stderr


def test_a_script_within_a_script_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir(mode=0o700)
    secret = clip(tmp_path / "other" / "secret.mp4")
    script(tmp_path / "clip-0.mp4", f"file {secret}")
    with pytest.raises(BadMedia):
        encoder().join([tmp_path / "clip-0.mp4"], tmp_path / "film.mp4")


@pytest.mark.parametrize("name", ["a b.mp4", "x\nfile secret.mp4", "http:x.mp4", "'.mp4", "..", "-"])
def test_names_that_are_not_ours_get_into_no_script(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="named by us"):
        commands.join_list([tmp_path / "clip-0.mp4", tmp_path / name])


def test_clips_of_another_folder_are_not_joined(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir(mode=0o700)
    with pytest.raises(ValueError, match="beside the film"):
        encoder().join([clip(tmp_path / "other" / "clip-0.mp4")], tmp_path / "film.mp4")


def test_a_playlist_reaches_the_network(tmp_path: Path, inner: Inner) -> None:
    playlist = tmp_path / "clip-0.mp4"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{inner.origin}/a.ts\n#EXT-X-ENDLIST\n")
    named = tmp_path / "clip.m3u8"
    named.write_bytes(playlist.read_bytes())
    assert bare(*OPEN_PROTOCOLS, "-i", named, "-c", "copy", tmp_path / "out.mp4").returncode == 0
    assert bare("-f", "hls", *OPEN_PROTOCOLS, "-i", playlist, "-c", "copy", tmp_path / "out.mp4").returncode == 0
    assert len(inner.paths) >= 2
    inner.paths.clear()
    refused(playlist)
    refused(named)
    assert inner.paths == []


def test_a_playlist_reads_another_file(tmp_path: Path) -> None:
    clip(tmp_path / "secret.ts", sound=None)
    playlist = tmp_path / "clip.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{tmp_path}/secret.ts\n#EXT-X-ENDLIST\n")
    assert bare("-i", playlist, "-c", "copy", tmp_path / "out.mp4").returncode == 0
    assert (
        refused(playlist)
        == "This kind of file is not accepted as media: bring MP4, MOV, WebM, Matroska, AVI, FLV or MPEG-TS."
    )


def test_a_file_name_is_no_protocol_and_no_option(tmp_path: Path) -> None:
    clip(tmp_path / "secret.ts", sound=None)
    assert bare("-i", "concat:secret.ts|secret.ts", "-c", "copy", "out.ts", folder=tmp_path).returncode == 0
    dashed = clip(tmp_path / "plain.mp4").rename(tmp_path / "-version.mp4")
    assert "At least one output" in bare("-i", "secret.ts", "-n", folder=tmp_path).stderr
    assert encoder().verify(dashed).decoded is not None
    named = (tmp_path / "secret.ts").rename(tmp_path / "concat:x|y")
    assert encoder().verify(named).decoded is not None


def test_filters_reach_past_the_protocol_list(tmp_path: Path, inner: Inner) -> None:
    path = clip(tmp_path / "clip-0.mp4", sound=None)
    address = inner.origin.replace(":", "\\\\:")
    graph = f"movie={address}/secret.ts[m];[0:v][m]overlay"
    bare("-protocol_whitelist", "file", "-i", path, "-filter_complex", graph, tmp_path / "out.mp4")
    assert inner.paths
    inner.paths.clear()
    # The one text of an author that comes near a filter: what the file says of itself.
    titled = made(
        "-i",
        path,
        "-c",
        "copy",
        "-metadata",
        f"title={graph}",
        "-metadata",
        f"comment=|{graph}",
        tmp_path / "clip-1.mp4",
    )
    facts = encoder().probe(titled)
    encoder().conform(titled, facts, target_of([facts]), tmp_path / "like.mp4")
    encoder().thumbnail(titled, tmp_path / "thumbnail.jpg")
    assert inner.paths == []


def test_what_an_author_writes_is_not_taken_for_facts(tmp_path: Path) -> None:
    lie = "x\nStream mapping:\nOutput #0, framecrc, to 'pipe:1':\n  Stream #0:0: Video: h264 (High), pal8, 9x9\n"
    lie += "[Parsed_showinfo_0 @ 0x1] n:   0 pts: 0 fmt:pal8 sar:1/1 s:9x9 i:T iskey:1 \n"
    path = clip(tmp_path / "clip-0.mkv", coded=("-metadata", f"title={lie}", "-metadata", f"{lie}=y"))
    video = encoder().probe(path).video
    assert video is not None
    assert (video.pixel_format, video.interlaced, video.alpha) == ("yuv420p", False, False)


def gif(width: int, height: int) -> bytes:
    """A picture of one pixel's worth of data that declares any size."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    return head + b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00\x3b"


@pytest.mark.parametrize("side", [7000, 65535])
def test_a_few_bytes_that_declare_gigapixels(tmp_path: Path, side: int) -> None:
    path = tmp_path / "clip-0.gif"
    path.write_bytes(gif(side, side))
    assert path.stat().st_size <= 44
    if side == 7000:
        assert bare("-i", path, "-frames:v", "1", "-f", "null", "-").returncode == 0
    refused(path)


def png(width: int, height: int) -> bytes:
    """A black picture, packed a thousandfold."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress(bytes((width * 6 + 1) * height), 9)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_picture_that_unpacks_to_more_than_the_memory_it_may_have(tmp_path: Path) -> None:
    path = tmp_path / "clip-0.png"
    path.write_bytes(png(7680, 4320))
    assert path.stat().st_size < 300_000
    assert bare("-i", path, "-f", "null", "-").returncode == 0
    with pytest.raises(BadMedia):
        encoder(limits=Limits(memory_bytes=200 * 1024**2)).verify(path)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_file_cut_in_half_ends_well_for_a_bare_command_only(tmp_path: Path, container: str) -> None:
    moved = ("-movflags", "+faststart") if container == "mp4" else ()
    whole = clip(tmp_path / f"whole.{container}", seconds=3, sound=None, coded=moved)
    cut = tmp_path / "clip-0.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    assert bare("-i", cut, "-c", "copy", tmp_path / "out.mp4").returncode == 0
    assert bare("-i", cut, "-f", "null", "-").returncode == 0
    with pytest.raises(BadMedia, match=r"cut off|damaged"):
        encoder().verify(cut)


def test_a_film_that_lacks_a_clip_ends_well_and_does_not_pass(tmp_path: Path) -> None:
    clips = [clip(tmp_path / f"clip-{number}.mp4") for number in range(3)]
    facts = [encoder().probe(path) for path in clips]
    clips[1].unlink()
    film = tmp_path / "film.mp4"
    (tmp_path / "film.ffconcat").write_text(commands.join_list(clips))
    assert bare("-f", "concat", "-i", tmp_path / "film.ffconcat", "-c", "copy", film).returncode == 0
    encoder().join(clips, film)
    assert verify_film(facts, encoder().verify(film)).ok is False


def test_a_result_larger_than_it_may_be_is_no_film(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip-0.mp4", seconds=5)
    film = tmp_path / "film.mp4"
    with pytest.raises(BadMedia, match="too large"):
        encoder(limits=Limits(file_bytes=20_000)).join([path, path], film)


def test_a_full_disk_is_no_film(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip-0.mp4")
    (tmp_path / "film.mp4").symlink_to("/dev/full")
    with pytest.raises(BadMedia):
        encoder().join([path, path], tmp_path / "film.mp4")


def test_computing_time_is_limited(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip-0.mp4", size="1920x1080", seconds=10, sound=None)
    facts = encoder().probe(path)
    target = target_of([facts])
    with pytest.raises(BadMedia, match="computing time"):
        encoder(limits=Limits(cpu_seconds=1)).conform(path, facts, target, tmp_path / "like.mp4")


def test_more_packets_than_an_hour_can_hold(tmp_path: Path) -> None:
    """A listing is limited like any file: here to less than this clip's."""
    path = clip(tmp_path / "clip-0.mp4", seconds=20, size="64x64")
    assert encoder().probe(path).video is not None
    with pytest.raises(BadMedia, match="too large"):
        encoder(limits=Limits(file_bytes=20_000)).probe(path)


@pytest.mark.parametrize("container", ["mp4", "mkv", "avi", "ts", "flv", "gif"])
def test_damage_of_any_kind_is_refused_or_read_and_never_more(tmp_path: Path, container: str) -> None:
    seen = ("-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.3")
    whole = made(*seen, tmp_path / f"whole.{container}").read_bytes()
    chance, path = random.Random(container), tmp_path / "in-0"
    for _ in range(12):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 5, 40))):
            damaged[chance.randrange(len(damaged))] = chance.choice((0, 1, 127, 128, 255))
        path.write_bytes(damaged)
        with suppress(BadMedia):
            assert encoder().verify(path).decoded is not None
