"""FFmpeg behind the encoder port: films hold what their clips held, and bad files get a reason."""

from __future__ import annotations

import subprocess
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.ffmpeg import FfmpegEncoder
from shared.domain.errors import BadMedia, Conflict, DependencyDown
from shared.media.conform import Timing
from shared.media.probe import MediaFacts
from shared.media.streams import MediaInput, MediaResult
from shared.media.target import Target, Wishes, target_of
from shared.media.verification import verify_film
from tests.footage import FFMPEG, clip, compiled, encoder, made, picture, tone
from tests.memory_media import MemoryMedia


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        ({"size": "320x240"}, "smart"),
        ({"fps": 30}, "splice"),
        ({"sound": None}, "splice"),
        ({"sound": "mono"}, "copy"),
        ({"sound": "5.1"}, "copy"),
    ],
    ids=["size", "rate", "silent", "mono", "six channels"],
)
def test_unlike_clips_become_one_film_in_the_majority_format(
    tmp_path: Path, odd: dict[str, Any], expected: str
) -> None:
    clips = [clip(tmp_path / f"clip-{number}.mp4") for number in range(2)]
    clips.append(clip(tmp_path / "clip-2.mp4", **odd))
    film, path = compiled(clips, tmp_path)
    decoded = encoder().verify(path)
    assert (film.plan.strategy, film.verification["problems"]) == (expected, [])
    assert (picture(decoded).width, picture(decoded).height) == (160, 90)
    assert tone(decoded).channels == 2


def test_a_film_that_lost_frames_does_not_pass(tmp_path: Path) -> None:
    one = clip(tmp_path / "clip-0.mp4")
    facts = encoder().probe(one)
    assert verify_film([facts, facts], encoder().verify(one)).ok is False


class Halving(FfmpegEncoder):
    """An FFmpeg that loses half of what it encodes and ends well."""

    def conform(self, clip: MediaInput, facts: MediaFacts, like: Target, result: MediaResult, **more: Any) -> None:
        super().conform(clip, facts, like, result, **more | {"timing": Timing(more["timing"].frames // 2, own=False)})


def test_an_encoding_that_lost_pictures_is_no_film_and_not_kept(tmp_path: Path) -> None:
    clips = [clip(tmp_path / f"clip-{number}.mp4", size=size) for number, size in enumerate(("160x90", "320x240"))]
    media, halving = MemoryMedia(), Halving(FFMPEG, seconds_left=lambda: 600, should_stop=lambda: False)
    with pytest.raises(BadMedia, match="one format"):
        compiled(clips, tmp_path, media=media, ffmpeg=halving)
    assert [key for key in media.objects if not key.startswith("clips/")] == []


@pytest.mark.parametrize(
    ("wishes", "size", "fps"),
    [
        (Wishes(size=(128, 72)), (128, 72), 24),
        (Wishes(fps=Fraction(12)), (160, 90), 12),
        (Wishes(reencode=True), (160, 90), 24),
    ],
    ids=["size", "rate", "encoding"],
)
def test_options_are_followed_whatever_the_container_is(
    tmp_path: Path, wishes: Wishes, size: tuple[int, int], fps: int
) -> None:
    one = made("-i", clip(tmp_path / "clip-0.mp4"), "-c", "copy", tmp_path / "clip-0.mkv")
    film, path = compiled([one, one], tmp_path, wishes)
    video = picture(encoder().probe(path))
    assert (film.plan.strategy, video.shown_size, video.fps) == ("encode", size, fps)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html><title>no video</title>",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    ],
    ids=["empty", "html", "playlist", "concat", "sdp"],
)
def test_what_is_no_media_gets_a_reason(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "clip-0.mp4"
    path.write_bytes(body)
    with pytest.raises(BadMedia) as refused:
        encoder().verify(path)
    assert str(tmp_path) not in refused.value.sentence


def test_a_playlist_is_opened_by_a_bare_command_and_refused_by_ours(tmp_path: Path) -> None:
    clip(tmp_path / "secret.ts", sound=None)
    playlist = tmp_path / "clip-0.mp4"
    playlist.write_text("ffconcat version 1.0\nfile secret.ts\n")
    bare = [FFMPEG, "-v", "error", "-f", "concat", "-safe", "0", "-i", str(playlist), "-f", "null", "-"]
    assert subprocess.run(bare, cwd=tmp_path).returncode == 0
    with pytest.raises(BadMedia):
        encoder().verify(playlist)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.mp4", seconds=2)
    cut = tmp_path / "clip-0.mp4"
    cut.write_bytes(whole.read_bytes()[:-2000])
    with pytest.raises(BadMedia, match=r"cut off|damaged"):
        encoder().verify(cut)


def test_a_stop_ends_ffmpeg_and_its_group(tmp_path: Path) -> None:
    stop = threading.Event()
    long = clip(tmp_path / "clip-0.mp4", size="1280x720", seconds=20, sound=None)
    ffmpeg = FfmpegEncoder(FFMPEG, seconds_left=lambda: 600, should_stop=stop.is_set)
    facts = ffmpeg.probe(long)
    stop.set()
    with pytest.raises(Conflict):
        ffmpeg.conform(long, facts, target_of([facts]), tmp_path / "like.mp4")
    assert str(tmp_path) not in subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True).stdout


def test_an_invocation_about_to_end_stops_ffmpeg(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip-0.mp4")
    with pytest.raises(Conflict) as stopped:
        encoder(seconds_left=1).verify(path)
    assert stopped.value.code == "out_of_time"


def test_a_thumbnail_is_a_jpeg_of_at_most_640_pixels(tmp_path: Path) -> None:
    encoder().thumbnail(clip(tmp_path / "clip-0.mp4", size="1280x720"), tmp_path / "thumbnail.jpg")
    video = encoder().probe(tmp_path / "thumbnail.jpg").video
    assert video is not None
    assert (video.codec, video.width, video.height) == ("mjpeg", 640, 360)


def test_without_ffmpeg_the_remedy_is_named() -> None:
    with pytest.raises(DependencyDown, match="ffmpeg layer"):
        FfmpegEncoder("", seconds_left=lambda: 1, should_stop=lambda: False)
