"""FFmpeg behind the encoder port: films hold what their clips held, and bad files get a reason."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from shared.adapters.ffmpeg import FfmpegEncoder
from shared.domain.errors import BadMedia, Conflict, DependencyDown
from shared.media.compare import ProbedClip
from shared.media.plan import plan_film
from shared.media.probe import MediaFacts
from shared.media.sound import sound_of_film
from shared.media.target import Wishes, target_of
from shared.media.verification import verify_film
from tests.footage import FFMPEG, clip, encoder, packets

AAC_FRAME_SECONDS = 1024 / 44100


def compiled(clips: list[Path], folder: Path) -> tuple[str, list[MediaFacts], MediaFacts]:
    """Strategy, the clips as they were joined, the decoded film."""
    ffmpeg = encoder()
    facts = [ffmpeg.probe(path) for path in clips]
    plan = plan_film([ProbedClip(None, fact) for fact in facts], Wishes())
    if plan.strategy == "encode":
        like = [folder / f"like-{number}.mp4" for number in range(len(clips))]
        for path, fact, target in zip(clips, facts, like, strict=True):
            ffmpeg.conform(path, fact, target_of(facts), target)
        clips, facts = like, [ffmpeg.probe(path) for path in like]
    whole = sound_of_film(clips, facts, facts, target_of(facts)) if plan.whole_sound else None
    ffmpeg.join(clips, folder / "film.mp4", whole_audio=whole)
    return plan.strategy, facts, ffmpeg.verify(folder / "film.mp4")


def test_like_clips_are_copied_packet_by_packet(tmp_path: Path) -> None:
    clips = [clip(tmp_path / f"clip-{number}.mp4") for number in range(3)]
    strategy, facts, film = compiled(clips, tmp_path)
    joined = [packet[2] for packet in packets(tmp_path / "film.mp4") if packet[0] == 0]
    originals = [packet[2] for path in clips for packet in packets(path) if packet[0] == 0]
    assert strategy == "copy"
    # The demuxer may repeat parameter sets at a key frame; everything else is the very same packet.
    assert len(joined) == len(originals)
    assert sum(one != other for one, other in zip(joined, originals, strict=True)) <= len(clips)
    assert verify_film(facts, film).ok


def test_sound_stays_with_the_picture_over_ten_joins(tmp_path: Path) -> None:
    one = clip(tmp_path / "clip-0.mp4", seconds=0.5)
    compiled([one] * 10, tmp_path)
    shown = packets(tmp_path / "film.mp4")
    heads = [hash_ for stream, at, hash_ in packets(one) if stream == 1][2:3]
    keys = [at for stream, at, _ in shown if stream == 0][:: len([p for p in packets(one) if p[0] == 0])]
    sounds = [at for stream, at, hash_ in shown if stream == 1 and hash_ in heads]
    offsets = [sound - picture for sound, picture in zip(sounds, keys, strict=True)]
    assert max(offsets) - min(offsets) <= AAC_FRAME_SECONDS + 1 / 24


@pytest.mark.parametrize(
    ("odd", "expected"),
    [({"size": "320x240"}, "encode"), ({"fps": 30}, "encode"), ({"sound": None}, "copy"), ({"sound": "mono"}, "copy")],
    ids=["size", "rate", "silent", "mono"],
)
def test_unlike_clips_become_one_film_in_the_majority_format(
    tmp_path: Path, odd: dict[str, object], expected: str
) -> None:
    clips = [clip(tmp_path / f"clip-{number}.mp4") for number in range(2)]
    clips.append(clip(tmp_path / "clip-2.mp4", **odd))  # type: ignore[arg-type]
    strategy, facts, film = compiled(clips, tmp_path)
    assert strategy == expected
    assert film.video is not None
    assert film.audio is not None
    assert (film.video.width, film.video.height, film.video.fps) == (160, 90, 24)
    assert verify_film(facts, film).problems == ()


def test_a_film_that_lost_frames_does_not_pass(tmp_path: Path) -> None:
    one = clip(tmp_path / "clip-0.mp4")
    facts = encoder().probe(one)
    assert verify_film([facts, facts], encoder().verify(one)).ok is False


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
