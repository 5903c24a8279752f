"""What claims are decided by: each provider's pace, and what accounts have running and waiting."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import asdict, fields
from datetime import datetime
from uuid import UUID

from shared.adapters.postgres.rows import Rows
from shared.domain.pace import Pace

GRACE_SECONDS = 30
_COLUMNS = tuple(field.name for field in fields(Pace))


class PaceRows(Rows):
    """Statements on `vsl.provider_pace`, and counts of attempts and jobs."""

    def lock_pace(self, provider: str, now: datetime) -> Pace:
        values = asdict(Pace.fresh(provider, now))
        self.run(
            f"INSERT INTO vsl.provider_pace ({', '.join(_COLUMNS)}) "
            f"VALUES ({', '.join(f'%({name})s' for name in _COLUMNS)}) ON CONFLICT DO NOTHING",
            values,
        )
        row = self.one(
            f"SELECT {', '.join(_COLUMNS)} FROM vsl.provider_pace WHERE provider = %(provider)s FOR UPDATE", values
        )
        assert row is not None
        return Pace(**row)

    def save_pace(self, pace: Pace) -> None:
        changes = ", ".join(f"{name} = %({name})s" for name in _COLUMNS[1:])
        self.run(f"UPDATE vsl.provider_pace SET {changes} WHERE provider = %(provider)s", asdict(pace))

    def written_calls(self, provider: str, account_id: UUID) -> int:
        return self._count(
            "SELECT count(*) AS n FROM vsl.provider_attempts WHERE state = 'written' AND provider = %(provider)s "
            "AND account_id = %(account)s",
            {"provider": provider, "account": account_id},
        )

    def accounts_asking(self, provider: str, within_seconds: int) -> Set[UUID]:
        # A written attempt is checked GRACE_SECONDS after its message was due; a new one's message is under way.
        rows = self.all(
            "SELECT DISTINCT account_id FROM vsl.provider_attempts WHERE state = 'written' "
            "AND provider = %(provider)s AND (created_at > now() - make_interval(secs => %(grace)s) "
            "OR next_check_at <= now() + make_interval(secs => %(grace)s + %(within)s))",
            {"provider": provider, "grace": GRACE_SECONDS, "within": within_seconds},
        )
        return {row["account_id"] for row in rows}

    def recent_claims(self, provider: str, since: datetime) -> Mapping[UUID, int]:
        rows = self.all(
            "SELECT account_id, count(*) AS calls FROM vsl.provider_attempts WHERE provider = %(provider)s "
            "AND claimed_at >= %(since)s GROUP BY account_id",
            {"provider": provider, "since": since},
        )
        return {row["account_id"]: row["calls"] for row in rows}

    def running_calls(self, account_id: UUID) -> int:
        return self._count(
            "SELECT count(*) AS n FROM vsl.provider_attempts WHERE account_id = %(account)s "
            "AND state IN ('claimed', 'accepted')",
            {"account": account_id},
        )

    def unfinished_jobs(self, account_id: UUID) -> int:
        return self._count(
            "SELECT count(*) AS n FROM vsl.jobs WHERE account_id = %(account)s "
            "AND status IN ('pending', 'generating', 'processing')",
            {"account": account_id},
        )

    def account_setting(self, account_id: UUID, name: str) -> int | None:
        row = self.one(
            "SELECT (settings->>%(name)s)::int AS value FROM vsl.account_settings WHERE account_id = %(account)s",
            {"account": account_id, "name": name},
        )
        return row["value"] if row else None

    def _count(self, statement: str, values: Mapping[str, object]) -> int:
        row = self.one(statement, values)
        assert row is not None
        return int(row["n"])
