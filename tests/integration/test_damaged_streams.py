"""Damaged clips: which of their streams it is, about when, and what to do; never a word of the file's author."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.adapters.ffmpeg_remedies import cut_off, remedy
from shared.domain.errors import BadMedia
from shared.media.mp4.reading import read_mp4
from shared.media.splice.payload import sample_places
from shared.media.target import Wishes
from shared.usecases.object_source import FileSource
from tests.footage import compiled, encoder, made, picture

VIDEO = {
    "h264": ("libx264", "-g", "12"),
    "hevc": ("libx265", "-x265-params", "log-level=0"),
    "vp9": ("libvpx-vp9", "-deadline", "realtime"),
    "av1": ("libsvtav1", "-preset", "12"),
    "mpeg4": ("mpeg4",),
}
AUDIO = {"aac": ("aac",), "mp3": ("libmp3lame",), "ac3": ("ac3",), "opus": ("libopus",), "flac": ("flac",)}


def whole(folder: Path, *, video: str = "h264", audio: str = "aac") -> Path:
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=24:d=3", "-f", "lavfi", "-i", "sine=440:r=48000:d=3")
    coded = ("-c:v", *VIDEO[video], "-pix_fmt", "yuv420p", "-c:a", *AUDIO[audio], "-ac", "2")
    return made(*inputs, *coded, folder / "whole.mp4")


def damaged(path: Path, handler: str) -> Path:
    """The clip with its two middle samples of a track overwritten, 1.5 s from its beginning."""
    track = next(one for one in read_mp4(FileSource(path)).movie.tracks if one.handler == handler)
    assert track.tables is not None
    spans = list(zip(sample_places(track.tables), track.tables.sizes.expanded(), strict=True))
    body, middle = bytearray(path.read_bytes()), len(spans) // 2
    for begin, size in spans[middle : middle + 2]:
        body[begin : begin + size] = b"\xff" * size
    result = path.with_name("damaged.mp4")
    result.write_bytes(body)
    return result


def refused(path: Path) -> str:
    with pytest.raises(BadMedia) as error:
        encoder().verify(path)
    return error.value.sentence


@pytest.mark.parametrize("audio", AUDIO)
def test_damaged_sound_is_said_to_be_damaged_and_when(tmp_path: Path, audio: str) -> None:
    assert refused(damaged(whole(tmp_path, audio=audio), "soun")).startswith("The sound is damaged at about 1.5 s: ")


@pytest.mark.parametrize("video", VIDEO)
def test_a_damaged_picture_is_said_to_be_damaged_and_when(tmp_path: Path, video: str) -> None:
    sentence = refused(damaged(whole(tmp_path, video=video), "vide"))
    assert sentence.startswith("The picture is damaged at about 1.")
    assert sentence.endswith("export the clip anew.")


@pytest.mark.parametrize(("handler", "kind"), [("soun", "sound"), ("vide", "picture")])
def test_a_film_of_a_damaged_clip_names_clip_and_stream(tmp_path: Path, handler: str, kind: str) -> None:
    clips = [whole(tmp_path), damaged(whole(tmp_path), handler)]
    with pytest.raises(BadMedia, match=rf"Clip 2: The {kind} is damaged"):
        compiled(clips, tmp_path, Wishes(reencode=True))


def test_a_codec_nobody_knows_is_no_riddle(tmp_path: Path) -> None:
    path = whole(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"avc1" + bytes(7) + b"\x01", b"xqzt" + bytes(7) + b"\x01"))
    assert refused(path).startswith("The picture is coded in a way that cannot be read: export the clip anew")


def test_an_encrypted_clip_is_said_to_be_damaged_or_encrypted(tmp_path: Path) -> None:
    key, name = "76a6c65c5ea762046bd749a2e632ccbb", "a7e61c373e219033c21091fa607bf3b8"
    how = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", key, "-encryption_kid", name)
    assert "encrypted" in refused(made("-i", whole(tmp_path), "-c", "copy", *how, tmp_path / "encrypted.mp4"))


def test_an_image_of_absurd_size_is_too_large(tmp_path: Path) -> None:
    body = bytearray(made("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", tmp_path / "a.png").read_bytes())
    body[16:24] = (60_000).to_bytes(4, "big") * 2
    (tmp_path / "huge.png").write_bytes(body)
    assert refused(tmp_path / "huge.png").startswith("The picture is too large")


@pytest.mark.parametrize(
    "note",
    ["File ended prematurely", "partial file", "[aist#0:1/aac @ 0x1] [dec:aac @ 0x1] Task finished with error code"],
)
def test_what_an_author_wrote_is_taken_for_no_fault(tmp_path: Path, note: str) -> None:
    noted = made("-i", whole(tmp_path), "-c", "copy", "-metadata", f"title={note}", tmp_path / "noted.mp4")
    assert picture(encoder().verify(noted)).frames == 72
    assert cut_off(f"    title : {note}\nStream mapping:\n  Stream #0:0") is None
    assert remedy(f"    title : {note}\nStream mapping:\nmoov atom not found").startswith(
        "The file is cut off or no media"
    )


def test_every_failure_has_a_remedy() -> None:
    assert "export the clip anew" in remedy("words that nobody expects")
