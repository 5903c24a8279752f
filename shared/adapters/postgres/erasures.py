"""Erasing rows: what tells of a person goes, amounts and times stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.adapters.postgres.rows import JOB_COLUMNS, Rows, to_job
from shared.domain.erasure import Erasure, Work
from shared.domain.jobs import Job

_COLUMNS = "id, account_id, subject, work, erased, settled_at, requested_at, completed_at"
_NUMBERS = (
    "(SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(request->'input') "
    "WHERE jsonb_typeof(value) = 'number')"
)
_OF_JOBS = "WHERE account_id = %(account)s AND job_id = ANY(%(jobs)s)"
# What an attempt still needs to be settled when its provider answers late: version, price and numbers.
_SCRUBS: Mapping[str, str] = {
    "attempts": "UPDATE vsl.provider_attempts SET request = jsonb_build_object('version', request->'version', "
    f"'price', request->'price', 'input', {_NUMBERS}), error_message = NULL {_OF_JOBS}",
    "events": f"UPDATE vsl.job_events SET details = '{{}}' {_OF_JOBS}",
    "storageOperations": f"UPDATE vsl.storage_operations SET key = 'erased' {_OF_JOBS}",
    "sectionVideos": f"DELETE FROM vsl_frontend.section_videos {_OF_JOBS}",
    "scripts": "UPDATE vsl_frontend.section_detailed_scripts SET compiled_video_url = NULL, compiled_at = NULL, "
    "compiled_job_id = NULL WHERE account_id = %(account)s AND compiled_job_id = ANY(%(jobs)s)",
    "ledger": f"UPDATE vsl.cost_ledger SET user_id = %(nobody)s {_OF_JOBS} AND %(whole)s",
    "jobs": "UPDATE vsl.jobs SET request = '{}', request_hash = '', result = '{}', metadata = '{}', s3_key = NULL, "
    "thumbnail_key = NULL, webhook_url = NULL, client_ip = NULL, user_agent = NULL, idempotency_key = NULL, "
    "error_message = CASE WHEN error_message IS NULL THEN NULL ELSE 'erased' END, erased_at = now(), "
    "user_id = CASE WHEN %(whole)s THEN %(nobody)s ELSE user_id END, version = version + 1, "
    "published_version = version + 1 WHERE account_id = %(account)s AND id = ANY(%(jobs)s)",
}
_BUDGETS = (
    "UPDATE vsl.budgets SET user_id = %(nobody)s, limit_usd = NULL "
    "WHERE account_id = %(account)s AND user_id = %(user)s"
)


class ErasureRows(Rows):
    """Statements on `vsl.erasures`, and on every table that tells of a person."""

    def lock_jobs_to_erase(self, account_id: UUID, job_id: UUID | None, user_id: str | None) -> Sequence[Job]:
        rows = self.all(
            f"SELECT {', '.join(JOB_COLUMNS)} FROM vsl.jobs WHERE account_id = %(account)s AND erased_at IS NULL "
            "AND (id = %(job)s::uuid OR user_id = %(user)s::text OR (kind = 'compile' AND request @> %(source)s)) "
            "ORDER BY id FOR UPDATE",
            {
                "account": account_id, "job": job_id, "user": user_id,
                "source": Jsonb({"sources": [{"userId": user_id}]}),
            },
        )  # fmt: skip
        return [to_job(row) for row in rows]

    def insert_erasure(self, erasure: Erasure) -> None:
        self.run(
            "INSERT INTO vsl.erasures (id, account_id, subject, work, settled_at, requested_at) "
            "VALUES (%(id)s, %(account)s, %(subject)s, %(work)s, %(settled)s, %(requested)s)",
            {
                "id": erasure.id, "account": erasure.account_id, "subject": erasure.subject,
                "work": Jsonb([{"jobId": str(work.job_id), "prefixes": list(work.prefixes)} for work in erasure.work]),
                "settled": erasure.settled_at, "requested": erasure.requested_at,
            },
        )  # fmt: skip

    def scrub(self, erasure: Erasure, nobody: str) -> Mapping[str, int]:
        values = {
            "account": erasure.account_id, "jobs": [work.job_id for work in erasure.work], "nobody": nobody,
            "user": erasure.user_id, "whole": erasure.user_id is not None,
        }  # fmt: skip
        counts = {table: self.run(statement, values) for table, statement in _SCRUBS.items()}
        if erasure.user_id is not None:
            counts["budgets"] = self.run(_BUDGETS, values)
        return counts

    def rows_of_user(self, account_id: UUID, user_id: str) -> int:
        tables = ("vsl.jobs", "vsl.cost_ledger", "vsl.budgets", "vsl_frontend.section_videos")
        counted = " + ".join(
            f"(SELECT count(*) FROM {table} WHERE account_id = %(account)s AND user_id = %(user)s)" for table in tables
        )
        row = self.one(f"SELECT {counted} AS n", {"account": account_id, "user": user_id})
        assert row is not None
        return int(row["n"])

    def erasure(self, account_id: UUID, erasure_id: UUID) -> Erasure | None:
        row = self.one(
            f"SELECT {_COLUMNS} FROM vsl.erasures WHERE account_id = %(account)s AND id = %(id)s",
            {"account": account_id, "id": erasure_id},
        )
        return _erasure(row) if row else None

    def last_erasure(self, account_id: UUID, subject: str) -> Erasure | None:
        row = self.one(
            f"SELECT {_COLUMNS} FROM vsl.erasures WHERE account_id = %(account)s AND subject = %(subject)s "
            "ORDER BY requested_at DESC LIMIT 1",
            {"account": account_id, "subject": subject},
        )
        return _erasure(row) if row else None

    def open_erasures(self, limit: int) -> Sequence[Erasure]:
        rows = self.all(
            f"SELECT {_COLUMNS} FROM vsl.erasures WHERE completed_at IS NULL ORDER BY requested_at LIMIT %(limit)s",
            {"limit": limit},
        )
        return [_erasure(row) for row in rows]

    def count_erased(self, erasure: Erasure, counts: Mapping[str, int]) -> None:
        self.run(
            "UPDATE vsl.erasures SET erased = %(erased)s WHERE id = %(id)s",
            {"id": erasure.id, "erased": Jsonb(dict(counts))},
        )

    def complete_erasure(self, erasure: Erasure, subject: str, now: datetime) -> None:
        self.run(
            "UPDATE vsl.erasures SET completed_at = %(now)s, work = '[]', subject = %(subject)s WHERE id = %(id)s",
            {"id": erasure.id, "subject": subject, "now": now},
        )


def _erasure(row: Mapping[str, Any]) -> Erasure:
    work = [Work(UUID(entry["jobId"]), tuple(entry["prefixes"])) for entry in row["work"]]
    return Erasure(**{**row, "work": work})
