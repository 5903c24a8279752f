"""Turns in the queues of long work: so many jobs of an account at work at once, the others wait in their rows."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.adapters.postgres.rows import OPEN as _OPEN
from shared.adapters.postgres.rows import Rows
from shared.domain.jobs import JobRef, JobStatus, Lane, LeanJob

# Leases are owned by "<lane>:<uuid>".
_AT_WORK = "lease_until > now() AND starts_with(lease_owner, %(lane)s || ':')"


class TurnRows(Rows):
    """Statements on whose job is next."""

    def lock_turns(self, account_id: UUID, lane: Lane) -> None:
        self.run(
            "SELECT pg_advisory_xact_lock(hashtextextended(%(lane)s || %(account)s::text, 0))",
            {"account": account_id, "lane": lane},
        )

    def lock_account(self, account_id: UUID) -> None:
        self.run(
            "SELECT pg_advisory_xact_lock(hashtextextended('jobs' || %(account)s::text, 0))", {"account": account_id}
        )

    def at_work(self, account_id: UUID, lane: Lane) -> int:
        row = self.one(
            f"SELECT count(*) AS n FROM vsl.jobs WHERE account_id = %(account)s AND {_AT_WORK} AND {_OPEN}",
            {"account": account_id, "lane": lane},
        )
        assert row is not None
        return int(row["n"])

    def wait_for_turn(self, job: JobRef, lane: Lane) -> None:
        self.run(
            f"UPDATE vsl.jobs SET waits_for = %(lane)s WHERE id = %(id)s AND {_OPEN}", {"id": job.id, "lane": lane}
        )

    def next_in_turn(self, account_id: UUID, lane: Lane, limit: int) -> Sequence[LeanJob]:
        rows = self.all(
            "UPDATE vsl.jobs j SET waits_for = NULL, check_at = now() + interval '60 seconds', checks = 0 FROM ("
            "SELECT id FROM vsl.jobs WHERE account_id = %(account)s AND waits_for = %(lane)s "
            f"AND {_OPEN} ORDER BY kind <> 'generate', created_at, id LIMIT %(limit)s "
            "FOR UPDATE SKIP LOCKED) AS waiting "
            "WHERE j.id = waiting.id "
            "RETURNING j.id, j.account_id, j.kind, j.status, j.result ? 'incoming' AS has_incoming",
            {"account": account_id, "lane": lane, "limit": limit},
        )
        return [LeanJob(**{**row, "status": JobStatus(row["status"])}) for row in rows]
