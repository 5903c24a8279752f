"""The facts of every kind of file, each quirk made by FFmpeg or byte by byte: packets and pictures decide."""

from __future__ import annotations

import re
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from shared.domain.errors import BadMedia
from shared.media.colour import FFMPEG_NAMES
from shared.media.commands import probe_command
from shared.media.probe import parse_probe
from tests.footage import FFMPEG, bare, clip, encoder, made, picture, tone

TONE = ("-f", "lavfi", "-i", "sine=440:r=48000:d=1")
SEEN = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=1")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


@pytest.mark.parametrize(
    ("name", "codecs", "video", "audio"),
    [
        ("clip.webm", ("-c:v", "libvpx-vp9", "-c:a", "libopus"), "vp9", "opus"),
        ("clip-8.webm", ("-c:v", "libvpx", "-auto-alt-ref", "1", "-c:a", "libvorbis"), "vp8", "vorbis"),
        ("clip.mkv", (*X264, "-bf", "2", "-c:a", "aac"), "h264", "aac"),
        ("clip.avi", ("-c:v", "mpeg4", "-c:a", "pcm_s16le"), "mpeg4", "pcm_s16le"),
        ("clip.flv", (*X264, "-c:a", "aac"), "h264", "aac"),
        ("clip.ts", (*X264, "-bf", "2", "-c:a", "aac"), "h264", "aac"),
        ("clip.mov", (*X264, "-c:a", "pcm_s16le"), "h264", "pcm_s16le"),
        ("clip.mp4", ("-c:v", "libx265", "-x265-params", "log-level=0", "-c:a", "aac"), "hevc", "aac"),
        ("clip-1.mp4", ("-c:v", "libsvtav1", "-preset", "10", "-c:a", "aac"), "av1", "aac"),
    ],
)
def test_films_of_every_container(tmp_path: Path, name: str, codecs: tuple[str, ...], video: str, audio: str) -> None:
    path = made(*SEEN, *TONE, *codecs, tmp_path / name)
    for facts in (encoder().probe(path), encoder().verify(path)):
        seen, heard = picture(facts), tone(facts)
        assert (seen.codec, heard.codec) == (video, audio)
        assert (seen.width, seen.height, seen.frames, seen.fps, seen.variable_rate) == (160, 90, 25, 25, False)
        assert (seen.sar, seen.rotation, seen.bit_depth, seen.alpha, seen.hidden) == (1, 0, 8, False, 0)
        assert float(seen.duration_seconds) == pytest.approx(1, abs=0.003)
        assert float(heard.duration_seconds) == pytest.approx(1, abs=0.06)
        assert float(heard.start_seconds - seen.start_seconds) == pytest.approx(0, abs=0.03)
        assert float(facts.duration_seconds) == pytest.approx(1, abs=0.06)
        assert (heard.sample_rate, heard.channels) == (48000, 1)


@pytest.mark.parametrize("name", ["a.mp3", "a.wav", "a.flac", "a.ogg", "a.opus", "a.m4a", "a.aac", "a.mka"])
def test_sounds_of_every_container(tmp_path: Path, name: str) -> None:
    path = made(*TONE, *(("-c:a", "libvorbis") if name == "a.ogg" else ()), tmp_path / name)
    facts = encoder().verify(path)
    assert facts.video is None
    assert (tone(facts).sample_rate, tone(facts).channels, tone(facts).layout) == (48000, 1, "mono")
    assert float(facts.duration_seconds) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif", "a.apng", "a.avif"])
def test_pictures_of_every_kind(tmp_path: Path, name: str) -> None:
    still = "libwebp" if name == "a.webp" else "libaom-av1"
    codec = ("-c:v", still) if name in ("a.webp", "a.avif") else ()
    facts = encoder().verify(made(*SEEN, "-frames:v", "1", *codec, tmp_path / name))
    assert (picture(facts).width, picture(facts).height, picture(facts).frames) == (160, 90, 1)
    assert facts.audio is None


