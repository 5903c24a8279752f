"""What tests of odd clips share: plain clips to change, films of them, the frames of either."""

from __future__ import annotations

from pathlib import Path

from shared.media.clip import Clip, read_clip
from shared.media.target import Wishes
from shared.usecases.film import Film
from shared.usecases.object_source import FileSource
from tests import mp4_surgery as mp4
from tests.footage import AS_IT_IS, compiled
from tests.unit.media.films import shown

MILLISECONDS = "-movie_timescale 1000"
NO_B = f"-bf 0 {MILLISECONDS}"
RE_ENCODED = Wishes(reencode=True)


def frames(path: Path) -> list[str]:
    return [one.hash for one in shown(path)]


def film_of(clips: list[Path], folder: Path, wishes: Wishes = AS_IT_IS) -> tuple[Film, Path]:
    place = folder / f"film-{len(list(folder.iterdir()))}"
    place.mkdir(mode=0o700)
    return compiled(clips, place, wishes)


def read(path: Path) -> Clip:
    return read_clip(FileSource(path))


def video(moov: list) -> list:
    return mp4.tracks(moov, b"vide")[0]


def audio(moov: list) -> list:
    return mp4.tracks(moov, b"soun")[0]
