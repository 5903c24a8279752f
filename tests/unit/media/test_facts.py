"""What a probe answers is what a decoder would find, without decoding."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from shared.domain.errors import BadMedia
from shared.media.clip import read_clip
from shared.media.colour import Colour
from shared.media.facts import AudioTrackFacts, ClipFacts, VideoTrackFacts, clip_facts
from shared.media.presentation import orientation
from tests.unit.media.films import FileSource, clip, ffmpeg

HD = "-vf setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"


def facts(path: Path) -> ClipFacts:
    return clip_facts(read_clip(FileSource(path)))


def video(path: Path) -> VideoTrackFacts:
    found = facts(path).video
    assert found is not None
    return found


def test_a_common_clip() -> None:
    path = clip(options=f"-preset medium -bf 2 {HD}")
    found = facts(path)
    assert found.video == VideoTrackFacts(
        codec="h264",
        profile="High",
        level="1.0",
        width=96,
        height=64,
        display_width=96,
        display_height=64,
        fps=Fraction(24),
        constant_rate=True,
        sar=Fraction(1),
        pixel_format="yuv420p",
        bit_depth=8,
        rotation_degrees=0,
        mirrored=False,
        colour=Colour(1, 1, 1, False),
        hdr=None,
        interlaced=False,
        gop="closed",
        frames=12,
        seconds=0.5,
        track=1,
        enabled=True,
    )
    assert found.audio == AudioTrackFacts("aac", 44100, 2, "stereo", 1024, 0.5, 2, True)
    assert (found.brand, found.header_seconds, found.seconds, found.faults) == ("isom", 0.5, 0.5, ())
    assert [(edit.handler, edit.seconds, edit.speed) for edit in found.edits] == [("vide", 0.5, 1), ("soun", 0.5, 1)]


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ("-vf setsar=4/3", "sar", Fraction(4, 3)),
        ("-pix_fmt yuv422p10le", "pixel_format", "yuv422p10le"),
        ("-pix_fmt yuv420p10le", "profile", "High 10"),
        ("-profile:v baseline", "profile", "Constrained Baseline"),
        ("-x264-params interlaced=1", "interlaced", True),
        ("-x264-params open-gop=1:keyint=4 -preset medium", "gop", "open"),
        ("-vf setparams=color_trc=smpte2084:color_primaries=bt2020:colorspace=bt2020nc", "hdr", "pq"),
        ("-vf setparams=color_trc=arib-std-b67:color_primaries=bt2020:colorspace=bt2020nc", "hdr", "hlg"),
        ("-c:v libx265 -x265-params log-level=none -tag:v hvc1", "codec", "hevc"),
        ("-c:v libx265 -x265-params log-level=none -pix_fmt yuv420p10le", "profile", "Main 10"),
        ("-vf setpts=N/24/TB+gte(N\\,4)*3/24/TB -fps_mode vfr -enc_time_base:v 1/24", "constant_rate", False),
        ("-c:v libsvtav1 -preset 12 -pix_fmt yuv420p10le -svtav1-params lp=1", "pixel_format", "yuv420p10le"),
        ("-c:v libvpx-vp9 -pix_fmt yuv444p", "profile", "Profile 1"),
        ("-c:v libvpx-vp9 -pix_fmt yuv444p", "pixel_format", "yuv444p"),
        ("-r 30000/1001", "fps", Fraction(30000, 1001)),
        ("-movflags frag_keyframe+empty_moov", "frames", 12),
    ],
)
def test_of_the_picture(options: str, name: str, value: object) -> None:
    assert getattr(video(clip(options=options)), name) == value


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-ac 1 -ar 48000", ("aac", 48000, 1, "mono", 1024)),
        ("-ac 6", ("aac", 44100, 6, "5.1", 1024)),
        ("-c:a ac3", ("ac3", 44100, 2, "stereo", 256)),
        ("-c:a libmp3lame", ("mp3", 44100, 2, "stereo", 1105)),
        ("-c:a libopus -ar 48000", ("opus", 48000, 2, "stereo", 312)),
    ],
)
def test_of_the_sound(options: str, expected: tuple[str, int, int, str, int]) -> None:
    found = facts(clip(options=options)).audio
    assert found is not None
    assert (found.codec, found.sample_rate, found.channels, found.layout, found.priming_samples) == expected


@pytest.mark.parametrize(("turned", "clockwise"), [("90", 270), ("-90", 90), ("180", 180)])
def test_a_turned_picture_is_shown_in_its_turned_size(tmp_path: Path, turned: str, clockwise: int) -> None:
    path = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", turned, "-i", str(clip()), "-c", "copy", str(path))
    found = video(path)
    assert found.rotation_degrees == clockwise
    assert (found.display_width, found.display_height) == ((64, 96) if clockwise % 180 else (96, 64))


def test_a_mirrored_picture_is_told_from_a_turned_one() -> None:
    def turned(a: int, b: int, c: int, d: int) -> tuple[int, bool]:
        rows = (a, b, 0, c, d, 0, 0, 0, 0x4000)
        found = orientation(b"".join((one * 0x10000).to_bytes(4, "big", signed=True) for one in rows))
        return found.degrees, found.mirrored

    assert turned(-1, 0, 0, 1) == (0, True)
    assert turned(1, 0, 0, -1) == (180, True)
    assert turned(-1, 0, 0, -1) == (180, False)


def test_the_tables_have_the_word_where_the_header_lies(tmp_path: Path) -> None:
    data = bytearray(clip().read_bytes())
    at = data.index(b"mvhd") + 4 + 4 + 8 + 4
    data[at : at + 4] = (143165 * 1000).to_bytes(4, "big")
    path = tmp_path / "lying.mp4"
    path.write_bytes(data)
    found = facts(path)
    assert found.header_seconds is not None
    assert found.header_seconds > 1000
    assert found.seconds == 0.5


def test_what_an_edit_hides_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "trimmed.mp4"
    ffmpeg("-ss", "0.25", "-i", str(clip(options="-g 12")), "-c", "copy", str(path))
    assert facts(path).seconds == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(100), b"\0\0\0\x08ftyp", bytes(64)])
def test_what_is_no_movie_has_no_facts(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other.mp4"
    path.write_bytes(data)
    with pytest.raises(BadMedia):
        read_clip(FileSource(path))
