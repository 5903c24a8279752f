"""What the minute sweep looks for, by ids; a row that another sweep holds is skipped."""

from __future__ import annotations

from collections.abc import Sequence, Set
from uuid import UUID

from shared.adapters.postgres.rows import JOB_COLUMNS, Rows, to_job
from shared.adapters.postgres.rows import OPEN as _OPEN
from shared.domain.jobs import Job, JobStatus, LeanJob

_JOBS = ", ".join(JOB_COLUMNS)
# A job that waits for a file to be uploaded is looked after less often: only the message of its arrival may be lost.
_NOT_AWAITED = "(kind <> 'upload' OR result ? 'incoming' OR updated_at < now() - interval '10 minutes')"
# One whose sources are still fetched goes on with their end.
_FETCHED = "NOT EXISTS (SELECT FROM vsl.source_fetches f WHERE f.job_id = vsl.jobs.id AND f.state = 'waiting')"
_SETTLE_FIRST_SECONDS = 5
_NOT_SET_BACK = "NOT EXISTS (SELECT FROM vsl.set_back_rows s WHERE s.row_id = {row_id} AND s.until > now())"
_FETCH_NOT_SET_BACK = _NOT_SET_BACK.format(row_id="f.job_id || ' ' || f.number")
_ATTEMPT_NOT_SET_BACK = _NOT_SET_BACK.format(row_id="vsl.provider_attempts.job_id || ' ' || vsl.provider_attempts.id")
_JOB_NOT_SET_BACK = _NOT_SET_BACK.format(row_id="vsl.jobs.id::text")
_NO_CALL = (
    "NOT EXISTS (SELECT FROM vsl.provider_attempts a WHERE a.job_id = vsl.jobs.id"
    " AND a.state NOT IN ('rejected', 'finished'))"
)
# Its worker was killed; or it has no worker, waits for no turn and has been still for so long that its message may
# be lost.
_DUE = (
    f"{_OPEN} AND {_JOB_NOT_SET_BACK} AND {_NOT_AWAITED} AND {_FETCHED} AND (lease_until < now()"
    f" OR (lease_until IS NULL AND check_at <= now() AND waits_for IS NULL AND {_NO_CALL}))"
)
_OVERDUE = f"{_OPEN} AND deadline_at < now() AND {_JOB_NOT_SET_BACK}"
_UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class SweepRows(Rows):
    """Statements of `reconcile`."""

    def due_jobs(self, limit: int) -> Sequence[UUID]:
        return self._ids(f"{_DUE} ORDER BY check_at", limit)

    def lock_due_job(self, job_id: UUID) -> LeanJob | None:
        return self._lean(f"id = %(id)s AND {_DUE}", job_id)

    def requeue(self, job_id: UUID) -> None:
        # Each time twice as late: a message that waits in a long queue is not lost.
        self.run(
            "UPDATE vsl.jobs SET lease_owner = NULL, lease_until = NULL, checks = least(checks + 1, 5), "
            "check_at = now() + make_interval(secs => 60 * 2 ^ least(checks + 1, 5)) WHERE id = %(id)s",
            {"id": job_id},
        )

    def overdue(self, limit: int) -> Sequence[UUID]:
        return self._ids(f"{_OVERDUE} ORDER BY deadline_at", limit)

    def lock_overdue(self, job_id: UUID) -> Job | None:
        row = self.one(
            f"SELECT {_JOBS} FROM vsl.jobs WHERE id = %(id)s AND {_OVERDUE} FOR UPDATE SKIP LOCKED", {"id": job_id}
        )
        return to_job(row) if row else None

    def oldest_overdue_seconds(self) -> float:
        # Those that are set back as well: they are what somebody has to look at.
        row = self.one(
            "SELECT coalesce(extract(epoch FROM now() - min(deadline_at)), 0) AS seconds FROM vsl.jobs "
            f"WHERE {_OPEN} AND deadline_at < now()",
            {},
        )
        assert row is not None
        return float(row["seconds"])

    def set_back(self, row_id: str, seconds: int) -> None:
        self.run(
            "INSERT INTO vsl.set_back_rows (row_id, until) VALUES (%(id)s, now() + make_interval(secs => %(seconds)s)) "
            "ON CONFLICT (row_id) DO UPDATE SET until = excluded.until",
            {"id": row_id, "seconds": seconds},
        )

    def attempts_to_check(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        rows = self.all(
            "SELECT job_id, id FROM vsl.provider_attempts "
            "WHERE state IN ('written', 'claimed', 'accepted') AND next_check_at <= now() "
            f"AND {_ATTEMPT_NOT_SET_BACK} ORDER BY next_check_at LIMIT %(limit)s",
            {"limit": limit},
        )
        return [(row["job_id"], row["id"]) for row in rows]

    def due_fetches(self, limit: int) -> Sequence[tuple[UUID, int]]:
        rows = self.all(
            "SELECT job_id, number FROM vsl.source_fetches f WHERE state = 'waiting' AND due_at <= now() "
            f"AND {_FETCH_NOT_SET_BACK} ORDER BY due_at LIMIT %(limit)s",
            {"limit": limit},
        )
        return [(row["job_id"], row["number"]) for row in rows]

    def unpublished(self, limit: int) -> Sequence[UUID]:
        return self._ids(
            f"published_version < version AND updated_at < now() - interval '{_SETTLE_FIRST_SECONDS} seconds' "
            f"AND {_JOB_NOT_SET_BACK} ORDER BY updated_at",
            limit,
        )

    def job_of_any_account(self, job_id: UUID) -> Job | None:
        row = self.one(f"SELECT {_JOBS} FROM vsl.jobs WHERE id = %(id)s", {"id": job_id})
        return to_job(row) if row else None

    def accounts_waiting(self, lane: str) -> Sequence[UUID]:
        rows = self.all(
            f"SELECT DISTINCT account_id FROM vsl.jobs WHERE waits_for = %(lane)s AND {_OPEN}", {"lane": lane}
        )
        return [row["account_id"] for row in rows]

    def mark_published(self, job_id: UUID, version: int) -> None:
        self.run(
            "UPDATE vsl.jobs SET published_version = %(version)s WHERE id = %(id)s AND published_version < %(version)s",
            {"id": job_id, "version": version},
        )

    def _ids(self, where: str, limit: int) -> Sequence[UUID]:
        rows = self.all(f"SELECT id FROM vsl.jobs WHERE {where} LIMIT %(limit)s", {"limit": limit})
        return [row["id"] for row in rows]

    def _lean(self, where: str, job_id: UUID) -> LeanJob | None:
        row = self.one(
            "SELECT id, account_id, kind, status, result ? 'incoming' AS has_incoming FROM vsl.jobs "
            f"WHERE {where} FOR UPDATE SKIP LOCKED",
            {"id": job_id},
        )
        return LeanJob(**{**row, "status": JobStatus(row["status"])}) if row else None

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
