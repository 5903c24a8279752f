"""Accounts and their keys. PostgreSQL holds hashes alone; a key's text is shown once, when it is made."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from shared.domain.errors import DependencyDown, InvalidRequest, Mistake, NotFound
from shared.domain.jobs import iso
from shared.observability import logger
from shared.ports import KeyDirectory, Records, Transaction

SCOPES = ("generate", "review", "compile", "read", "admin")
USER_SCOPES = SCOPES[:-1]


def act(order: Mapping[str, Any], *, records: Records, directory: KeyDirectory) -> dict[str, Any]:
    """Carries out one order: create_account, create_key, list_accounts, revoke_key, rebuild_keys.

    Raises InvalidRequest, Conflict (name taken), NotFound.
    """
    match order.get("action"):
        case "create_account":
            return _create_account(order, records, directory)
        case "create_key":
            return _create_key(order, records, directory)
        case "list_accounts":
            return _list(records)
        case "revoke_key":
            return _revoke(_uuid(order, "keyId"), records, directory)
        case "rebuild_keys":
            return rebuild_keys(records, directory)
    raise _wrong("action", "must be create_account, create_key, list_accounts, revoke_key or rebuild_keys")


def rebuild_keys(records: Records, directory: KeyDirectory) -> dict[str, int]:
    """Writes the directory anew and takes out keys that are in no row: {written, removed, keptRevoked}.

    keptRevoked counts keys that were revoked in the directory and not in the rows as they were read. Raises
    DependencyDown.
    """
    # Listed first: a key that is made meanwhile is a row before it is listed.
    listed = directory.hashes()
    with records.transaction() as tx:
        rows = list(tx.keys())
    strangers = listed - {row["key_hash"] for row in rows}
    for key_hash in strangers:
        directory.remove(key_hash)
    written, kept = _project(records, directory)
    return {"written": written, "removed": len(strangers), "keptRevoked": kept}


def restore_keys(records: Records, directory: KeyDirectory) -> int:
    """Writes a directory that is empty; how many keys. One that does not answer is left to the next time."""
    try:
        return _project(records, directory)[0] if directory.is_empty() else 0
    except DependencyDown as error:
        logger.warning("keys_left_to_next_sweep", extra={"reason": error.code})
        return 0


def _create_account(order: Mapping[str, Any], records: Records, directory: KeyDirectory) -> dict[str, Any]:
    name, plan_key = _text(order, "name"), _text(order, "usagePlanKey")
    account_id, scopes = uuid4(), _scopes(order, USER_SCOPES)
    with records.transaction() as tx:
        tx.insert_account(account_id, name, plan_key, str(order.get("usagePlanKeyId", "")))
        made = _new_key(tx, account_id, scopes)
    _project(records, directory, account_id)
    return {"accountId": str(account_id), **made}


def _create_key(order: Mapping[str, Any], records: Records, directory: KeyDirectory) -> dict[str, Any]:
    account_id, scopes = _uuid(order, "accountId"), _scopes(order, USER_SCOPES)
    with records.transaction() as tx:
        made = _new_key(tx, account_id, scopes)
    _project(records, directory, account_id)
    return made


def _new_key(tx: Transaction, account_id: UUID, scopes: Sequence[str]) -> dict[str, Any]:
    key_id, text = uuid4(), f"vsl_{secrets.token_urlsafe(32)}"
    tx.insert_key(key_id, account_id, hashlib.sha256(text.encode()).hexdigest(), scopes)
    return {"keyId": str(key_id), "apiKey": text, "scopes": list(scopes)}


def _revoke(key_id: UUID, records: Records, directory: KeyDirectory) -> dict[str, Any]:
    with records.transaction() as tx:
        if not tx.revoke_key(key_id):
            raise NotFound("There is no such key: list them first.", code="unknown_key")
    _project(records, directory)
    return {"keyId": str(key_id), "revoked": True}


def _project(records: Records, directory: KeyDirectory, account_id: UUID | None = None) -> tuple[int, int]:
    """How many keys were written, and how many stayed revoked because an order at the same time revoked them."""
    with records.transaction() as tx:
        keys = list(tx.keys(account_id))
    kept = [key for key in keys if not directory.put(_entry(key))]
    for key in kept:
        logger.warning("key_stays_revoked", extra={"action": "project_keys", "keyId": str(key["id"])})
    return len(keys) - len(kept), len(kept)


def _entry(key: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "keyHash": key["key_hash"],
        "keyId": str(key["id"]),
        "accountId": key["account_id"],
        "scopes": key["scopes"],
        "usagePlanKey": key["usage_plan_key"],
        "revokedAt": iso(key["revoked_at"]),
    }


def _list(records: Records) -> dict[str, Any]:
    with records.transaction() as tx:
        accounts, keys = list(tx.accounts()), list(tx.keys())
    return {
        "accounts": [
            {
                "accountId": str(account["id"]),
                "name": account["name"],
                "createdAt": iso(account["created_at"]),
                "usagePlanKey": account["usage_plan_key"],
                "usagePlanKeyId": account["usage_plan_key_id"],
                "keys": [_shown(key) for key in keys if key["account_id"] == account["id"]],
            }
            for account in accounts
        ]
    }


def _shown(key: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "keyId": str(key["id"]),
        "scopes": key["scopes"],
        "createdAt": iso(key["created_at"]),
        "revokedAt": iso(key["revoked_at"]),
    }


def _text(order: Mapping[str, Any], name: str) -> str:
    value = order.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 200:
        raise _wrong(name, "must be a text of 1 to 200 characters")
    return value


def _uuid(order: Mapping[str, Any], name: str) -> UUID:
    try:
        return UUID(str(order.get(name)))
    except ValueError:
        raise _wrong(name, "must be an id as `list` shows it") from None


def _scopes(order: Mapping[str, Any], default: Sequence[str]) -> list[str]:
    scopes = order.get("scopes", list(default))
    if not isinstance(scopes, list) or not scopes or set(scopes) - set(SCOPES):
        raise _wrong("scopes", f"must be some of {', '.join(SCOPES)}")
    return sorted(set(scopes), key=SCOPES.index)


def _wrong(name: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{name} {problem}.", details=[Mistake(name, problem)])
