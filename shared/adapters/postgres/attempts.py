"""Provider attempts, and the money they reserve and spend."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from shared.adapters.postgres.rows import ATTEMPT_COLUMNS, Rows, assignments, column_value, to_attempt
from shared.domain.errors import OverBudget
from shared.domain.jobs import Attempt, AttemptState, Job

_COLUMNS = ", ".join(ATTEMPT_COLUMNS)
_SETTABLE = (
    *ATTEMPT_COLUMNS, "actual_usd", "provider_status", "error_code", "error_message",
    "accepted_at", "finished_at", "next_check_at",
)  # fmt: skip


_STAMPS = {
    "written": "",
    "claimed": "claimed_at = coalesce(claimed_at, now()), ",
    "accepted": "accepted_at = coalesce(accepted_at, now()), ",
}


class AttemptRows(Rows):
    """Statements on `vsl.provider_attempts`, `vsl.budgets` and `vsl.cost_ledger`."""

    def insert_attempt(self, attempt: Attempt) -> None:
        self.run(
            f"INSERT INTO vsl.provider_attempts ({_COLUMNS}) "
            f"VALUES ({', '.join(f'%({name})s' for name in ATTEMPT_COLUMNS)})",
            {name: column_value(getattr(attempt, name)) for name in ATTEMPT_COLUMNS},
        )

    def lock_attempt(self, attempt_id: UUID) -> Attempt | None:
        row = self.one(f"SELECT {_COLUMNS} FROM vsl.provider_attempts WHERE id = %(id)s FOR UPDATE", {"id": attempt_id})
        return to_attempt(row) if row else None

    def attempts(self, job_id: UUID) -> Sequence[Attempt]:
        rows = self.all(
            f"SELECT {_COLUMNS} FROM vsl.provider_attempts WHERE job_id = %(job)s ORDER BY number",
            {"job": job_id},
        )
        return [to_attempt(row) for row in rows]

    def attempt_by_provider_id(self, provider: str, provider_id: str) -> Attempt | None:
        row = self.one(
            f"SELECT {_COLUMNS} FROM vsl.provider_attempts "
            "WHERE provider = %(provider)s AND provider_id = %(provider_id)s",
            {"provider": provider, "provider_id": provider_id},
        )
        return to_attempt(row) if row else None

    def change_attempt(self, attempt: Attempt, to: AttemptState, **changes: Any) -> None:
        check_in = changes.pop("check_in_seconds", None)
        stamp = _STAMPS.get(to.value, "finished_at = now(), next_check_at = NULL, ")
        if check_in is not None:
            stamp += "next_check_at = now() + make_interval(secs => %(_check_in)s), "
        self.run(
            f"UPDATE vsl.provider_attempts SET {assignments(changes, _SETTABLE)} {stamp} state = %(_to)s "
            "WHERE id = %(_id)s",
            {
                **{name: column_value(value) for name, value in changes.items()},
                "_to": to.value, "_id": attempt.id, "_check_in": check_in,
            },
        )  # fmt: skip

    def reserve(self, account_id: UUID, user_id: str, amount_usd: Decimal) -> None:
        values = {"account": account_id, "user": user_id, "amount": amount_usd}
        self.run(
            "INSERT INTO vsl.budgets (account_id, user_id) VALUES (%(account)s, ''), (%(account)s, %(user)s) "
            "ON CONFLICT DO NOTHING",
            values,
        )
        # A savepoint: both budgets or neither, also for a caller that goes on after OverBudget.
        with self.cursor.connection.transaction():
            touched = self.run(
                "UPDATE vsl.budgets SET reserved_usd = reserved_usd + %(amount)s, updated_at = now() "
                "WHERE account_id = %(account)s AND user_id IN ('', %(user)s) "
                "AND (limit_usd IS NULL OR spent_usd + reserved_usd + %(amount)s <= limit_usd)",
                values,
            )
            if touched < 2:
                raise OverBudget(
                    f"This would cost {amount_usd} USD and the budget does not cover it: raise the budget or "
                    "wait for running jobs to end."
                )

    def settle_cost(self, job: Job, attempt: Attempt | None, actual_usd: Decimal) -> None:
        values = {
            "account": job.account_id, "user": job.user_id, "job": job.id, "kind": job.kind,
            "attempt": attempt.id if attempt else None, "provider": attempt.provider if attempt else None,
            "model": job.model_id, "actual": actual_usd,
            "reserved": attempt.reserved_usd if attempt else Decimal(0),
        }  # fmt: skip
        written = self.run(
            "INSERT INTO vsl.cost_ledger (account_id, user_id, job_id, attempt_id, entry, kind, provider, "
            "model_id, amount_usd) VALUES (%(account)s, %(user)s, %(job)s, %(attempt)s, 'actual', %(kind)s, "
            "%(provider)s, %(model)s, %(actual)s) ON CONFLICT DO NOTHING",
            values,
        )
        if written:
            self.run(
                "UPDATE vsl.budgets SET reserved_usd = greatest(reserved_usd - %(reserved)s, 0), "
                "spent_usd = spent_usd + %(actual)s, updated_at = now() "
                "WHERE account_id = %(account)s AND user_id IN ('', %(user)s)",
                values,
            )

    def add_estimate(self, job: Job, attempt: Attempt | None, amount_usd: Decimal) -> None:
        self.run(
            "INSERT INTO vsl.cost_ledger (account_id, user_id, job_id, attempt_id, entry, kind, provider, "
            "model_id, amount_usd) VALUES (%(account)s, %(user)s, %(job)s, %(attempt)s, 'estimate', %(kind)s, "
            "%(provider)s, %(model)s, %(amount)s) ON CONFLICT DO NOTHING",
            {
                "account": job.account_id, "user": job.user_id, "job": job.id, "kind": job.kind,
                "attempt": attempt.id if attempt else None, "provider": attempt.provider if attempt else None,
                "model": job.model_id, "amount": amount_usd,
            },
        )  # fmt: skip
