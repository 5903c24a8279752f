"""Clips whose video begins after their audio: the audio is kept whole, the first frame is held until its time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.media.sound import held_seconds
from shared.media.target import Wishes
from tests.footage import bare, compiled, encoder, made, packets, picture, pixel

# A tone with a pause, by which its place in a film is seen.
PAUSED = "sine=440:r=44100:d=2,volume=0:enable='between(t\\,1\\,1.5)'"
COLOURS = "color=red:s=160x90:r=24:d=0.5[a];color=blue:s=160x90:r=24:d=1[b];[a][b]concat"
KINDS = {
    "mp4": ("libx264", "aac"),
    "mkv": ("libx264", "libmp3lame"),
    "ts": ("libx264", "mp2"),
    "webm": ("libvpx", "libopus"),
    "mov": ("libx264", "pcm_s16le"),
}


def late_clip(folder: Path, kind: str, late: float) -> Path:
    """1.5 s of video, red and then blue, that begins `late` seconds after 2 s of audio."""
    video, audio = KINDS[kind]
    inputs = ("-itsoffset", str(late), "-f", "lavfi", "-i", COLOURS, "-f", "lavfi", "-i", PAUSED)
    coded = ("-c:v", video, "-pix_fmt", "yuv420p", "-c:a", audio, "-ac", "2", "-ar", "48000")
    return made(*inputs, "-map", "0:v", "-map", "1:a", *coded, folder / f"late.{kind}")


def is_red(path: Path, at_seconds: float) -> bool:
    red, _, blue = pixel(path, 80, 45, at_seconds)
    return red > 150 and blue < 80


@pytest.mark.parametrize("late", [0.3, 1.0])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "webm", "mov"])
def test_an_encoded_clip_keeps_its_audio_and_holds_its_first_frame(tmp_path: Path, kind: str, late: float) -> None:
    odd, ffmpeg = late_clip(tmp_path, kind, late), encoder()
    length = float(held_seconds(ffmpeg.probe(odd))) + 1.5

    film, path = compiled([odd, odd], tmp_path, Wishes(reencode=True, container="mp4"))

    assert length == pytest.approx(late + 1.5, abs=0.03)
    assert film.seconds == pytest.approx(2 * length, abs=1 / 48)
    assert picture(ffmpeg.verify(path)).frames == round(2 * length * 24)
    assert [begin for begin, _ in film.verification["silent"][:1]] == pytest.approx([1.0], abs=0.06)
    assert length + 1.0 == pytest.approx(film.verification["silent"][-1 if late == 0.3 else -2][0], abs=0.06)
    assert [is_red(path, at) for at in (0.1, length - 1.1, length - 0.9, length + 0.1)] == [True, True, False, True]


@pytest.mark.parametrize("late", [0.3, 1.0])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "mov"])
def test_a_copied_clip_beside_a_single_audio_track_holds_its_first_frame(
    tmp_path: Path, kind: str, late: float
) -> None:
    odd = late_clip(tmp_path, kind, late)
    like = made("-i", odd, "-c:v", "copy", "-c:a", "libmp3lame", tmp_path / "like.mkv")

    film, path = compiled([odd, like], tmp_path)

    assert (film.plan.strategy, film.plan.whole_sound) == ("copy", True)
    assert film.seconds == pytest.approx(2 * (late + 1.5), abs=0.06)
    stored = [at for stream, at, _ in packets(path) if stream == 0]
    assert len(stored) == 72
    assert sorted(stored)[1] == pytest.approx(late + 1 / 24, abs=0.03)
    assert film.verification["silent"][0][0] == pytest.approx(1.0, abs=0.06)
    assert film.verification["joins"][1]["atSeconds"] == pytest.approx(late + 1.5, abs=0.03)
    assert [is_red(path, at) for at in (0.1, late + 0.4, late + 0.6)] == [True, True, False]


def test_audio_that_was_cut_off_before_the_beginning_holds_nothing(tmp_path: Path) -> None:
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=24:d=2", "-f", "lavfi", "-i", "sine=440:d=0.5")
    whole = made(*inputs, "-c:v", "libx264", "-g", "24", "-pix_fmt", "yuv420p", tmp_path / "whole.mp4")
    odd = made("-ss", "1", "-i", whole, "-c", "copy", tmp_path / "odd.mp4")
    facts = encoder().probe(odd)
    assert facts.audio is not None
    assert facts.audio.start_seconds < -0.4
    film, _ = compiled([odd], tmp_path, Wishes(reencode=True))
    assert film.seconds == pytest.approx(1)


@pytest.mark.parametrize(("kind", "strategy"), [("mp4", "splice"), ("mkv", "copy")])
def test_audio_behind_a_clip_s_video_is_not_heard_in_a_clip_whose_audio_is_late(
    tmp_path: Path, kind: str, strategy: str
) -> None:
    video = ("-f", "lavfi", "-i", "testsrc=s=160x90:r=24:d=1")
    coded = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ar", "48000", "-ac", "2")
    long = made(*video, "-f", "lavfi", "-i", "sine=440:d=1.6", *coded, tmp_path / f"long.{kind}")
    late = made(*video, "-itsoffset", "0.7", "-f", "lavfi", "-i", "sine=880:d=0.3", *coded, tmp_path / f"late.{kind}")

    film, path = compiled([long, late], tmp_path)

    said = bare("-v", "info", "-i", path, "-af", "silencedetect=n=-40dB:d=0.2", "-f", "null", "-").stderr
    begin, end = (float(re.findall(rf"silence_{edge}: ([0-9.]+)", said)[0]) for edge in ("start", "end"))
    assert film.plan.strategy == strategy
    assert (begin, end) == pytest.approx((1.0, 1.7), abs=0.05)
