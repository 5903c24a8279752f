"""Accounts and their keys; the DynamoDB table is a projection of these rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg

from shared.adapters.postgres.rows import Rows
from shared.domain.errors import Conflict, NotFound


class AccountRows(Rows):
    """Statements on `vsl.accounts` and `vsl.api_keys`."""

    def insert_account(self, account_id: UUID, name: str, usage_plan_key: str, usage_plan_key_id: str) -> None:
        try:
            self.run(
                "INSERT INTO vsl.accounts (id, name, usage_plan_key, usage_plan_key_id) "
                "VALUES (%(id)s, %(name)s, %(key)s, %(key_id)s)",
                {"id": account_id, "name": name, "key": usage_plan_key, "key_id": usage_plan_key_id},
            )
        except psycopg.errors.UniqueViolation:
            raise Conflict(f"There is an account named {name!r} already.", code="name_taken") from None

    def insert_key(self, key_id: UUID, account_id: UUID, key_hash: str, scopes: Sequence[str]) -> None:
        try:
            self.run(
                "INSERT INTO vsl.api_keys (id, account_id, key_hash, scopes) "
                "VALUES (%(id)s, %(account)s, %(hash)s, %(scopes)s)",
                {"id": key_id, "account": account_id, "hash": key_hash, "scopes": list(scopes)},
            )
        except psycopg.errors.ForeignKeyViolation:
            raise NotFound("There is no such account: list them first.", code="unknown_account") from None

    def revoke_key(self, key_id: UUID) -> bool:
        touched = self.run(
            "UPDATE vsl.api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = %(id)s",
            {"id": key_id},
        )
        return touched == 1

    def keys(self, account_id: UUID | None = None) -> Sequence[Mapping[str, Any]]:
        return self.all(
            "SELECT k.id, k.account_id, k.key_hash, k.scopes, k.created_at, k.revoked_at, a.usage_plan_key "
            "FROM vsl.api_keys k JOIN vsl.accounts a ON a.id = k.account_id "
            "WHERE %(account)s::uuid IS NULL OR k.account_id = %(account)s ORDER BY k.created_at, k.id",
            {"account": account_id},
        )

    def accounts(self) -> Sequence[Mapping[str, Any]]:
        return self.all(
            "SELECT id, name, usage_plan_key, usage_plan_key_id, created_at FROM vsl.accounts ORDER BY created_at",
            {},
        )
