"""The reader and the splice on real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.domain.errors import BadMedia
from shared.media.clip import read_clip
from shared.media.facts import clip_facts
from tests.sample_media import SHELF, manifest
from tests.unit.media.films import FileSource, shown, spliced

# The manifest counts pictures as shown through edits that hide some, or that only decoding finds.
COUNTED_OTHERWISE = {"iibbibb_editlist_videoonly.mp4", "sample_edit_list.mp4", "sample_vvc.mp4"}


def test_pictures_sizes_and_rates_are_those_a_decoder_finds() -> None:
    checked = 0
    for told in manifest()["files"]:
        if not told["file"].endswith((".mp4", ".mov")) or told["file"] in COUNTED_OTHERWISE or not told["video"]:
            continue
        found, decoded = clip_facts(read_clip(FileSource(SHELF / told["file"]))).video, told["video"][0]
        assert found is not None
        assert (found.codec, found.width, found.height, found.frames) == (
            decoded["codec"],
            decoded["width"],
            decoded["height"],
            decoded["frames"],
        ), told["file"]
        checked += 1
    assert checked > 20


def test_clips_of_one_tool_are_joined_picture_by_picture(tmp_path: Path) -> None:
    joined = 0
    for job in manifest()["jobs"]:
        paths = [SHELF / name for name in job.get("inputs", [])]
        if not job.get("lossless_join_possible") or any(path.suffix != ".mp4" for path in paths):
            continue
        if "mp3" in job["id"]:
            continue
        made = spliced(paths, tmp_path / "film.mp4")
        pictures = shown(tmp_path / "film.mp4")
        assert [one.hash for one in pictures] == [one.hash for path in paths for one in shown(path)]
        assert made.pictures == job["expected"]["frames"]
        assert made.duration_seconds == pytest.approx(
            job["expected"]["duration_s"], abs=job["expected"]["duration_tolerance_s"]
        )
        joined += 1
    assert joined >= 2


def test_every_file_is_read_or_refused_in_words() -> None:
    sentences = [refusal(path) for path in sorted(SHELF.iterdir())]
    assert all(one is None or one.endswith(".") for one in sentences)
    assert None in sentences


def refusal(path: Path) -> str | None:
    try:
        clip_facts(read_clip(FileSource(path)))
    except BadMedia as error:
        return error.sentence
    return None
