"""What the minute sweep looks for. Rows another sweep holds are skipped."""

from __future__ import annotations

from collections.abc import Sequence, Set
from uuid import UUID

from shared.adapters.postgres.rows import ATTEMPT_COLUMNS, JOB_COLUMNS, Rows, to_attempt, to_job
from shared.domain.jobs import Attempt, Job

_JOBS = ", ".join(JOB_COLUMNS)
_OPEN = "status IN ('pending', 'generating', 'processing')"
# A job that waits for a file to be uploaded is looked after less often: only the message of its arrival may be lost.
_NOT_AWAITED = "(kind <> 'upload' OR result ? 'incoming' OR updated_at < now() - interval '10 minutes')"
# One whose sources are still fetched goes on with their end.
_FETCHED = "NOT EXISTS (SELECT FROM vsl.source_fetches f WHERE f.job_id = vsl.jobs.id AND f.state = 'waiting')"
_SETTLE_FIRST_SECONDS = 5
_UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class SweepRows(Rows):
    """Statements of `reconcile`."""

    def lapsed(self, limit: int) -> Sequence[Job]:
        # Without a lease and still for a minute: its message was lost with its queue.
        return self._jobs(
            f"{_OPEN} AND {_NOT_AWAITED} AND {_FETCHED}"
            " AND (lease_until < now() OR (lease_until IS NULL AND updated_at < now() - interval '60 seconds'"
            " AND NOT EXISTS (SELECT FROM vsl.provider_attempts a WHERE a.job_id = vsl.jobs.id"
            " AND a.state NOT IN ('rejected', 'finished'))))",
            limit,
        )

    def overdue(self, limit: int) -> Sequence[Job]:
        return self._jobs(f"{_OPEN} AND deadline_at < now()", limit)

    def attempts_to_check(self, limit: int) -> Sequence[Attempt]:
        rows = self.all(
            f"SELECT {', '.join(ATTEMPT_COLUMNS)} FROM vsl.provider_attempts "
            "WHERE state IN ('written', 'claimed', 'accepted') AND next_check_at <= now() "
            "ORDER BY next_check_at LIMIT %(limit)s",
            {"limit": limit},
        )
        return [to_attempt(row) for row in rows]

    def unpublished(self, limit: int) -> Sequence[Job]:
        return self._jobs(
            f"published_version < version AND updated_at < now() - interval '{_SETTLE_FIRST_SECONDS} seconds'",
            limit,
        )

    def mark_published(self, job_id: UUID, version: int) -> None:
        self.run(
            "UPDATE vsl.jobs SET published_version = %(version)s WHERE id = %(id)s AND published_version < %(version)s",
            {"id": job_id, "version": version},
        )

    def _jobs(self, where: str, limit: int) -> Sequence[Job]:
        rows = self.all(
            f"SELECT {_JOBS} FROM vsl.jobs WHERE {where} ORDER BY updated_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED",
            {"limit": limit},
        )
        return [to_job(row) for row in rows]

    def jobs_to_show(self, after: UUID | None, limit: int) -> Sequence[Job]:
        rows = self.all(
            f"SELECT {_JOBS} FROM vsl.jobs WHERE (%(after)s::uuid IS NULL OR id > %(after)s) "
            "AND (completed_at IS NULL OR completed_at > now() - interval '7 days') ORDER BY id LIMIT %(limit)s",
            {"after": after, "limit": limit},
        )
        return [to_job(row) for row in rows]

    def jobs_by_id(self, job_ids: Sequence[UUID]) -> Sequence[Job]:
        rows = self.all(f"SELECT {_JOBS} FROM vsl.jobs WHERE id = ANY(%(ids)s)", {"ids": list(job_ids)})
        return [to_job(row) for row in rows]

    def named_keys(self, keys: Sequence[str]) -> Set[str]:
        rows = self.all(
            "SELECT key FROM vsl.storage_operations WHERE key = ANY(%(keys)s) AND operation <> 'delete' "
            "UNION SELECT s3_key FROM vsl.jobs WHERE s3_key = ANY(%(keys)s)",
            {"keys": list(keys)},
        )
        return {row["key"] for row in rows}

    def unfinished(self, job_ids: Sequence[UUID]) -> Set[UUID]:
        rows = self.all(
            "SELECT id FROM vsl.jobs WHERE id = ANY(%(ids)s) AND status IN ('pending', 'generating', 'processing')",
            {"ids": list(job_ids)},
        )
        return {row["id"] for row in rows}

    def ended_in_vain(self, job_ids: Sequence[UUID]) -> Set[UUID]:
        rows = self.all(
            "SELECT id FROM vsl.jobs WHERE id = ANY(%(ids)s) AND status IN ('failed', 'cancelled', 'timeout')",
            {"ids": list(job_ids)},
        )
        return {row["id"] for row in rows}

    def log_removals(self, bucket: str, keys: Sequence[str]) -> None:
        # A key's UUIDs are its account and its job, or its job alone; a digest is none of them.
        self.run(
            "INSERT INTO vsl.storage_operations (account_id, job_id, operation, bucket, key, success) "
            "SELECT coalesce(j.account_id, a.id), j.id, 'delete', %(bucket)s, k, true "
            "FROM unnest(%(keys)s::text[]) AS k "
            "CROSS JOIN LATERAL (SELECT array_agg(part::uuid) AS ids FROM unnest(string_to_array(k, '/')) AS part "
            f"WHERE part ~ '{_UUID}') AS named "
            "LEFT JOIN vsl.jobs j ON j.id = ANY(named.ids) LEFT JOIN vsl.accounts a ON a.id = ANY(named.ids)",
            {"bucket": bucket, "keys": list(keys)},
        )

    def sweep_position(self, sweep: str) -> str:
        row = self.one("SELECT position FROM vsl.sweep_positions WHERE sweep = %(sweep)s", {"sweep": sweep})
        return str(row["position"]) if row else ""

    def set_sweep_position(self, sweep: str, position: str) -> None:
        self.run(
            "INSERT INTO vsl.sweep_positions (sweep, position) VALUES (%(sweep)s, %(position)s) "
            "ON CONFLICT (sweep) DO UPDATE SET position = %(position)s",
            {"sweep": sweep, "position": position},
        )
