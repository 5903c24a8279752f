"""What a film's work refuses before it fetches anything, and what it makes of clips that are named more than once."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.adapters.clock import SystemClock
from shared.domain.errors import BadMedia
from shared.media.target import Wishes
from shared.usecases.film import Film, Work
from shared.usecases.film_work import FilmWork
from shared.usecases.inspect_media import Place
from tests.footage import clip, encoder, made
from tests.memory_media import MemoryMedia


@pytest.mark.parametrize("kind", ["damaged", "webm"])
def test_files_that_do_not_fit_the_workplace_are_refused_unfetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What can be read in one pass needs no room: an index that is cut off, and a film of WebM, do."""
    media, folder = MemoryMedia(), tmp_path / "workplace"
    folder.mkdir(mode=0o700)
    if kind == "damaged":
        body = clip(tmp_path / "clip.mp4").read_bytes()[:-500]
    else:
        body = made("-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.5", "-c:v", "libvpx", tmp_path / "a.webm").read_bytes()
    media.put("clip", body, "video/mp4")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * len(body) - 1))
    place = Place(folder, encoder(), lambda: None)
    work = FilmWork(media, SystemClock(), place, lambda *_: None, Work([{"key": "clip"}], Wishes(), key="film"))

    with pytest.raises(BadMedia) as refused:
        work.make(work.plan())

    assert refused.value.code == "too_large"
    assert list(folder.iterdir()) == []
    assert list(media.objects) == ["clip"]


class CountingMedia(MemoryMedia):
    """Counts the bytes that are read of each object."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes_read: Counter[str] = Counter()

    def read(self, key: str, offset: int, length: int, etag: str) -> bytes:
        data = super().read(key, offset, length, etag)
        self.bytes_read[key] += len(data)
        return data


@pytest.mark.parametrize("wishes", [Wishes(), Wishes(reencode=True)], ids=["joined", "encoded"])
def test_a_clip_that_is_named_often_is_read_as_one_named_once(tmp_path: Path, wishes: Wishes) -> None:
    body = clip(tmp_path / "clip.mp4").read_bytes()

    def read_for(times: int) -> int:
        media, folder = CountingMedia(), tmp_path / f"workplace-{times}"
        folder.mkdir(mode=0o700)
        media.put("clip", body, "video/mp4")
        place, named = Place(folder, encoder(), lambda: None), Work([{"key": "clip"}] * times, wishes, key="film")
        FilmWork(media, SystemClock(), place, lambda *_: None, named).plan()
        return media.bytes_read["clip"]

    assert read_for(7) == read_for(1) > 0


@pytest.mark.parametrize(("wishes", "strategy"), [(Wishes(), "splice"), (Wishes(reencode=True), "encode")])
def test_a_film_of_a_clip_that_is_named_often_is_that_of_as_many_clips(
    tmp_path: Path, wishes: Wishes, strategy: str
) -> None:
    body = clip(tmp_path / "clip.mp4").read_bytes()

    def film_of(*keys: str) -> tuple[Film, bytes, bytes]:
        media, folder = MemoryMedia(), tmp_path / "-".join(keys)
        folder.mkdir(mode=0o700)
        for key in keys:
            media.put(key, body, "video/mp4")
        named = Work([{"key": key} for key in keys], wishes, key="film", thumbnail_key="picture")
        work = FilmWork(media, SystemClock(), Place(folder, encoder(), lambda: None), lambda *_: None, named)
        film = work.make(work.plan())
        return film, media.objects[film.key][0], media.objects["picture"][0]

    (once, *bytes_of_once), (each, *bytes_of_each) = film_of("a", "a", "a"), film_of("a", "b", "c")

    assert bytes_of_once == bytes_of_each
    assert (once.verification, once.plan.strategy) == (each.verification, strategy)
    assert (once.seconds, once.size_bytes) == (each.seconds, each.size_bytes)
    assert round(once.seconds, 1) == 3 * 1.0
