"""What follows a commit: the outbox goes out, the live view and the cache are brought up to date.

None of it is needed for the truth: what fails here is done by the minute sweep.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from uuid import UUID

from shared.domain.errors import DependencyDown
from shared.domain.jobs import Job, snapshot
from shared.domain.messages import TOPICS
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
        """Sends due announcements, of one job or of all; how many. Others' topics are left to the sweep.

        A row that was sent and not marked, as the process died between, is sent again by the sweep.
        """
        topics = [topic for topic in TOPICS if self._queue.carries(topic)]
        with self._records.transaction() as tx:
            # So many of each: one queue that does not answer must not fill what all share.
            rows = [row for topic in topics for row in tx.claim_unsent(job_id, [topic], BATCH)]
        sent: list[int] = []
        down: DependencyDown | None = None
        for topic, group in groupby(sorted(rows, key=attrgetter("topic")), key=attrgetter("topic")):
            of_topic = list(group)
            try:
                taken = self._queue.send(topic, [(row.body, row.delay_seconds) for row in of_topic])
            except DependencyDown as error:
                # One queue that does not answer keeps nothing from the others.
                down = error
                continue
            sent += [of_topic[place].id for place in taken]
        if rows:
            with self._records.transaction() as tx:
                tx.mark_sent(sent)
                tx.release_unsent([row.id for row in rows if row.id not in sent])
        if down is not None:
            raise down
        return len(sent)

    def publish(self, job: Job) -> None:
        """Writes the snapshot to the live view and the cache."""
        view = snapshot(job)
        self._cache.put(view)
        self._live.put(view)
        with self._records.transaction() as tx:
            tx.mark_published(job.id, job.version)
