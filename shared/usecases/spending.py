"""What an account has spent, and how much it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from shared.domain.jobs import Caller, iso
from shared.ports import Clock, Records

MONTH, TOTAL = "month", "total"
# The user of the row that counts for the whole account.
EVERYBODY = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit in USD of an account or of one of its users; None takes a limit away."""

    user_id: str | None
    period: str
    limit_usd: Decimal | None


def read_usage(
    caller: Caller, start: datetime | None, end: datetime | None, group_by: str, *, records: Records, clock: Clock
) -> dict[str, Any]:
    """Estimates and actual costs by group, from the ledger; this month's where no times are given."""
    end = end or clock.now()
    start = start or end.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    with records.transaction() as tx:
        rows = tx.usage(caller.account_id, start, end, group_by)
    groups = [_shown(row) for row in rows]
    totals = {
        "estimatedUsd": float(sum((row["estimated_usd"] for row in rows), Decimal(0))),
        "actualUsd": float(sum((row["actual_usd"] for row in rows), Decimal(0))),
    }
    return {"from": iso(start), "to": iso(end), "groupBy": group_by, "totals": totals, "groups": groups}


def read_budgets(caller: Caller, *, records: Records, clock: Clock) -> list[dict[str, Any]]:
    """Limits and what counts against them: of all time and of this month (UTC), account first, then users."""
    with records.transaction() as tx:
        rows = tx.budgets(caller.account_id)
    limits = {(row["user_id"], row["period"]): row for row in rows}
    this_month = _month(clock)
    found = []
    for user_id in dict.fromkeys(row["user_id"] for row in rows):
        for period, counted in ((TOTAL, TOTAL), (MONTH, this_month)):
            row, standing = limits.get((user_id, counted)), limits.get((user_id, period))
            found.append(_budget(user_id, period, row, standing))
    return found


def set_budget(caller: Caller, budget: Budget, *, records: Records, clock: Clock) -> list[dict[str, Any]]:
    """All budgets after the change. A limit below what is spent already refuses every new request."""
    user_id = budget.user_id or EVERYBODY
    periods = [TOTAL] if budget.period == TOTAL else [MONTH, _month(clock)]
    with records.transaction() as tx:
        tx.set_budget(caller.account_id, user_id, periods, budget.limit_usd)
    return read_budgets(caller, records=records, clock=clock)


def _month(clock: Clock) -> str:
    return clock.now().strftime("%Y-%m")


def _budget(
    user_id: str, period: str, row: Mapping[str, Any] | None, standing: Mapping[str, Any] | None
) -> dict[str, Any]:
    limit_usd = standing["limit_usd"] if standing else None
    return {
        "userId": user_id or None,
        "period": period,
        "limitUsd": None if limit_usd is None else float(limit_usd),
        "reservedUsd": float(row["reserved_usd"]) if row else 0.0,
        "spentUsd": float(row["spent_usd"]) if row else 0.0,
    }


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": row["key"],
        "jobs": row["jobs"],
        "estimatedUsd": float(row["estimated_usd"]),
        "actualUsd": float(row["actual_usd"]),
    }
