"""The live view and the cache from the truth: whatever they hold is replaced, older or wrongly newer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.domain.jobs import snapshot
from shared.ports import LiveView, Records, StatusCache

PAGE = 200


@dataclass(frozen=True, slots=True)
class Rebuilder:
    """Page after page over all jobs that a reader may ask the live view for."""

    records: Records
    live: LiveView
    cache: StatusCache

    def page(self, after: UUID | None) -> dict[str, Any]:
        """Writes one page; `cursor` is where to go on, None at the end. Raises DependencyDown."""
        with self.records.transaction() as tx:
            jobs = list(tx.jobs_after(after, PAGE))
        for job in jobs:
            self.live.forget(job.id)
            self.cache.forget(job.id)
            if job.erased_at is None:
                self.live.put(snapshot(job))
        return {"published": len(jobs), "cursor": str(jobs[-1].id) if len(jobs) == PAGE else None}
