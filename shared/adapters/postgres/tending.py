"""The subjects of operators' questions and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from shared.adapters.postgres.rows import OPEN, Rows


class TendingRows(Rows):
    """Statements of operators' orders."""

    def paces(self) -> Sequence[Mapping[str, Any]]:
        return self.all(
            "SELECT provider, rate_per_second, blocked_until, failures FROM vsl.provider_pace ORDER BY provider", {}
        )

    def forget_pace(self, provider: str) -> bool:
        return self.run("DELETE FROM vsl.provider_pace WHERE provider = %(provider)s", {"provider": provider}) == 1

    def waiting_for_turns(self) -> Sequence[Mapping[str, Any]]:
        return self.all(
            "SELECT waits_for, account_id, count(*) AS jobs, min(created_at) AS oldest FROM vsl.jobs "
            f"WHERE waits_for IS NOT NULL AND {OPEN} GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2",
            {},
        )

    def rows_set_back(self) -> Sequence[Mapping[str, Any]]:
        return self.all("SELECT row_id, until FROM vsl.set_back_rows WHERE until > now() ORDER BY until", {})

    def take_back(self, row_id: str) -> bool:
        return self.run("DELETE FROM vsl.set_back_rows WHERE row_id = %(id)s", {"id": row_id}) == 1

    def account_settings(self, account_id: UUID) -> Mapping[str, int] | None:
        row = self.one(
            "SELECT coalesce(s.settings, '{}') AS settings FROM vsl.accounts a "
            "LEFT JOIN vsl.account_settings s ON s.account_id = a.id WHERE a.id = %(account)s",
            {"account": account_id},
        )
        return row["settings"] if row else None

    def set_account(self, account_id: UUID, name: str, value: int | None) -> None:
        self.run(
            "INSERT INTO vsl.account_settings AS s (account_id, settings) "
            "VALUES (%(account)s, jsonb_strip_nulls(jsonb_build_object(%(name)s::text, %(value)s::int))) "
            "ON CONFLICT (account_id) DO UPDATE SET updated_at = now(), "
            "settings = jsonb_strip_nulls(s.settings || jsonb_build_object(%(name)s::text, %(value)s::int))",
            {"account": account_id, "name": name, "value": value},
        )
