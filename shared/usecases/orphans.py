"""What nobody owns any more in the bucket: uploads never finished, derived files no row names, what came in and
was never cleared away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from shared.domain.storage_keys import is_inline_image, job_of_upload
from shared.ports import Clock, MediaStore, Records, StoredObject

# No function lives longer than 15 minutes: nobody works on what is older.
OLD = timedelta(hours=2)
PAGE = 500


@dataclass(frozen=True, slots=True)
class Orphans:
    """One page of each kind a pass; the next pass goes on behind it, and from the start after the last."""

    records: Records
    media: MediaStore
    clock: Clock

    def remove(self) -> dict[str, int]:
        """How many of each were removed; each is a row of `vsl.storage_operations`. Raises DependencyDown."""
        now = self.clock.now()
        return {
            "uploads": self._uploads(now - OLD),
            "derived": self._objects("derived/", now - OLD, self._unnamed),
            "incoming": self._objects("incoming/", now - OLD, self._of_ended_jobs),
            "fetched": self._objects("fetched/", now - OLD, self._not_awaited),
            "compiled": self._objects("compiled/", now - OLD, self._of_films_never_made),
            "uploaded": self._objects("uploads/", now - OLD, self._of_ended_uploads),
        }

    def _uploads(self, before: datetime) -> int:
        page = self.media.open_uploads("", self._position("uploads"), PAGE)
        stale = [upload for upload in page if upload.began_at < before]
        for upload in stale:
            self.media.abort_upload(upload)
        self._done("uploads", [upload.key for upload in page], [upload.key for upload in stale])
        return len(stale)

    def _objects(self, prefix: str, before: datetime, orphans: Callable[[Sequence[str]], Set[str]]) -> int:
        page: Sequence[StoredObject] = self.media.page(prefix, self._position(prefix), PAGE)
        old = [found.key for found in page if found.modified_at < before]
        gone = sorted(orphans(old)) if old else []
        self.media.delete(gone)
        self._done(prefix, [found.key for found in page], gone)
        return len(gone)

    def _position(self, sweep: str) -> str:
        with self.records.transaction() as tx:
            return tx.sweep_position(sweep)

    def _done(self, sweep: str, seen: Sequence[str], gone: Sequence[str]) -> None:
        with self.records.transaction() as tx:
            tx.log_removals(self.media.bucket, gone)
            tx.set_sweep_position(sweep, seen[-1] if len(seen) == PAGE else "")

    def _unnamed(self, keys: Sequence[str]) -> Set[str]:
        with self.records.transaction() as tx:
            return set(keys) - tx.named_keys(keys)

    def _not_awaited(self, keys: Sequence[str]) -> Set[str]:
        """A retry may go on with what was fetched for the job it repeats."""
        with self.records.transaction() as tx:
            return set(keys) - tx.keys_awaited(keys)

    def _of_ended_jobs(self, keys: Sequence[str]) -> Set[str]:
        return self._of_ended({key: _job_of(key) for key in keys})

    def _of_ended_uploads(self, keys: Sequence[str]) -> Set[str]:
        """What came after its job had ended; files that no job waits for are their owner's to keep."""
        jobs = {key: job_of_upload(key) for key in keys}
        ended = self._of_ended({key: job_id for key, job_id in jobs.items() if job_id is not None})
        return {*ended, *self._of_jobs_never_made({key: _job_in(key) for key in keys if is_inline_image(key)})}

    def _of_jobs_never_made(self, jobs: Mapping[str, UUID | None]) -> Set[str]:
        """Images that came inside requests which were refused afterwards."""
        wanted = [job_id for job_id in jobs.values() if job_id is not None]
        with self.records.transaction() as tx:
            made = {job.id for job in tx.jobs_by_id(wanted)}
        return {key for key, job_id in jobs.items() if job_id not in made}

    def _of_films_never_made(self, keys: Sequence[str]) -> Set[str]:
        """Written by jobs that were stopped before they had proved it."""
        jobs = {key: _job_in(key) for key in keys}
        with self.records.transaction() as tx:
            in_vain = tx.ended_in_vain([job_id for job_id in jobs.values() if job_id is not None])
        return {key for key, job_id in jobs.items() if job_id in in_vain}

    def _of_ended(self, jobs: Mapping[str, UUID | None]) -> Set[str]:
        with self.records.transaction() as tx:
            unfinished = tx.unfinished([job_id for job_id in jobs.values() if job_id is not None])
        return {key for key, job_id in jobs.items() if job_id not in unfinished}


def _job_of(key: str) -> UUID | None:
    try:
        return UUID(key.split("/")[1])
    except (ValueError, IndexError):
        return None


def _job_in(key: str) -> UUID | None:
    """The job of a key like `compiled/{account}/{script}/{job}/{name}`."""
    try:
        return UUID(key.split("/")[-2])
    except (ValueError, IndexError):
        return None
