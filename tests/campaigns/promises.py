"""What never happens, as questions to PostgreSQL, the provider and the bucket."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from shared.adapters.postgres.connection import PostgresRecords
from tests.campaigns.provider import MemoryProvider
from tests.memory_media import MemoryMedia

OPEN = "('pending', 'generating', 'processing')"
ENDED_EVENTS = "('job.completed', 'job.failed', 'job.cancelled')"


class Promises:
    """Of the accounts of one run."""

    def __init__(self, records: PostgresRecords, accounts: Sequence[UUID]) -> None:
        self._records, self._accounts = records, list(accounts)
        self._ended: dict[UUID, str] = {}

    def check(self, provider: MemoryProvider, media: MemoryMedia) -> None:
        """After each step. Raises AssertionError."""
        jobs = self._rows("SELECT id, status::text, s3_key FROM vsl.jobs WHERE account_id = ANY(%(accounts)s)")
        for job in jobs:
            earlier = self._ended.get(job["id"])
            assert earlier in (None, job["status"]), f"{job['id']} went from {earlier} to {job['status']}"
            if job["status"] not in ("pending", "generating", "processing"):
                self._ended[job["id"]] = job["status"]
            if job["status"] == "completed":
                assert job["s3_key"] in media.objects, f"{job['id']} is completed and its media is not there"
        attempts = self._rows(
            "SELECT job_id, count(*) FILTER (WHERE state NOT IN ('rejected', 'finished')) AS open, "
            "count(*) FILTER (WHERE actual_usd > 0 AND provider_status = 'succeeded') AS paid "
            "FROM vsl.provider_attempts WHERE account_id = ANY(%(accounts)s) GROUP BY job_id"
        )
        assert all(row["open"] <= 1 and row["paid"] <= 1 for row in attempts), attempts
        twice = self._rows(
            f"SELECT job_id FROM vsl.job_events WHERE account_id = ANY(%(accounts)s) AND name IN {ENDED_EVENTS} "
            "GROUP BY job_id HAVING count(*) > 1"
        )
        assert not twice, f"ended twice: {twice}"

    def check_end(self, provider: MemoryProvider) -> None:
        """When everything has come to its end. Raises AssertionError."""
        assert self.all_closed(), "something never ends"
        budgets = self._rows(
            "SELECT reserved_usd, spent_usd FROM vsl.budgets WHERE account_id = ANY(%(accounts)s) AND user_id = '' "
            "AND period = 'total'"
        )
        ledger = self._rows(
            "SELECT coalesce(sum(amount_usd), 0) AS usd FROM vsl.cost_ledger "
            "WHERE account_id = ANY(%(accounts)s) AND entry = 'actual'"
        )[0]["usd"]
        assert all(budget["reserved_usd"] == 0 for budget in budgets), budgets
        assert sum((budget["spent_usd"] for budget in budgets), Decimal(0)) == ledger
        billed = {made.attempt_id for made in provider.made.values() if made.billed}
        paid = self._rows(
            "SELECT id::text, error_code FROM vsl.provider_attempts "
            "WHERE account_id = ANY(%(accounts)s) AND actual_usd > 0"
        )
        # What nobody could find out counts as spent (ADR 1); a cancelled call counts for what it may have used.
        unproven = {row["id"] for row in paid if row["error_code"] == "unresolved"}
        cancelled = {made.attempt_id for made in provider.made.values() if made.status == "canceled"}
        assert {row["id"] for row in paid} - unproven - cancelled == billed - unproven

    def all_closed(self) -> bool:
        """Whether every job has ended and every attempt is settled."""
        return not self._rows(
            f"SELECT 1 FROM vsl.jobs WHERE account_id = ANY(%(accounts)s) AND status IN {OPEN} UNION ALL "
            "SELECT 1 FROM vsl.provider_attempts WHERE account_id = ANY(%(accounts)s) "
            "AND state NOT IN ('rejected', 'finished') LIMIT 1"
        )

    def only_doubts_left(self) -> bool:
        """Whether all that is open are calls whose fate nobody can find out before their deadline."""
        return not self._rows(
            "SELECT 1 FROM vsl.provider_attempts WHERE account_id = ANY(%(accounts)s) "
            "AND state IN ('written', 'accepted') LIMIT 1"
        )

    def is_accepted(self, attempt_id: str) -> bool:
        """Whether the inside knows which prediction is this attempt's."""
        found = "SELECT 1 FROM vsl.provider_attempts WHERE id = %(attempt)s AND provider_id IS NOT NULL"
        return bool(self._rows(found, attempt=attempt_id))

    def forget_earlier_runs(self) -> None:
        """What an earlier run left unsent would be sent in this one, and its calls would hold up this one's."""
        self._run("UPDATE vsl.outbox SET sent_at = now() WHERE sent_at IS NULL")
        self._run("DELETE FROM vsl.provider_pace")

    def deadline_of(self, job_id: UUID) -> datetime:
        """When the job's time is over."""
        (row,) = self._rows("SELECT deadline_at FROM vsl.jobs WHERE id = %(job)s", job=job_id)
        return row["deadline_at"]  # type: ignore[no-any-return]

    def last_deadline(self) -> datetime:
        """When everybody's time is over."""
        (row,) = self._rows("SELECT max(deadline_at) AS last FROM vsl.jobs WHERE account_id = ANY(%(accounts)s)")
        return row["last"]  # type: ignore[no-any-return]

    def _rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        with self._records.transaction() as tx:
            return tx.cursor.execute(statement, {"accounts": self._accounts, **values}).fetchall()  # type: ignore[attr-defined, no-any-return]

    def _run(self, statement: str, **values: Any) -> None:
        with self._records.transaction() as tx:
            tx.cursor.execute(statement, {"accounts": self._accounts, **values})  # type: ignore[attr-defined]
