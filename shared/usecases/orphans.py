"""What nobody owns any more in the bucket: uploads never finished, derived files no row names, what came in and
was never cleared away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from shared.ports import Clock, MediaStore, Records, StoredObject

UPLOAD_AGE = timedelta(days=1)
OBJECT_AGE = timedelta(hours=2)
PAGE = 500


@dataclass
class Orphans:
    """One page of each prefix a pass; the next pass goes on behind it, and from the start after the last."""

    records: Records
    media: MediaStore
    clock: Clock
    _seen: dict[str, str] = field(default_factory=dict)

    def remove(self) -> dict[str, int]:
        """How many of each were removed. Raises DependencyDown."""
        now = self.clock.now()
        return {
            "uploads": self.media.abort_uploads(now - UPLOAD_AGE),
            "derived": self._remove("derived/", now - OBJECT_AGE, self._unnamed),
            "incoming": self._remove("incoming/", now - OBJECT_AGE, self._of_ended_jobs),
        }

    def _remove(self, prefix: str, before: datetime, orphans: Callable[[Iterable[str]], Set[str]]) -> int:
        page: list[StoredObject] = list(self.media.page(prefix, self._seen.get(prefix, ""), PAGE))
        self._seen[prefix] = page[-1].key if len(page) == PAGE else ""
        old = [found.key for found in page if found.modified_at < before]
        gone = sorted(orphans(old)) if old else []
        self.media.delete(gone)
        return len(gone)

    def _unnamed(self, keys: Iterable[str]) -> Set[str]:
        with self.records.transaction() as tx:
            return set(keys) - tx.named_keys(list(keys))

    def _of_ended_jobs(self, keys: Iterable[str]) -> Set[str]:
        jobs = {key: _job_of(key) for key in keys}
        with self.records.transaction() as tx:
            unfinished = tx.unfinished([job_id for job_id in jobs.values() if job_id is not None])
        return {key for key, job_id in jobs.items() if job_id not in unfinished}


def _job_of(key: str) -> UUID | None:
    try:
        return UUID(key.split("/")[1])
    except (ValueError, IndexError):
        return None
