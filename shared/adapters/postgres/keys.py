"""Idempotency keys of calls that make something other than a job."""

from __future__ import annotations

from uuid import UUID

from shared.adapters.postgres.rows import Rows
from shared.domain.jobs import KeptKey

_OF_KEY = "account_id = %(account)s AND route = %(route)s AND key = %(key)s"


class KeyRows(Rows):
    """Statements on `vsl.idempotency_keys`."""

    def take_key(self, account_id: UUID, route: str, key: str, request_hash: str) -> bool:
        return bool(
            self.run(
                "INSERT INTO vsl.idempotency_keys (account_id, route, key, request_hash) "
                "VALUES (%(account)s, %(route)s, %(key)s, %(hash)s) ON CONFLICT DO NOTHING",
                {"account": account_id, "route": route, "key": key, "hash": request_hash},
            )
        )

    def set_made(self, account_id: UUID, route: str, key: str, made: str) -> None:
        self.run(
            f"UPDATE vsl.idempotency_keys SET made = %(made)s WHERE {_OF_KEY}",
            {"account": account_id, "route": route, "key": key, "made": made},
        )

    def kept_key(self, account_id: UUID, route: str, key: str) -> KeptKey | None:
        row = self.one(
            f"SELECT request_hash, made FROM vsl.idempotency_keys WHERE {_OF_KEY}",
            {"account": account_id, "route": route, "key": key},
        )
        return KeptKey(row["request_hash"], row["made"]) if row else None
