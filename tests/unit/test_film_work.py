"""What a film's work refuses before it fetches anything."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.adapters.clock import SystemClock
from shared.domain.errors import BadMedia
from shared.media.target import Wishes
from shared.usecases.film import Work
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
