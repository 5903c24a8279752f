"""Provider attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.adapters.postgres.rows import ATTEMPT_COLUMNS, Rows, assignments, column_value, to_attempt
from shared.domain.jobs import Attempt, AttemptState

_COLUMNS = ", ".join(ATTEMPT_COLUMNS)
_SETTABLE = (
    *ATTEMPT_COLUMNS,
    "actual_usd",
    "provider_status",
    "error_message",
    "accepted_at",
    "finished_at",
    "next_check_at",
)


_STAMPS = {
    "written": "",
    "claimed": "claimed_at = coalesce(claimed_at, now()), ",
    "accepted": "accepted_at = coalesce(accepted_at, now()), ",
}


class AttemptRows(Rows):
    """Statements on `vsl.provider_attempts`."""

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
                "_to": to.value,
                "_id": attempt.id,
                "_check_in": check_in,
            },
        )