@pytest.mark.parametrize("name", ["a.gif", "a.apng", "a.webp"])
def test_moving_pictures(tmp_path: Path, name: str) -> None:
    codec = ("-c:v", "libwebp_anim") if name == "a.webp" else ()
    video = picture(encoder().verify(made(*SEEN, *codec, tmp_path / name)))
    assert (video.frames, video.fps) == (25, 25)


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    still = made(*SEEN, "-frames:v", "1", tmp_path / "cover.jpg")
    song = made(
        *TONE,
        "-i",
        still,
        "-map",
        "0:a",
        "-map",
        "1:v",
        "-c:v",
        "copy",
        "-disposition:v",
        "attached_pic",
        "-id3v2_version",
        "3",
        tmp_path / "a.mp3",
    )
    assert "(attached pic)" in bare("-v", "info", "-i", song, "-map", "0:a", "-f", "null", "-").stderr
    for facts in (encoder().probe(song), encoder().verify(song)):
        assert facts.video is None
        assert float(tone(facts).duration_seconds) == pytest.approx(1, abs=0.06)


def exif(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an EXIF orientation put in behind its first marker."""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize(
    ("orientation", "rotation", "shown"),
    [(1, 0, (160, 90)), (3, 180, (160, 90)), (6, 90, (90, 160)), (8, 90, (90, 160))],
)
def test_a_photo_turned_by_its_exif(tmp_path: Path, orientation: int, rotation: int, shown: tuple[int, int]) -> None:
    path = made(*SEEN, "-frames:v", "1", tmp_path / "a.jpg")
    path.write_bytes(exif(path.read_bytes(), orientation))
    video = picture(encoder().probe(path))
    assert (abs(video.rotation), video.shown_size) == (rotation, shown)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_film_turned_by_its_matrix(tmp_path: Path, rotation: int) -> None:
    flat = clip(tmp_path / "flat.mp4")
    turned = made("-display_rotation", rotation, "-i", flat, "-c", "copy", tmp_path / "a.mp4")
    video = picture(encoder().probe(turned))
    assert video.rotation % 360 == rotation
    assert video.shown_size == ((160, 90) if rotation == 180 else (90, 160))


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_an_uneven_rate_is_told_by_packets(tmp_path: Path, container: str) -> None:
    path = made(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=160x90:r=50:d=2",
        "-vf",
        "select='not(mod(n,7))+lt(n,20)'",
        "-fps_mode",
        "vfr",
        *X264,
        "-video_track_timescale",
        "90000",
        tmp_path / f"a.{container}",
    )
    video = picture(encoder().probe(path))
    assert video.variable_rate
    assert float(video.fps) == pytest.approx(video.frames / float(video.duration_seconds), rel=0.001)


@pytest.mark.parametrize("rate", ["24000/1001", "24", "25", "30000/1001", "30", "60000/1001", "60"])
@pytest.mark.parametrize("container", ["mp4", "mkv", "flv"])
def test_an_even_rate_is_exact_for_all_rounding(tmp_path: Path, rate: str, container: str) -> None:
    video = picture(encoder().probe(clip(tmp_path / f"a.{container}", fps=rate, seconds=3, sound=None)))
    assert (video.fps, video.variable_rate) == (Fraction(rate), False)


def test_a_header_that_lies_about_its_length(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mkv")
    body = bytearray(path.read_bytes())
    # Element 0x4489 of eight bytes: the duration in milliseconds.
    struct.pack_into(">d", body, body.index(b"\x44\x89\x88") + 3, 143_165_000.0)
    path.write_bytes(body)
    assert "Duration: 39:46:05" in bare("-v", "info", "-i", path, "-t", "0.1", "-f", "null", "-").stderr
    facts = encoder().verify(path)
    assert float(facts.duration_seconds) == pytest.approx(1, abs=0.05)
    assert picture(facts).frames == 24


def test_an_empty_track_hides_nothing(tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.mp4")
    mute = made("-i", whole, "-c", "copy", "-bsf:a", "noise=drop=1", tmp_path / "mute.mp4")
    blind = made("-i", whole, "-c", "copy", "-bsf:v", "noise=drop=1", tmp_path / "blind.mp4")
    facts = encoder().verify(mute)
    assert (picture(facts).frames, facts.audio) == (24, None)
    facts = encoder().verify(blind)
    assert facts.video is None
    assert float(tone(facts).duration_seconds) == pytest.approx(1, abs=0.06)


def test_sound_of_no_known_kind_hides_no_picture(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4")
    body = path.read_bytes()
    # The sound is the last track: without its sample description nothing says what it is.
    description = body.rindex(b"stsd")
    path.write_bytes(body[:description] + b"free" + body[description + 4 :])
    assert bare("-i", path, "-c", "copy", "-f", "framehash", "-").returncode != 0
    facts = encoder().verify(path)
    assert (picture(facts).frames, facts.audio) == (24, None)


def test_a_file_of_no_length_is_refused(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", coded=("-movflags", "frag_keyframe+empty_moov"))
    body = path.read_bytes()
    path.write_bytes(body[: body.index(b"moof") - 4])
    with pytest.raises(BadMedia):
        encoder().probe(path)


def test_what_an_edit_list_hides_is_not_counted(tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.mp4", seconds=2, coded=("-g", "48"))
    cut = made("-ss", "0.5", "-i", whole, "-c", "copy", tmp_path / "a.mp4")
    facts = encoder().verify(cut)
    probed = picture(encoder().probe(cut))
    assert (probed.frames, probed.hidden, probed.key_frames) == (picture(facts).frames, 12, 0)
    assert probed.frames == 36
    assert float(facts.duration_seconds) == pytest.approx(1.5, abs=0.05)


def test_unknown_pixels_are_square_and_known_ones_kept(tmp_path: Path) -> None:
    unknown = made(*SEEN, "-vf", "setsar=0", *X264, tmp_path / "a.mp4")
    known = made(*SEEN, "-vf", "setsar=64/45", *X264, tmp_path / "b.mp4")
    assert picture(encoder().probe(unknown)).sar == 1
    assert picture(encoder().probe(known)).sar == Fraction(64, 45)


@pytest.mark.parametrize(
    ("matrix", "primaries", "transfer", "range_", "hdr"),
    [
        ("bt709", "bt709", "bt709", "tv", ""),
        ("smpte170m", "smpte170m", "smpte170m", "pc", ""),
        ("bt2020nc", "bt2020", "smpte2084", "tv", "pq"),
        ("bt2020nc", "bt2020", "arib-std-b67", "tv", "hlg"),
    ],
)
def test_colours(tmp_path: Path, matrix: str, primaries: str, transfer: str, range_: str, hdr: str) -> None:
    tags = f"setparams=range={range_}:colorspace={matrix}:color_primaries={primaries}:color_trc={transfer}"
    depth = 10 if hdr else 8
    path = made(*SEEN, "-vf", f"format=yuv420p{'10le' if hdr else ''},{tags}", "-c:v", "libx264", tmp_path / "a.mp4")
    video = picture(encoder().probe(path))
    assert (video.matrix, video.primaries, video.transfer, video.range) == (matrix, primaries, transfer, range_)
    assert (video.hdr, video.bit_depth) == (hdr, depth)
    assert video.profile == ("High 10" if hdr else "High")


def test_all_names_of_colours_are_known() -> None:
    """By what FFmpeg's own filter takes; its many names of one range are written as tv and pc."""
    text = subprocess.run([FFMPEG, "-hide_banner", "-h", "filter=setparams"], capture_output=True, text=True).stdout
    for option, name in [
        ("color_primaries", "color_primaries"),
        ("color_trc", "color_trc"),
        ("colorspace", "color_space"),
    ]:
        values = re.search(rf"^   {option} +<int>.*\n((?:     .*\n)+)", text, re.M)
        assert values
        named = {line.split()[0] for line in values[1].splitlines()}
        assert named - {"auto", "unknown"} == set(FFMPEG_NAMES[name])


@pytest.mark.parametrize("cut", ["color_range:pc", "color_primaries:bt2020", "color_trc:arib-std-b67", "type:I "])
@pytest.mark.parametrize("said", ["n:0 pts:0 pts_time:0 fmt:fltp", "Output #1, null, to 'pipe:':", "3 frames"])
def test_another_thread_s_words_in_a_line_change_nothing(tmp_path: Path, cut: str, said: str) -> None:
    """A run in a thousand looks like this on a busy machine; FFmpeg leaves the prefix out then."""
    tags = "setparams=range=pc:colorspace=bt2020nc:color_primaries=bt2020:color_trc=arib-std-b67"
    path = made(*SEEN, "-vf", f"format=yuv420p10le,{tags}", "-c:v", "libx264", tmp_path / "a.mp4")
    run = subprocess.run([FFMPEG, *probe_command(path)], capture_output=True, text=True, check=True)
    torn = run.stderr.replace(cut, f"{cut}{said}\n")
    assert torn != run.stderr
    assert parse_probe(run.stdout, torn) == parse_probe(run.stdout, run.stderr)


@pytest.mark.parametrize(
    ("pixel_format", "depth", "alpha"),
    [("rgb24", 8, False), ("rgba", 8, True), ("rgb48be", 16, False), ("rgba64be", 16, True), ("gray16be", 16, False)],
)
def test_depth_and_transparency(tmp_path: Path, pixel_format: str, depth: int, alpha: bool) -> None:
    video = picture(encoder().probe(made(*SEEN, "-frames:v", "1", "-pix_fmt", pixel_format, tmp_path / "a.png")))
    assert (video.pixel_format, video.bit_depth, video.alpha) == (pixel_format, depth, alpha)


@pytest.mark.parametrize(
    ("layout", "channels"),
    [("mono", 1), ("stereo", 2), ("3.0", 3), ("quad", 4), ("5.0", 5), ("5.1", 6), ("6.1", 7), ("7.1", 8)],
)
def test_channels_of_every_count(tmp_path: Path, layout: str, channels: int) -> None:
    path = made("-f", "lavfi", "-i", f"anullsrc=r=48000:cl={layout}:d=1", tmp_path / "a.wav")
    assert (tone(encoder().probe(path)).channels, tone(encoder().probe(path)).layout) == (channels, layout)


def test_channels_nobody_named(tmp_path: Path) -> None:
    path = made(
        "-f", "lavfi", "-i", "aevalsrc=0|0|0|0|0|0|0|0|0|0|0:s=48000:d=1", "-c:a", "pcm_s16le", tmp_path / "a.mkv"
    )
    assert tone(encoder().probe(path)).channels == 11


def test_sound_starts_behind_its_priming(tmp_path: Path) -> None:
    mp4, mp3 = clip(tmp_path / "a.mp4"), made(*TONE, tmp_path / "a.mp3")
    late = made(
        "-i", mp4, "-itsoffset", "0.3", "-i", mp4, "-map", "0:v", "-map", "1:a", "-c", "copy", tmp_path / "b.mp4"
    )
    assert tone(encoder().probe(mp4)).start_seconds == 0
    assert float(tone(encoder().probe(mp3)).start_seconds) == pytest.approx(1105 / 48000, abs=0.0001)
    assert float(tone(encoder().probe(late)).start_seconds) == pytest.approx(0.3, abs=0.025)


def test_of_several_videos_the_longest_counts(tmp_path: Path) -> None:
    short, long = clip(tmp_path / "short.mp4", size="64x64", seconds=0.1), clip(tmp_path / "long.mp4")
    both = made("-i", short, "-i", long, "-map", "0:v", "-map", "1:v", "-map", "1:a", "-c", "copy", tmp_path / "a.mp4")
    facts = encoder().verify(both)
    assert (picture(facts).width, picture(facts).frames, picture(facts).stream) == (160, 24, 1)
