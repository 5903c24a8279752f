"""What follows a commit: the outbox goes out, the live view and the cache are brought up to date.

None of it is needed for the truth: what fails here is done by the minute sweep.
"""

from __future__ import annotations

from uuid import UUID

from shared.domain.errors import DependencyDown
from shared.domain.jobs import Job, snapshot
from shared.observability import job_fields, logger
from shared.ports import LiveView, Queue, Records, StatusCache

BATCH = 100


class Aftermath:
    """Sends announcements and publishes snapshots after a commit."""

    def __init__(self, *, records: Records, queue: Queue, live: LiveView, cache: StatusCache) -> None:
        self._records, self._queue, self._live, self._cache = records, queue, live, cache

    def of(self, job: Job) -> Job:
        """Announces and publishes one job; returns it."""
        try:
            self.send(job.id)
            self.publish(job)
        except DependencyDown as error:
            logger.warning("aftermath_left_to_sweep", extra={**job_fields(job), "reason": error.code})
        return job

    def send(self, job_id: UUID | None = None) -> int:
        """Sends due announcements, of one job or of all; how many. Others' topics are left to the sweep."""
        with self._records.transaction() as tx:
            rows = [row for row in tx.unsent(job_id, BATCH) if self._queue.carries(row.topic)]
            for row in rows:
                self._queue.send(row.topic, row.body, row.delay_seconds)
            if rows:
                tx.mark_sent([row.id for row in rows])
        return len(rows)

    def publish(self, job: Job) -> None:
        """Writes the snapshot to the live view and the cache."""
        view = snapshot(job)
        self._cache.put(view)
        self._live.put(view)
        with self._records.transaction() as tx:
            tx.mark_published(job.id, job.version)
