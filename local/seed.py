"""Accounts every local stack has: `demo`, `other`, and an administrator's key of `demo`.

Their keys' secrets exist only here (the database has hashes), so they are kept beside the database.
"""

from __future__ import annotations

from local.layout import Layout, read_json, write_json
from operate.accounts import SCOPES, USER_SCOPES, Accounts

ACCOUNT_NAMES = ("demo", "other")


def ensure_accounts(layout: Layout, accounts: Accounts) -> dict[str, str]:
    """Keys of the local accounts: {demo, other, admin}, made where they are missing.

    The API Gateway keys of all accounts are made again with their old values and the authorizer's table is
    written anew, since both are lost with the emulator.
    """
    existing = accounts.list()
    for account in existing:
        accounts.add_usage_plan_key(account["name"], account["usagePlanKey"])
    kept = read_json(layout.accounts_file)
    known = {key["keyId"] for account in existing for key in account["keys"] if not key["revokedAt"]}
    keys = {name: key for name, key in kept.items() if key["keyId"] in known}
    ids = {account["name"]: account["accountId"] for account in existing}
    for name in ACCOUNT_NAMES:
        if name not in ids:
            keys[name] = accounts.create(name)
            ids[name] = keys[name]["accountId"]
        elif name not in keys:
            keys[name] = accounts.create_key(ids[name], USER_SCOPES)
    if "admin" not in keys:
        keys["admin"] = accounts.create_key(ids["demo"], SCOPES)
    write_json(layout.accounts_file, keys)
    accounts.rebuild_keys()
    return {name: key["apiKey"] for name, key in keys.items()}
