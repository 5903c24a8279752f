"""Accounts and their API keys: `python -m operate.accounts --stage STAGE list|create|create-key|revoke-key`.

Works on any stage with the credentials and region of the environment. An account has one API Gateway key in
the stage's usage plan, by which it is throttled as a whole; its own keys, shown once, are kept as hashes by
the function `vsl-{stage}-account`, the only one that may write them.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_lambda import LambdaClient

USER_SCOPES = ("generate", "review", "compile", "read")
SCOPES = (*USER_SCOPES, "admin")
STAGES = ("dev", "staging", "homolog", "prod", "local")


class AccountCommandFailed(Exception):
    """The stage refused; the message says why."""


@dataclass(frozen=True)
class Accounts:
    """The account commands of one stage."""

    stage: str
    api_gateway: APIGatewayClient
    functions: LambdaClient

    def create(self, name: str) -> dict[str, Any]:
        """Makes an account with a usage-plan key and a first key: {accountId, apiKey, keyId, scopes}."""
        # API Gateway takes 20 to 128 letters and digits, nothing else.
        value = secrets.token_hex(32)
        key_id = self.add_usage_plan_key(name, value)
        request = {"action": "create_account", "name": name, "usagePlanKey": value, "usagePlanKeyId": key_id}
        try:
            return self.ask(request)
        except AccountCommandFailed:
            self.api_gateway.delete_api_key(apiKey=key_id)
            raise

    def create_key(self, account_id: str, scopes: Sequence[str]) -> dict[str, Any]:
        """Adds a key to an account: {keyId, apiKey, scopes}; apiKey is shown this once."""
        return self.ask({"action": "create_key", "accountId": account_id, "scopes": list(scopes)})

    def list(self) -> list[dict[str, Any]]:
        """All accounts with their keys, without secrets but with usagePlanKey."""
        accounts: list[dict[str, Any]] = self.ask({"action": "list_accounts"})["accounts"]
        return accounts

    def revoke_key(self, key_id: str) -> dict[str, Any]:
        """Revokes a key; an authorizer's cached answer may admit it for another minute."""
        return self.ask({"action": "revoke_key", "keyId": key_id})

    def rebuild_keys(self) -> dict[str, int]:
        """Writes the keys' DynamoDB projection anew from PostgreSQL: {written, removed, keptRevoked}."""
        return self.ask({"action": "rebuild_keys"})

    def add_usage_plan_key(self, name: str, value: str) -> str:
        """Puts an API Gateway key of this value into the stage's usage plan and answers its id."""
        plan = self._usage_plan()
        key = self.api_gateway.create_api_key(name=f"vsl-{self.stage}-{name}", value=value, enabled=True)
        self.api_gateway.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
        return key["id"]

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Invokes the account function. Raises AccountCommandFailed with its sentence when it refuses."""
        answer = self.functions.invoke(FunctionName=f"vsl-{self.stage}-account", Payload=json.dumps(request).encode())
        content = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise AccountCommandFailed(content.get("errorMessage", "the account function failed"))
        if "error" in content:
            raise AccountCommandFailed(f"{content['error']} ({content.get('code', 'unknown')})")
        assert isinstance(content, dict)
        return content

    def _usage_plan(self) -> str:
        pages = self.api_gateway.get_paginator("get_usage_plans").paginate()
        for plan in (plan for page in pages for plan in page["items"]):
            if plan["name"] == f"vsl-{self.stage}":
                return plan["id"]
        raise AccountCommandFailed(f"usage plan vsl-{self.stage} does not exist: deploy the stage first")


def connect(stage: str, session: boto3.Session | None = None, endpoint_url: str | None = None) -> Accounts:
    """The stage's account commands, with the session's credentials and region."""
    used = session or boto3.Session()
    return Accounts(
        stage=stage,
        api_gateway=used.client("apigateway", endpoint_url=endpoint_url),
        functions=used.client("lambda", endpoint_url=endpoint_url),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and prints its answer as JSON; 1 with a sentence on stderr when it was refused."""
    chosen = _parser().parse_args(arguments)
    try:
        answer = _run(connect(chosen.stage), chosen)
    except AccountCommandFailed as refused:
        print(f"accounts: {refused}", file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=2))
    return 0


def _run(accounts: Accounts, chosen: argparse.Namespace) -> object:
    match chosen.command:
        case "create":
            return accounts.create(chosen.name)
        case "create-key":
            return accounts.create_key(chosen.account, chosen.scopes)
        case "revoke-key":
            return accounts.revoke_key(chosen.key_id)
        case _:
            return [_without_usage_plan_key(account) for account in accounts.list()]


def _without_usage_plan_key(account: Mapping[str, Any]) -> dict[str, Any]:
    """What is printed: the usage-plan key is no credential, but nobody needs to see it either."""
    return {name: value for name, value in account.items() if name != "usagePlanKey"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="operate.accounts", description=__doc__)
    parser.add_argument("--stage", required=True, choices=STAGES)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="all accounts and their keys")
    create = commands.add_parser("create", help="an account and its first key")
    create.add_argument("--name", required=True)
    key = commands.add_parser("create-key", help="another key for an account")
    key.add_argument("--account", required=True)
    key.add_argument("--scopes", required=True, type=_scopes, help=f"of {','.join(SCOPES)}")
    revoke = commands.add_parser("revoke-key", help="a key stops working within a minute")
    revoke.add_argument("--key-id", required=True)
    return parser


def _scopes(text: str) -> list[str]:
    scopes = text.split(",")
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        raise argparse.ArgumentTypeError(f"unknown scope {unknown[0]}; known are {', '.join(SCOPES)}")
    return scopes


if __name__ == "__main__":
    sys.exit(main())
