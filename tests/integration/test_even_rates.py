"""Frames of even clips take one place each, whatever their container rounds their times to."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from shared.media.target import Wishes
from tests.footage import bare, encoder, made, picture
from tests.odd_clips import RE_ENCODED, film_of
from tests.unit.media.films import clip

SEEN = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r={rate}:d=3", "-f", "lavfi", "-i", "sine=440:r=48000:d=3")
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac")


def distinct(path: Path) -> int:
    """Frames that differ from the one before."""
    done = bare(
        "-v",
        "info",
        "-i",
        path,
        "-an",
        "-vf",
        "mpdecimate=hi=200:lo=60:frac=0.05",
        "-fps_mode",
        "passthrough",
        "-f",
        "null",
        "-",
    )
    return int(done.stderr.rpartition("frame=")[2].split()[0])


@pytest.mark.parametrize("rate", ["24", "24000/1001", "25", "30", "60"])
@pytest.mark.parametrize("container", ["mkv", "flv", "ts", "mp4", "avi"])
def test_no_frame_of_an_even_clip_is_dropped_or_doubled(tmp_path: Path, container: str, rate: str) -> None:
    seen = [word.format(rate=rate) for word in SEEN]
    source = made(*seen, *X264, *(("-bf", "2") if container == "avi" else ()), tmp_path / f"clip.{container}")
    film, path = film_of([source], tmp_path, RE_ENCODED)
    frames = picture(encoder().verify(path)).frames
    assert film.plan.strategy == "encode"
    assert distinct(path) == frames == picture(encoder().probe(source)).frames


def test_half_a_frame_that_is_carried_shifts_no_frame_of_the_next_clip(tmp_path: Path) -> None:
    seen = [word.format(rate="60") for word in SEEN]
    odd = made("-f", "lavfi", "-i", "color=gray:s=96x64:r=120", "-frames:v", "49", *X264[:-2], tmp_path / "odd.mp4")
    even = made(*seen[:4], *X264[:-2], tmp_path / "even.mkv")
    _, path = film_of([odd, even], tmp_path, Wishes(reencode=True, fps=Fraction(60)))
    assert distinct(path) >= 180


def test_avi_without_presentation_times_is_copied_at_its_rate(tmp_path: Path) -> None:
    seen = [word.format(rate="24") for word in SEEN]
    odd = made(*seen[:4], *X264[:-2], "-bf", "0", tmp_path / "odd.avi")
    film, path = film_of([odd, odd], tmp_path)
    assert film.plan.strategy == "copy"
    assert film.seconds == pytest.approx(6, abs=0.01)
    assert float(encoder().verify(path).duration_seconds) == pytest.approx(6, abs=0.01)


@pytest.mark.parametrize(("sar", "size"), [("64/45", (136, 64)), ("3/4", (72, 64))])
def test_anamorphic_clips_are_encoded_in_the_shape_they_are_shown_in(
    tmp_path: Path, sar: str, size: tuple[int, int]
) -> None:
    wide = clip(size="96x64", options=f"-vf setsar={sar}")
    _, path = film_of([wide], tmp_path, RE_ENCODED)
    facts = picture(encoder().probe(path))
    assert (facts.width, facts.height, facts.sar) == (*size, 1)


@pytest.mark.parametrize("says", [0, 2**31])
def test_a_last_box_of_no_length_or_too_long_a_one_is_no_cut(tmp_path: Path, says: int) -> None:
    data = bytearray(clip(options="-movflags faststart").read_bytes())
    place = data.rindex(b"mdat") - 4
    data[place : place + 4] = says.to_bytes(4, "big")
    odd = tmp_path / "odd.mp4"
    odd.write_bytes(data)
    _, path = film_of([odd, clip(tone=550)], tmp_path, RE_ENCODED)
    assert picture(encoder().verify(path)).frames == 24
