"""Operators' account commands, and the accounts a local stack keeps over its restarts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from local.commands import operator_environment
from local.layout import Layout, find_layout, read_json
from local.seed import ensure_accounts
from operate.accounts import USER_SCOPES


@dataclass
class FakeAccounts:
    """The account commands over a dictionary; usage-plan keys are lost by `restart`, as in the emulator."""

    accounts: list[dict[str, Any]] = field(default_factory=list)
    plan_keys: dict[str, str] = field(default_factory=dict)
    rebuilt: int = 0

    def create(self, name: str) -> dict[str, Any]:
        self.plan_keys[name] = f"plan-{name}"
        account = {"accountId": f"id-{name}", "name": name, "usagePlanKey": f"plan-{name}", "keys": []}
        self.accounts.append(account)
        return {"accountId": account["accountId"], **self.create_key(f"id-{name}", USER_SCOPES)}

    def create_key(self, account_id: str, scopes: Sequence[str]) -> dict[str, Any]:
        account = next(account for account in self.accounts if account["accountId"] == account_id)
        key_id = f"{account_id}-{len(account['keys'])}"
        account["keys"].append({"keyId": key_id, "scopes": list(scopes), "revokedAt": None})
        return {"keyId": key_id, "apiKey": f"secret of {key_id}", "scopes": list(scopes)}

    def list(self) -> list[dict[str, Any]]:
        return self.accounts

    def add_usage_plan_key(self, name: str, value: str) -> str:
        self.plan_keys[name] = value
        return name

    def rebuild_keys(self) -> dict[str, int]:
        self.rebuilt += 1
        return {"written": len(self.accounts), "removed": 0}


def test_a_new_stack_gets_two_accounts_and_an_administrator(tmp_path: Path) -> None:
    accounts = FakeAccounts()

    keys = ensure(tmp_path, accounts)

    assert sorted(keys) == ["admin", "demo", "other"]
    assert [account["name"] for account in accounts.accounts] == ["demo", "other"]
    assert accounts.accounts[0]["keys"][1]["scopes"] == [*USER_SCOPES, "admin"]


def test_kept_accounts_keep_their_keys_and_get_their_plan_keys_back(tmp_path: Path) -> None:
    accounts = FakeAccounts()
    before = ensure(tmp_path, accounts)
    accounts.plan_keys.clear()

    assert ensure(tmp_path, accounts) == before
    assert accounts.plan_keys == {"demo": "plan-demo", "other": "plan-other"}
    assert accounts.rebuilt == 2


def test_an_account_whose_secret_was_lost_gets_another_key(tmp_path: Path) -> None:
    accounts = FakeAccounts()
    ensure(tmp_path, accounts)
    (tmp_path / "accounts.json").unlink()

    assert ensure(tmp_path, accounts)["other"] == "secret of id-other-1"


def test_the_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    ensure(tmp_path, FakeAccounts())

    assert (tmp_path / "accounts.json").stat().st_mode & 0o777 == 0o600
    assert read_json(tmp_path / "accounts.json")["demo"]["apiKey"]


def test_an_operator_makes_lists_and_revokes_keys(stack: dict[str, Any]) -> None:
    made = operate(stack, "create", "--name", "studio")
    extra = operate(stack, "create-key", "--account", made["accountId"], "--scopes", "read")
    operate(stack, "revoke-key", "--key-id", extra["keyId"])

    listed = next(account for account in operate(stack, "list") if account["name"] == "studio")

    assert made["apiKey"] not in json.dumps(listed)
    assert "usagePlanKey" not in listed
    assert [bool(key["revokedAt"]) for key in listed["keys"]] == [False, True]


def test_a_usage_plan_key_is_one_that_api_gateway_takes(stack: dict[str, Any]) -> None:
    """20 to 128 letters and digits; the emulator takes others as well (API Gateway guide, usage plans and keys)."""
    operate(stack, "create", "--name", "gallery")
    gateway = boto3.client(
        "apigateway",
        endpoint_url=stack["awsEndpoint"],
        region_name=stack["region"],
        aws_access_key_id=stack["awsAccessKeyId"],
        aws_secret_access_key=stack["awsSecretAccessKey"],
    )

    keys = gateway.get_api_keys(nameQuery="vsl-local-gallery", includeValues=True)["items"]

    assert [bool(re.fullmatch("[A-Za-z0-9]{20,128}", key["value"])) for key in keys] == [True]


def test_a_refused_command_says_why_and_leaves_no_plan_key(stack: dict[str, Any]) -> None:
    refused = run_operate(stack, "create", "--name", "demo")

    assert refused.returncode == 1
    assert refused.stderr.startswith("accounts: ")
    assert "Traceback" not in refused.stderr


def ensure(state: Path, accounts: FakeAccounts) -> dict[str, str]:
    return ensure_accounts(Layout(root=find_layout().root, state=state), accounts)  # type: ignore[arg-type]


def operate(stack: dict[str, Any], *arguments: str) -> Any:
    done = run_operate(stack, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run_operate(stack: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "operate.accounts", "--stage", "local", *arguments],
        cwd=find_layout().root,
        env={**os.environ, **operator_environment(stack)},
        capture_output=True,
        text=True,
    )
