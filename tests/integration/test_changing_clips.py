"""Clips that change on the way: their frame size, their pixel format, the rate and channels of their audio."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from shared.media.target import Wishes
from tests.footage import FFMPEG, compiled, encoder, made, picture, pixel

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "0")
KINDS = {
    "mp4": (*X264, "-pix_fmt", "yuv420p"),
    "mkv": (*X264, "-pix_fmt", "yuv420p"),
    "ts": (*X264, "-pix_fmt", "yuv420p"),
    "webm": ("-c:v", "libvpx"),
    "vp9.webm": ("-c:v", "libvpx-vp9"),
}


def joined(parts: Sequence[Path]) -> Path:
    """The parts as they are, one after another in one track."""
    folder, suffix = parts[0].parent, "".join(parts[0].suffixes)
    (folder / "parts.txt").write_text("".join(["ffconcat version 1.0\n", *(f"file {part.name}\n" for part in parts)]))
    return made("-f", "concat", "-i", folder / "parts.txt", "-c", "copy", folder / f"joined{suffix}")


def part(path: Path, colour: str, size: str, *coded: str, sound: Sequence[str] = ()) -> Path:
    """A second of a colour, which filters may follow."""
    name, *filters = colour.split(",")
    source = ",".join([f"color={name}:s={size}:r=24:d=1", *filters])
    return made("-f", "lavfi", "-i", source, *sound, *coded, path)


def is_red(path: Path, at_seconds: float, x: int = 80) -> bool:
    red, _, blue = pixel(path, x, 45, at_seconds)
    return red > 150 and blue < 80


@pytest.mark.parametrize("kind", KINDS)
def test_each_frame_is_scaled_from_its_own_size(tmp_path: Path, kind: str) -> None:
    sizes = (("red", "160x90"), ("blue", "320x240"), ("red", "96x160"))
    parts = [part(tmp_path / f"{n}.{kind}", *one, *KINDS[kind]) for n, one in enumerate(sizes)]
    odd, ffmpeg = joined(parts), encoder()

    inspected = ffmpeg.verify(odd)
    film, path = compiled([odd], tmp_path, Wishes(size=(160, 90), container="mp4", reencode=True))

    facts = picture(ffmpeg.verify(path))
    assert (picture(inspected).frames, facts.frames, facts.shown_size, film.seconds) == (72, 72, (160, 90), 3)
    assert [is_red(path, at) for at in (0.02, 0.9, 1.05, 1.9, 2.05, 2.9)] == [True, True, False, False, True, True]
    # 4:3 and upright frames stand between black bars, 16:9 do not.
    assert [max(pixel(path, 5, 45, at)) < 30 for at in (0.5, 1.5, 2.5)] == [False, True, True]


@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p10le"])
def test_each_frame_is_converted_from_its_own_pixel_format(tmp_path: Path, pixel_format: str) -> None:
    formats = (("red", "yuv420p"), ("blue", pixel_format))
    sound = ["-f", "lavfi", "-i", "sine=440:d=1", "-c:a", "aac"]
    parts = [
        part(tmp_path / f"{n}.ts", colour, "160x90", *X264, "-pix_fmt", one, sound=sound)
        for n, (colour, one) in enumerate(formats)
    ]
    _, path = compiled([joined(parts)], tmp_path, Wishes(reencode=True))
    assert picture(encoder().verify(path)).frames == 48
    assert [is_red(path, at) for at in (0.02, 0.9, 1.05, 1.9)] == [True, True, False, False]


def test_no_frame_of_a_clip_that_changes_comes_at_another_time(tmp_path: Path) -> None:
    """Each frame is a little brighter than the one before; the last one before a change may be shown as that one."""
    coded = (*X264, "-qp", "1", "-pix_fmt", "yuv420p", "-colorspace", "bt709")
    parts = [
        part(tmp_path / f"{n}.mp4", f"black,geq=lum=30+4*(N+{24 * n}):cb=128:cr=128", size, *coded)
        for n, size in enumerate(("160x90", "320x180"))
    ]
    _, path = compiled([joined(parts)], tmp_path, Wishes(reencode=True))
    argv = [FFMPEG, "-v", "error", "-i", str(path), "-vf", "crop=2:2:80:44", "-f", "rawvideo", "-"]
    luma = subprocess.run(argv, capture_output=True, check=True).stdout[::6]
    wanted = [30 + 4 * number for number in range(48)]
    assert [*luma[:23], *luma[24:]] == pytest.approx([*wanted[:23], *wanted[24:]], abs=2)
    assert luma[23] == pytest.approx(wanted[23], abs=6)


@pytest.mark.parametrize(("kind", "codec"), [("ts", "ac3"), ("ts", "aac"), ("mkv", "ac3"), ("ts", "mp2")])
def test_audio_that_changes_its_rate_and_channels_stays_in_time(tmp_path: Path, kind: str, codec: str) -> None:
    def sound(hertz: int, rate: int, channels: int) -> list[str]:
        tone_of = f"sine={hertz}:r={rate}:d=1"
        return ["-f", "lavfi", "-i", tone_of, "-c:a", codec, "-ac", str(channels), "-ar", str(rate)]

    first, then = sound(440, 48000, 2 if codec == "mp2" else 6), sound(880, 44100, 1)
    parts = [
        part(tmp_path / f"{n}.{kind}", colour, "160x90", *X264, "-pix_fmt", "yuv420p", sound=one)
        for n, (colour, one) in enumerate((("red", first), ("blue", then)))
    ]
    odd, ffmpeg = joined(parts), encoder()

    inspected = ffmpeg.verify(odd)
    film, path = compiled([odd, odd], tmp_path, Wishes(reencode=True))

    facts = ffmpeg.verify(path)
    assert picture(inspected).frames == 48
    assert picture(facts).frames == pytest.approx(96, abs=3)
    assert film.verification["silent"] == []
    heard = [(hertz, at, loud_at(path, hertz, at) > -35) for at in (0.4, 1.5) for hertz in (440, 880)]
    assert heard == [(440, 0.4, True), (880, 0.4, False), (440, 1.5, False), (880, 1.5, True)]


def loud_at(film: Path, hertz: int, at_seconds: float) -> float:
    """Decibels around one pitch, in a third of a second."""
    measured = f"atrim={at_seconds}:{at_seconds + 0.33},bandpass=f={hertz}:width_type=h:w=20,volumedetect"
    argv = [FFMPEG, "-hide_banner", "-i", str(film), "-af", measured, "-f", "null", "-"]
    log = subprocess.run(argv, capture_output=True, text=True, check=True).stderr
    return float(log.split("mean_volume:")[1].split()[0])


def test_a_recording_whose_audio_overlaps_where_it_was_joined_is_inspected(tmp_path: Path) -> None:
    sound = ["-f", "lavfi", "-i", "sine=440:d=1.03", "-c:a", "aac"]
    part(tmp_path / "part.ts", "red", "160x90", *X264, "-pix_fmt", "yuv420p", sound=sound)
    (tmp_path / "parts.txt").write_text("ffconcat version 1.0\nfile part.ts\nduration 1\nfile part.ts\n")
    odd = made("-f", "concat", "-i", tmp_path / "parts.txt", "-c", "copy", tmp_path / "odd.ts")
    assert picture(encoder().verify(odd)).frames == 48
