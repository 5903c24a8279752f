"""Joins clips as the product does: the one place where the judge's code meets the engine."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.adapters.clock import SystemClock
from shared.domain.errors import ProductError
from shared.usecases.compile_film import wishes_of
from shared.usecases.film import Work
from shared.usecases.film_work import FilmWork
from shared.usecases.inspect_media import Place, look_through
from tests.footage import encoder
from tests.memory_media import MemoryMedia
from tests.odd_films.generating import OddClip, OddFilm


@dataclass(frozen=True)
class Joined:
    """A film in a file, how it was joined and which clips were encoded; or a refusal by code and sentence."""

    data: bytes = b""
    strategy: str = ""
    encoded: tuple[int, ...] = ()
    container: str = "mp4"
    code: str = ""
    sentence: str = ""


def joined(film: OddFilm) -> Joined:
    """The film the product makes. What is no refusal of the product's raises."""
    media = MemoryMedia()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), encoder(), lambda: None)
        try:
            sources = [_source(media, place, clip, inspected=film.inspected) for clip in film.clips]
            return _joined(media, place, sources, film.options)
        except ProductError as error:
            return Joined(code=error.code, sentence=error.sentence)


def _joined(
    media: MemoryMedia, place: Place, sources: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
) -> Joined:
    spec = Work(sources, wishes_of(options), "account", "job", "film", "thumbnail.jpg")
    work = FilmWork(media, SystemClock(), place, lambda *_: None, spec)
    made = work.make(work.plan())
    return Joined(media.objects[made.key][0], made.plan.strategy, tuple(made.plan.encoded), made.plan.container)


def _source(media: MemoryMedia, place: Place, clip: OddClip, *, inspected: bool) -> dict[str, Any]:
    """The clip in the bucket, as a job names it; with what inspection records of it where it was inspected."""
    key = f"clips/{clip.name}"
    media.put(key, clip.data, clip.content_type)
    source: dict[str, Any] = {"key": key, "thumbnailKey": "thumbnail.jpg"}
    if not inspected:
        return source
    path = place.folder / clip.name
    path.write_bytes(clip.data)
    stored = media.head(key)
    assert stored is not None
    decoded = {"etag": stored.etag, **look_through(place.encoder, path).record}
    path.unlink()
    return {**source, "sizeBytes": len(clip.data), "decoded": decoded}
