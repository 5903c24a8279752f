"""Clips whose colour tags FFmpeg cannot convert, or that have none, are shown as players show them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from shared.media.target import Target
from tests.footage import compiled, encoder, made, picture, pixel

TARGET = Target(width=160, height=90, fps=Fraction(24), sample_rate=None, channels=2)
X264 = ("-c:v", "libx264", "-preset", "ultrafast")
# Some of them are reserved (H.273).
MATRICES = (3, 8, *range(10, 19), 128)
TRANSFERS = (0, 3, 8, 9, 10, 17, 19, 128)
PRIMARIES = (0, 3, 10, 22, 128)


def flat(folder: Path, *, pixel_format: str = "yuv420p", size: str = "160x90", coded: tuple[str, ...] = X264) -> Path:
    """Red, as SD's matrix or RGB has it, with nothing said of its colours."""
    red = f"color=red:s={size}:r=24:d=0.2,format={pixel_format}"
    return made("-f", "lavfi", "-i", red, *coded, "-pix_fmt", pixel_format, folder / f"{pixel_format}.mp4")


def tagged(path: Path, **tags: int) -> Path:
    words = ":".join(f"{name}={value}" for name, value in tags.items())
    return made("-i", path, "-c", "copy", "-bsf:v", f"h264_metadata={words}", path.with_name("clip-0.mp4"))


def shown(path: Path) -> tuple[int, int, int]:
    """A pixel of the clip as it is in a film, after it was inspected and has got its thumbnail."""
    ffmpeg = encoder()
    facts = ffmpeg.verify(path)
    ffmpeg.thumbnail(path, path.with_name("thumbnail.jpg"))
    ffmpeg.conform(path, facts, TARGET, path.with_name("like.mp4"))
    assert picture(ffmpeg.verify(path.with_name("like.mp4"))).frames == picture(facts).frames
    return pixel(path.with_name("like.mp4"), 80, 45)


@pytest.mark.parametrize(
    ("pixel_format", "matrix"), [*(("yuv420p", matrix) for matrix in MATRICES), ("yuvj420p", 8), ("yuvj420p", 14)]
)
def test_a_matrix_that_cannot_be_converted_is_read_as_the_usual_one(
    tmp_path: Path, pixel_format: str, matrix: int
) -> None:
    red, green, blue = shown(tagged(flat(tmp_path, pixel_format=pixel_format), matrix_coefficients=matrix))
    assert red > 215
    assert max(green, blue) < 30


@pytest.mark.parametrize(
    "tag",
    [{"transfer_characteristics": value} for value in TRANSFERS] + [{"colour_primaries": value} for value in PRIMARIES],
    ids=str,
)
@pytest.mark.parametrize("pixel_format", ["yuv420p", "gbrp"])
def test_no_transfer_and_no_primaries_end_a_film(tmp_path: Path, pixel_format: str, tag: dict[str, int]) -> None:
    coded = ("-c:v", "libx264rgb", "-preset", "ultrafast") if pixel_format == "gbrp" else X264
    path = flat(tmp_path, pixel_format="bgr24" if pixel_format == "gbrp" else pixel_format, coded=coded)
    red, green, blue = shown(tagged(path, **tag))
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize("primaries", [1, 2, 9])
def test_hdr_in_eight_bits_with_any_primaries_is_tone_mapped(tmp_path: Path, transfer: int, primaries: int) -> None:
    tags = {"transfer_characteristics": transfer, "colour_primaries": primaries}
    red, green, blue = shown(tagged(flat(tmp_path), **tags))
    assert red > 2 * max(green, blue)


@pytest.mark.parametrize("reads", ["ycgco", "bt709"])
def test_a_matrix_of_full_chroma_is_converted_as_it_says(tmp_path: Path, reads: str) -> None:
    source = f"color=red:s=160x90:r=24:d=0.2,format=gbrp,zscale=m={reads}:r=tv,format=yuv444p"
    path = made("-f", "lavfi", "-i", source, *X264, "-qp", "1", tmp_path / "full.mp4")
    red, green, blue = shown(tagged(path, matrix_coefficients={"ycgco": 8, "bt709": 1}[reads]))
    assert red > 245
    assert max(green, blue) < 8


@pytest.mark.parametrize(("size", "matrix"), [("1280x720", "bt709"), ("1080x1920", "bt709"), ("640x480", "smpte170m")])
def test_pixels_that_say_nothing_are_read_by_their_size(tmp_path: Path, size: str, matrix: str) -> None:
    source = f"color=0x20c040:s={size}:r=24:d=0.2,format=gbrp,scale=out_color_matrix={matrix}:out_range=tv"
    path = made("-f", "lavfi", "-i", f"{source},format=yuv420p,setparams=colorspace=unknown", *X264, tmp_path / "a.mp4")
    assert picture(encoder().probe(path)).matrix == ""
    assert shown(path) == pytest.approx((0x20, 0xC0, 0x40), abs=6)


@pytest.mark.parametrize(("size", "odd"), [("1280x720", "1440x810"), ("640x360", "320x180")])
def test_an_encoded_clip_has_the_colours_of_untagged_ones_beside_it(tmp_path: Path, size: str, odd: str) -> None:
    clips = [
        made("-f", "lavfi", "-i", f"color=0x20c040:s={one}:r=24:d={seconds},format=yuv420p", *X264, tmp_path / name)
        for one, seconds, name in ((size, 1, "like.mp4"), (odd, 0.5, "odd.mp4"))
    ]
    film, path = compiled(clips, tmp_path)
    assert film.plan.encoded == (1,)
    assert pixel(path, 80, 45, 1.2) == pytest.approx(pixel(path, 80, 45, 0.2), abs=4)


def test_a_thumbnail_of_an_hd_clip_has_its_colours(tmp_path: Path) -> None:
    source = "color=0x20c040:s=1280x720:r=24:d=0.2,format=gbrp,scale=out_color_matrix=bt709:out_range=tv"
    path = made("-f", "lavfi", "-i", f"{source},format=yuv420p", *X264, "-colorspace", "bt709", tmp_path / "clip-0.mp4")
    encoder().thumbnail(path, tmp_path / "thumbnail.jpg")
    assert pixel(tmp_path / "thumbnail.jpg", 80, 45) == pytest.approx((0x20, 0xC0, 0x40), abs=6)
