"""Budgets and the ledger. A budget's rows are locked in one order, so that two requests never wait for each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from shared.adapters.postgres.rows import Rows
from shared.domain.budgets import Budget, FullestBudget, over_budget
from shared.domain.jobs import Attempt, Job

# Each reservation counts against four rows: of the account and of the user, of all time and of the month (UTC).
_MONTH = "to_char(%(at)s::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM')"
_ROWS = f"account_id = %(account)s AND user_id IN ('', %(user)s) AND period IN ('total', {_MONTH})"
_GROUPS: Mapping[str, str] = {
    "day": "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    "model": "coalesce(model_id, '-')",
    "user": "user_id",
    "kind": "kind",
}


class MoneyRows(Rows):
    """Statements on `vsl.budgets` and `vsl.cost_ledger`."""

    def reserve(self, job: Job, amount_usd: Decimal) -> None:
        values = {"account": job.account_id, "user": job.user_id, "at": job.created_at, "amount": amount_usd}
        # A month's rows take their limit from the row that stands for every month.
        self.run(
            "INSERT INTO vsl.budgets (account_id, user_id, period, limit_usd) "
            "SELECT %(account)s, u, p, (SELECT limit_usd FROM vsl.budgets WHERE account_id = %(account)s "
            "AND user_id = u AND period = 'month' AND p <> 'total') "
            f"FROM unnest(ARRAY['', %(user)s]) AS u, unnest(ARRAY['total', {_MONTH}]) AS p ON CONFLICT DO NOTHING",
            values,
        )
        # Locked and looked at first, so that nothing is written for a caller that goes on after OverBudget.
        rows = self.all(
            "SELECT user_id, period, limit_usd, spent_usd, reserved_usd FROM vsl.budgets "
            f"WHERE {_ROWS} ORDER BY user_id, period FOR UPDATE",
            values,
        )
        short = [budget for row in rows if not (budget := Budget(**row)).covers(amount_usd)]
        if short:
            raise over_budget(amount_usd, short)
        self.run(
            f"UPDATE vsl.budgets SET reserved_usd = reserved_usd + %(amount)s, updated_at = now() WHERE {_ROWS}", values
        )

    def settle_cost(self, job: Job, attempt: Attempt | None, actual_usd: Decimal) -> None:
        values = {
            **_entry(job, attempt),
            "actual": actual_usd,
            "at": job.created_at,
            "reserved": attempt.reserved_usd if attempt else Decimal(0),
        }
        if not self._write("actual", values, actual_usd):
            return
        self.all(f"SELECT 1 FROM vsl.budgets WHERE {_ROWS} ORDER BY user_id, period FOR UPDATE", values)
        self.run(
            "UPDATE vsl.budgets SET reserved_usd = greatest(reserved_usd - %(reserved)s, 0), "
            f"spent_usd = spent_usd + %(actual)s, updated_at = now() WHERE {_ROWS}",
            values,
        )

    def add_estimate(self, job: Job, attempt: Attempt | None, amount_usd: Decimal) -> None:
        self._write("estimate", _entry(job, attempt), amount_usd)

    def _write(self, entry: str, values: Mapping[str, Any], amount_usd: Decimal) -> int:
        return self.run(
            "INSERT INTO vsl.cost_ledger (account_id, user_id, job_id, attempt_id, entry, kind, provider, "
            "model_id, amount_usd) VALUES (%(account)s, %(user)s, %(job)s, %(attempt)s, %(entry)s, %(kind)s, "
            "%(provider)s, %(model)s, %(amount)s) ON CONFLICT DO NOTHING",
            {**values, "entry": entry, "amount": amount_usd},
        )

    def usage(self, account_id: UUID, start: datetime, end: datetime, group_by: str) -> Sequence[Mapping[str, Any]]:
        return self.all(
            f"SELECT {_GROUPS[group_by]} AS key, count(DISTINCT job_id) AS jobs, "
            "coalesce(sum(amount_usd) FILTER (WHERE entry = 'estimate'), 0) AS estimated_usd, "
            "coalesce(sum(amount_usd) FILTER (WHERE entry = 'actual'), 0) AS actual_usd FROM vsl.cost_ledger "
            "WHERE account_id = %(account)s AND created_at >= %(start)s AND created_at < %(end)s GROUP BY 1 ORDER BY 1",
            {"account": account_id, "start": start, "end": end},
        )

    def budgets(self, account_id: UUID) -> Sequence[Mapping[str, Any]]:
        return self.all(
            "SELECT user_id, period, limit_usd, reserved_usd, spent_usd FROM vsl.budgets "
            "WHERE account_id = %(account)s ORDER BY user_id, period",
            {"account": account_id},
        )

    def fullest_budget(self, at: datetime) -> FullestBudget | None:
        row = self.one(
            "SELECT account_id, period, round(100 * (spent_usd + reserved_usd) / limit_usd, 1) AS used_percent "
            f"FROM vsl.budgets WHERE user_id = '' AND limit_usd > 0 AND period IN ('total', {_MONTH}) "
            "ORDER BY used_percent DESC LIMIT 1",
            {"at": at},
        )
        return FullestBudget(**row) if row else None

    def set_budget(self, account_id: UUID, user_id: str, periods: Sequence[str], limit_usd: Decimal | None) -> None:
        self.run(
            "INSERT INTO vsl.budgets (account_id, user_id, period, limit_usd) "
            "SELECT %(account)s, %(user)s, unnest(%(periods)s::text[]), %(limit)s "
            "ON CONFLICT (account_id, user_id, period) DO UPDATE SET limit_usd = %(limit)s, updated_at = now()",
            {"account": account_id, "user": user_id, "periods": list(periods), "limit": limit_usd},
        )


def _entry(job: Job, attempt: Attempt | None) -> dict[str, Any]:
    return {
        "account": job.account_id,
        "user": job.user_id,
        "job": job.id,
        "kind": job.kind,
        "model": job.model_id,
        "attempt": attempt.id if attempt else None,
        "provider": attempt.provider if attempt else None,
    }
