"""Before anything is spent: what a compile would do, and what a clip is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.jobs import Caller
from shared.media.target import Wishes
from shared.ports import Clock, MediaStore, Records
from shared.usecases.compile_film import FilmMaker, wishes_of
from shared.usecases.compile_request import CompileRequest, body_asked
from shared.usecases.compile_videos import files_of, sources_of, with_decoded
from shared.usecases.film import Planned, Work
from shared.usecases.film_work import FilmWork
from shared.usecases.inspect_media import Place
from shared.usecases.shown_plan import shown_plan, shown_probe


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans and probes of what lies here; nothing is written anywhere."""

    records: Records
    media: MediaStore
    clock: Clock
    maker: FilmMaker

    def plan(self, request: CompileRequest, caller: Caller, place: Place) -> dict[str, Any]:
        """The plan as callers see it.

        Raises what `files_of` and `sources_of` do, and BadMedia naming the clip.
        """
        sources = self._sources(request.at_home(self.media), caller)
        planned = self._planned(sources, wishes_of(body_asked(request)), place)
        return shown_plan(sources, planned, self.maker.estimate(planned))

    def probe(self, request: CompileRequest, caller: Caller, place: Place) -> dict[str, Any]:
        """What one clip is. Raises as `plan` does."""
        sources = self._sources(request.at_home(self.media), caller)
        work = FilmWork(self.media, self.clock, place, _unheard, Work(sources, Wishes()))
        return shown_probe(work.look_closely())

    def _sources(self, request: CompileRequest, caller: Caller) -> list[dict[str, Any]]:
        files = files_of(request, caller, self.media)
        with self.records.transaction() as tx:
            return with_decoded(tx, sources_of(tx, request, caller, files), caller.account_id)

    def _planned(self, sources: Sequence[Mapping[str, Any]], wishes: Wishes, place: Place) -> Planned:
        return FilmWork(self.media, self.clock, place, _unheard, Work(sources, wishes)).plan()


def _unheard(_step: str, _percent: int) -> None:
    """Nobody waits for a plan long enough to be told how far it has come."""
