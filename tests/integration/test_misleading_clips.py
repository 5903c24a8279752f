"""Clips that a reader may take for less than they are: told or read whole, never made into a shorter film."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.domain.errors import BadMedia
from shared.media.clip import read_clip
from shared.media.target import Wishes
from shared.usecases.object_source import FileSource
from tests.footage import clip, compiled, encoder, made, picture
from tests.memory_media import MemoryMedia

INDEX_FIRST = ("-movflags", "+faststart", "-g", "12")


def backwards(path: Path, result: Path) -> Path:
    """The same clip with its chunks of pictures lying in the file from the last to the first."""
    body, tables = bytearray(path.read_bytes()), read_clip(FileSource(path)).picture
    assert tables is not None
    old = list(tables.tables.chunk_offsets)
    spans = list(zip(old, tables.tables.chunk_ends, strict=True))
    moved, at = {}, len(body) + 8
    tail = bytearray()
    for begin, end in reversed(spans):
        moved[begin] = at + len(tail)
        tail += body[begin:end]
    # What stands in the index as a table of these offsets, and in no other place.
    table = b"".join(begin.to_bytes(4, "big") for begin in old)
    place = body.index(table)
    body[place : place + len(table)] = b"".join(moved[begin].to_bytes(4, "big") for begin in old)
    result.write_bytes(bytes(body) + (len(tail) + 8).to_bytes(4, "big") + b"mdat" + bytes(tail))
    return result


def test_pictures_that_lie_backwards_are_all_in_the_film(tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.mp4", seconds=4, size="320x180", coded=INDEX_FIRST)
    odd = backwards(whole, tmp_path / "odd.mp4")
    assert picture(encoder().verify(odd)).frames == 96

    film, path = compiled([odd], tmp_path, Wishes(reencode=True))

    assert (film.plan.strategy, picture(encoder().verify(path)).frames) == ("encode", 96)
    assert film.seconds == pytest.approx(4)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("beside", ["alone", "another size"])
def test_a_clip_that_is_cut_off_is_named(tmp_path: Path, container: str, beside: str) -> None:
    coded = INDEX_FIRST if container == "mp4" else ()
    body = clip(tmp_path / f"whole.{container}", seconds=4, size="320x180", coded=coded).read_bytes()
    cut = tmp_path / f"cut.{container}"
    cut.write_bytes(body[: len(body) // 2])
    others = [] if beside == "alone" else [clip(tmp_path / "other.mp4", seconds=8)]

    with pytest.raises(BadMedia, match=rf"Clip {len(others) + 1}.*cut off"):
        compiled([*others, cut], tmp_path)


def test_a_clip_that_is_damaged_is_no_part_of_a_film(tmp_path: Path) -> None:
    body = bytearray(clip(tmp_path / "whole.mp4", seconds=4, size="320x180", coded=INDEX_FIRST).read_bytes())
    half = len(body) // 2
    body[half:] = bytes((byte * 7 + 13) % 256 for byte in body[half:])
    (tmp_path / "damaged.mp4").write_bytes(body)
    other = clip(tmp_path / "other.mp4", seconds=8)

    with pytest.raises(BadMedia, match="Clip 2"):
        compiled([other, tmp_path / "damaged.mp4"], tmp_path)


def test_a_film_is_proved_without_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own sound, which lies in front of long clips, is no reason to fetch it as a file."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    mute = clip(tmp_path / "mute.mp4", seconds=12, sound=None)
    like = clip(tmp_path / "like.mp4", seconds=12)
    odd = made("-i", clip(tmp_path / "odd.mp4", seconds=12), "-c:v", "copy", "-c:a", "libmp3lame", tmp_path / "odd.mkv")
    larger = clip(tmp_path / "larger.mp4", seconds=9, size="320x180")

    for method, clips in (("tables", [like, mute]), ("decoded", [like, odd]), ("decoded", [larger, like])):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir(mode=0o700)
        film, _ = compiled(clips, folder)
        assert film.verification["method"] == method
        assert film.reckoning is not None


def test_work_that_was_found_teaches_nothing_about_time(tmp_path: Path) -> None:
    media = MemoryMedia()
    clips = [clip(tmp_path / "a.mp4"), clip(tmp_path / "b.mp4", size="320x180")]
    first, _ = compiled(clips, tmp_path, media=media)
    second, _ = compiled(clips, tmp_path, media=media)

    assert (first.reckoning is None, second.reckoning is None) == (False, True)
