"""The probe against real files; every quirk of theirs is made anew in `test_ffmpeg_probe.py`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from shared.domain.errors import BadMedia
from shared.media.probe import AudioFacts, VideoFacts
from tests.footage import encoder
from tests.sample_media import SHELF, manifest

# What this FFmpeg reads otherwise than the one the list was written with: newer decoders, and damage refused.
READS_NOW = {"iss634.webp", "sample_still_photo.heic", "sample_vvc.mp4"}
REFUSED = {"mode_16bit.png", "100kB-garbage-prefix.mp3"}
TURNED = {"Landscape_6.jpg": -90, "Portrait_8.jpg": 90, "exif_imagemagick_orientation.png": -180}


def same_picture(name: str, found: VideoFacts, right: dict[str, Any]) -> None:
    assert (found.codec, found.width, found.height) == (right["codec"], right["width"], right["height"])
    assert found.pixel_format == right["pix_fmt"]
    assert found.rotation == TURNED.get(name, right["rotation"])
    assert found.transfer == (right["color_transfer"] or found.transfer)
    if right.get("frames"):
        assert found.frames == right["frames"]
        assert float(found.duration_seconds) == pytest.approx(right["video_span_s"], abs=0.04)
        assert found.variable_rate == (right["max_delta"] - right["min_delta"] > 0.003)


def same_sound(found: AudioFacts, right: dict[str, Any]) -> None:
    assert (found.codec, found.sample_rate, found.channels) == (right["codec"], right["sample_rate"], right["channels"])
    assert float(found.start_seconds) == pytest.approx(right["start"] or 0, abs=0.07)
    assert float(found.duration_seconds) == pytest.approx(right["decoded_s"], abs=0.16)


FILES = [file for file in manifest()["files"] if file["kind"] != "subtitle"]


@pytest.mark.parametrize("right", FILES, ids=[file["file"] for file in FILES])
def test_a_real_file(tmp_path: Path, right: dict[str, Any]) -> None:
    name = right["file"]
    path = tmp_path / "in-0"
    shutil.copyfile(SHELF / name, path)
    opens = right["status"] in ("ok", "decodes_with_errors")
    if name in REFUSED or not (opens or name in READS_NOW):
        with pytest.raises(BadMedia):
            encoder().verify(path)
        return
    facts = encoder().probe(path)
    pictures = [video for video in right["video"] if not video["attached_pic"]]
    sounds = [audio for audio in right["audio"] if audio["codec"]]
    if name not in READS_NOW:
        assert (facts.video is not None, facts.audio is not None) == (bool(pictures), bool(sounds))
    if facts.video is not None and pictures and name not in READS_NOW:
        same_picture(name, facts.video, pictures[0])
    if facts.audio is not None and sounds:
        same_sound(facts.audio, sounds[0])
    if right["status"] == "ok":
        assert encoder().verify(path).decoded is not None
