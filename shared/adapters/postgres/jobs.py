"""Jobs, their leases and history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.adapters.postgres.rows import JOB_COLUMNS, Rows, assignments, column_value, to_job
from shared.adapters.postgres.rows import OPEN as _OPEN
from shared.domain.jobs import Job, JobFilter, JobRef, JobStatus, iso, sources_of

_COLUMNS = ", ".join(JOB_COLUMNS)
_WRITTEN = tuple(name for name in JOB_COLUMNS if name != "updated_at")
# A job that moves is not lost: the sweep starts to count anew.
_CHANGED = "updated_at = now(), check_at = now() + interval '60 seconds', checks = 0"
_INSERT = (
    f"INSERT INTO vsl.jobs ({', '.join(_WRITTEN)}) VALUES ({', '.join(f'%({n})s' for n in _WRITTEN)}) "
    f"ON CONFLICT (account_id, route, idempotency_key) DO NOTHING RETURNING {_COLUMNS}"
)


class JobRows(Rows):
    """Statements on `vsl.jobs` and `vsl.job_events`."""

    def insert_job(self, job: Job) -> Job | None:
        row = self.one(_INSERT, {name: column_value(getattr(job, name)) for name in _WRITTEN})
        return to_job(row) if row else None

    def job_by_key(self, account_id: UUID, route: str, key: str) -> Job | None:
        row = self.one(
            f"SELECT {_COLUMNS} FROM vsl.jobs WHERE account_id = %(account)s AND route = %(route)s "
            "AND idempotency_key = %(key)s",
            {"account": account_id, "route": route, "key": key},
        )
        return to_job(row) if row else None

    def job(self, account_id: UUID, job_id: UUID) -> Job | None:
        row = self.one(
            f"SELECT {_COLUMNS} FROM vsl.jobs WHERE account_id = %(account)s AND id = %(id)s",
            {"account": account_id, "id": job_id},
        )
        return to_job(row) if row else None

    def decoded_of(self, account_id: UUID, job_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any] | None]:
        rows = self.all(
            "SELECT id, result #> '{outputs,0,decoded}' AS decoded FROM vsl.jobs "
            "WHERE account_id = %(account)s AND id = ANY(%(ids)s)",
            {"account": account_id, "ids": list(job_ids)},
        )
        return {row["id"]: row["decoded"] for row in rows}

    def compile_runs(self, strategy: str, limit: int) -> Sequence[tuple[float, float]]:
        rows = self.all(
            "SELECT (result->>'reckonedSeconds')::float AS reckoned, (result->>'workMs')::float / 1000 AS taken "
            "FROM vsl.jobs WHERE kind = 'compile' AND status = 'completed' AND result->>'strategy' = %(strategy)s "
            "AND result ? 'reckonedSeconds' ORDER BY completed_at DESC LIMIT %(limit)s",
            {"strategy": strategy, "limit": limit},
        )
        return [(row["reckoned"], row["taken"]) for row in rows]

    def lock_job(self, job_id: UUID, *, wait: bool = True) -> Job | None:
        skip = "" if wait else "SKIP LOCKED"
        row = self.one(f"SELECT {_COLUMNS} FROM vsl.jobs WHERE id = %(id)s FOR UPDATE {skip}", {"id": job_id})
        return to_job(row) if row else None

    def jobs(self, account_id: UUID, narrow: JobFilter) -> Sequence[Job]:
        created_at, job_id = narrow.before or (None, None)
        rows = self.all(
            f"SELECT {_COLUMNS} FROM vsl.jobs WHERE account_id = %(account)s AND erased_at IS NULL"
            " AND (%(user)s::text IS NULL OR user_id = %(user)s)"
            " AND (%(status)s::vsl.job_status IS NULL OR status = %(status)s::vsl.job_status)"
            " AND (%(kind)s::text IS NULL OR kind = %(kind)s)"
            " AND (%(from)s::timestamptz IS NULL OR created_at >= %(from)s)"
            " AND (%(to)s::timestamptz IS NULL OR created_at < %(to)s)"
            " AND (%(at)s::timestamptz IS NULL OR (created_at, id) < (%(at)s, %(id)s::uuid))"
            " ORDER BY created_at DESC, id DESC LIMIT %(limit)s",
            {
                "account": account_id,
                "user": narrow.user_id,
                "status": narrow.status,
                "kind": narrow.kind,
                "from": narrow.created_from,
                "to": narrow.created_to,
                "at": created_at,
                "id": job_id,
                "limit": narrow.limit,
            },
        )
        return [to_job(row) for row in rows]

    def move_job(self, job: Job, to: JobStatus, **changes: Any) -> Job | None:
        finished = (
            "completed_at = now(), lease_owner = NULL, lease_until = NULL, waits_for = NULL, " if to.finished else ""
        )
        row = self.one(
            f"UPDATE vsl.jobs SET {assignments(changes, JOB_COLUMNS)} {finished} status = %(_to)s, "
            f"version = version + 1, {_CHANGED}, started_at = coalesce(started_at, now()) "
            "WHERE id = %(_id)s AND account_id = %(_account)s AND version = %(_version)s "
            f"AND status = ANY(%(_sources)s::vsl.job_status[]) RETURNING {_COLUMNS}",
            {
                **{name: column_value(value) for name, value in changes.items()},
                "_to": to.value,
                "_id": job.id,
                "_account": job.account_id,
                "_version": job.version,
                "_sources": [source.value for source in sources_of(to)],
            },
        )
        return to_job(row) if row else None

    def touch_job(self, job: Job, **changes: Any) -> Job | None:
        row = self.one(
            f"UPDATE vsl.jobs SET {assignments(changes, JOB_COLUMNS)} version = version + 1, {_CHANGED} "
            f"WHERE id = %(_id)s AND account_id = %(_account)s AND {_OPEN} RETURNING {_COLUMNS}",
            {
                **{name: column_value(value) for name, value in changes.items()},
                "_id": job.id,
                "_account": job.account_id,
            },
        )
        return to_job(row) if row else None

    def add_cost(self, job: Job, amount_usd: Decimal) -> Job:
        row = self.one(
            "UPDATE vsl.jobs SET actual_cost_usd = coalesce(actual_cost_usd, 0) + %(amount)s, version = version + 1, "
            f"updated_at = now() WHERE id = %(id)s AND account_id = %(account)s RETURNING {_COLUMNS}",
            {"id": job.id, "account": job.account_id, "amount": amount_usd},
        )
        assert row is not None
        return to_job(row)

    def take_lease(self, job_id: UUID, owner: str, seconds: int) -> Job | None:
        row = self.one(
            "UPDATE vsl.jobs SET lease_owner = %(owner)s, lease_until = now() + make_interval(secs => %(seconds)s), "
            f"version = version + 1, {_CHANGED}, waits_for = NULL WHERE id = %(id)s AND {_OPEN} "
            "AND (lease_until IS NULL OR lease_until < now() OR lease_owner = %(owner)s) "
            f"RETURNING {_COLUMNS}",
            {"id": job_id, "owner": owner, "seconds": seconds},
        )
        return to_job(row) if row else None

    def renew_lease(self, job_id: UUID, owner: str, seconds: int) -> bool:
        touched = self.run(
            "UPDATE vsl.jobs SET lease_until = now() + make_interval(secs => %(seconds)s) "
            f"WHERE id = %(id)s AND lease_owner = %(owner)s AND {_OPEN}",
            {"id": job_id, "owner": owner, "seconds": seconds},
        )
        return touched == 1

    def give_up_lease(self, job_id: UUID, owner: str, check_in_seconds: int) -> Job | None:
        row = self.one(
            "UPDATE vsl.jobs SET lease_owner = NULL, lease_until = NULL, "
            "check_at = now() + make_interval(secs => %(seconds)s) "
            f"WHERE id = %(id)s AND lease_owner = %(owner)s AND {_OPEN} RETURNING {_COLUMNS}",
            {"id": job_id, "owner": owner, "seconds": check_in_seconds},
        )
        return to_job(row) if row else None

    def add_event(self, job: JobRef, name: str, details: Mapping[str, Any] | None = None) -> None:
        self.run(
            "INSERT INTO vsl.job_events (account_id, job_id, name, status, details) "
            "VALUES (%(account)s, %(job)s, %(name)s, %(status)s, %(details)s)",
            {
                "account": job.account_id,
                "job": job.id,
                "name": name,
                "status": job.status.value,
                "details": Jsonb(dict(details or {})),
            },
        )

    def events(self, account_id: UUID, job_id: UUID) -> Sequence[Mapping[str, Any]]:
        rows = self.all(
            "SELECT name, status, details, created_at FROM vsl.job_events "
            "WHERE account_id = %(account)s AND job_id = %(job)s ORDER BY id",
            {"account": account_id, "job": job_id},
        )
        return [
            {"name": r["name"], "status": r["status"], "details": r["details"], "at": iso(r["created_at"])}
            for r in rows
        ]
