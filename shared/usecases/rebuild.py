"""The live view and the cache from the truth: whatever they hold is replaced, older or wrongly newer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.domain.errors import InvalidRequest, Mistake
from shared.domain.jobs import Job, snapshot
from shared.ports import LiveView, Records, StatusCache

PAGE = 200
_JOBS, _VIEWS = "jobs", "views"


@dataclass(frozen=True, slots=True)
class Rebuilder:
    """First every job that a reader may ask the live view for, then whatever else the view holds."""

    records: Records
    live: LiveView
    cache: StatusCache

    def page(self, cursor: str | None) -> dict[str, Any]:
        """Mends one page: {published, removed, cursor}; `cursor` is where to go on, None at the end.

        Raises DependencyDown, InvalidRequest (no such cursor).
        """
        phase, after = _parsed(cursor or f"{_JOBS}:")
        return self._jobs(after) if phase == _JOBS else self._views(after)

    def _jobs(self, after: UUID | None) -> dict[str, Any]:
        with self.records.transaction() as tx:
            jobs = tx.jobs_to_show(after, PAGE)
        self._publish(jobs)
        following = f"{_JOBS}:{jobs[-1].id}" if len(jobs) == PAGE else f"{_VIEWS}:"
        return {"published": len(jobs), "removed": 0, "cursor": following}

    def _views(self, after: UUID | None) -> dict[str, Any]:
        versions, following = self.live.page(str(after) if after else None, PAGE)
        with self.records.transaction() as tx:
            jobs = tx.jobs_by_id(list(versions))
        wrong = [job for job in jobs if job.version != versions[job.id]]
        self._publish(wrong)
        strangers = versions.keys() - {job.id for job in jobs}
        for job_id in strangers:
            self.live.remove(job_id)
        cursor = f"{_VIEWS}:{following}" if following else None
        return {"published": len(wrong), "removed": len(strangers), "cursor": cursor}

    def _publish(self, jobs: Sequence[Job]) -> None:
        """Again for each that moved meanwhile: its own snapshot may have been newer than the one put over it."""
        while jobs:
            for job in jobs:
                self._replace(job)
            shown = {job.id: job.version for job in jobs}
            with self.records.transaction() as tx:
                jobs = [job for job in tx.jobs_by_id(list(shown)) if job.version != shown[job.id]]

    def _replace(self, job: Job) -> None:
        view = snapshot(job)
        self.live.replace(view)
        if self.cache.get(job.id) is not None:
            self.cache.replace(view)


def _parsed(cursor: str) -> tuple[str, UUID | None]:
    phase, _, after = cursor.partition(":")
    try:
        if phase in (_JOBS, _VIEWS):
            return phase, UUID(after) if after else None
    except ValueError:
        pass
    problem = "must be a cursor that an earlier page has named"
    raise InvalidRequest(f"after {problem}.", details=[Mistake("after", problem)])
