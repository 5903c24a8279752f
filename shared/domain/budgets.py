"""Budgets, and how a caller hears of those that do not cover what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from shared.domain.errors import Mistake, OverBudget

TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent: by the whole account where `user_id` is empty; `period` is `total` or `YYYY-MM` (UTC).

    `reserved_usd` is what running jobs may cost. Without a limit it covers everything.
    """

    user_id: str
    period: str
    limit_usd: Decimal | None
    spent_usd: Decimal
    reserved_usd: Decimal

    def covers(self, amount_usd: Decimal) -> bool:
        """Whether so much may be reserved; a limit that is used up, or 0, admits no call, not even a free one."""
        if self.limit_usd is None:
            return True
        taken = self.spent_usd + self.reserved_usd
        return taken < self.limit_usd and taken + amount_usd <= self.limit_usd

    @property
    def left_usd(self) -> Decimal:
        """The part of the limit that is neither spent nor reserved for jobs that run."""
        return max((self.limit_usd or Decimal(0)) - self.spent_usd - self.reserved_usd, Decimal(0))

    @property
    def name(self) -> str:
        """Whose budget it is, and for which time."""
        owner = f"user {self.user_id!r}" if self.user_id else "the account"
        return f"the budget of {owner} {'of all time' if self.period == TOTAL else f'for {self.period}'}"


@dataclass(frozen=True, slots=True)
class FullestBudget:
    """The share spent or reserved of the fullest budget of all accounts, in percent."""

    account_id: UUID
    period: str
    used_percent: Decimal


def over_budget(needed_usd: Decimal, short: Sequence[Budget]) -> OverBudget:
    """The refusal of a cost, naming the budgets of the job's account and user that do not cover it, the least first."""
    ordered = sorted(short, key=lambda budget: budget.left_usd)
    named = " and ".join(_left(budget) for budget in ordered)
    return OverBudget(
        f"This would cost {_usd(needed_usd)} USD, and {named}: raise the budget with PUT /api/budgets, or wait for "
        "running jobs to end.",
        details=[_detail(needed_usd, budget) for budget in ordered],
    )


def _left(budget: Budget) -> str:
    return f"{budget.name} has {_usd(budget.left_usd)} USD left of {_usd(budget.limit_usd or Decimal(0))} USD"


def _detail(needed_usd: Decimal, budget: Budget) -> Mistake:
    of_month = budget.period != TOTAL
    facts: dict[str, str | int | float | None] = {
        "userId": budget.user_id or None,
        "period": "month" if of_month else TOTAL,
        "month": budget.period if of_month else None,
        "neededUsd": float(needed_usd),
        "limitUsd": float(budget.limit_usd or 0),
        "spentUsd": float(budget.spent_usd),
        "reservedUsd": float(budget.reserved_usd),
        "leftUsd": float(budget.left_usd),
    }
    return Mistake("budget", _left(budget), facts)


def _usd(amount: Decimal) -> str:
    """Without zeros at its end: 0.324, 5."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
