"""What a budget covers, and what its refusal says."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shared.domain.budgets import Budget, over_budget


def budget(limit: str | None, spent: str = "0", reserved: str = "0", user: str = "", period: str = "total") -> Budget:
    return Budget(user, period, None if limit is None else Decimal(limit), Decimal(spent), Decimal(reserved))


@pytest.mark.parametrize(
    ("limit", "spent", "reserved", "amount", "covered"),
    [
        (None, "5", "5", "9", True),
        ("1", "0.5", "0.2", "0.3", True),
        ("1", "0.5", "0.2", "0.300001", False),
        ("1", "0.5", "0.5", "0", False),
        ("0", "0", "0", "0", False),
        ("0.000001", "0", "0", "0", True),
    ],
)
def test_a_budget_covers_what_its_limit_leaves(
    limit: str | None, spent: str, reserved: str, amount: str, covered: bool
) -> None:
    assert budget(limit, spent, reserved).covers(Decimal(amount)) is covered


def test_a_refusal_names_whose_budget_it_is_and_what_is_left_the_least_first() -> None:
    month = budget("5.000000", "4.5", "0.25", period="2026-11")
    user = budget("3", "3.5", user="ann")

    refusal = over_budget(Decimal("0.324000"), [month, user])

    assert refusal.sentence.startswith(
        "This would cost 0.324 USD, and the budget of user 'ann' of all time has 0 USD left of 3 USD and the budget "
        "of the account for 2026-11 has 0.25 USD left of 5 USD: raise the budget"
    )
    assert [one.facts["userId"] for one in refusal.details] == ["ann", None]
    assert refusal.details[1].facts == {
        "userId": None,
        "period": "month",
        "month": "2026-11",
        "neededUsd": 0.324,
        "limitUsd": 5.0,
        "spentUsd": 4.5,
        "reservedUsd": 0.25,
        "leftUsd": 0.25,
    }
