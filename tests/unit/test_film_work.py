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
from tests.footage import encoder
from tests.memory_media import MemoryMedia


def test_clips_that_do_not_fit_the_workplace_are_refused_unfetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = MemoryMedia()
    media.put("clip", b"no mp4" * 1000, "video/webm")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=11_999))
    place = Place(tmp_path, encoder(), lambda: None)
    work = FilmWork(media, SystemClock(), place, print, Work([{"key": "clip"}], Wishes(), "", "", ""))

    with pytest.raises(BadMedia) as refused:
        work.plan()

    assert refused.value.code == "too_large"
    assert list(tmp_path.iterdir()) == []
