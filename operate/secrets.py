"""A stage's secrets: `python -m operate.secrets --stage STAGE list | set NAME | rotate NAME`.

Works on any stage with the credentials and region of the environment. A value is read from the terminal without an
echo, or from what is piped in; the key of webhook URLs, which nobody needs to know, is generated. No value is ever
an argument, printed or part of an error.

`set` puts a value that counts alone at once: the first one, or one after which the old must not be accepted any
more. `rotate` puts a new one and leaves the old accepted for a day (docs/decisions/0016-secrets-rotate-by-label.md).
"""

from __future__ import annotations

import argparse
import base64
import binascii
import getpass
import json
import re
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TextIO

import boto3
from botocore.exceptions import ClientError

from operate.accounts import STAGES

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import SecretVersionsListEntryTypeDef

# For so long functions accept the value before (shared/domain/rotation.py).
OVERLAP = timedelta(hours=24)
CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
GENERATED_BYTES = 48
_TOKEN = re.compile(r"[\x21-\x7e]{8,512}", re.ASCII)


class SecretRefused(Exception):
    """The value or the command cannot be taken; the message says why and holds no value."""


def _check_token(value: str) -> None:
    if not _TOKEN.fullmatch(value):
        raise SecretRefused("a token is 8 to 512 printable ASCII characters without spaces")


def _check_webhook_secret(value: str) -> None:
    """As Standard Webhooks write it. Raises SecretRefused."""
    prefix, encoded = value[:6], value[6:]
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if prefix != "whsec_" or not 24 <= len(key) <= 64:
        raise SecretRefused("a webhook secret is whsec_ and the base64 of 24 to 64 bytes")


# By name, what a value must be.
CHECKS: Mapping[str, Callable[[str], None]] = {
    "replicate-token": _check_token,
    "runway-token": _check_token,
    "replicate-webhook-secret": _check_webhook_secret,
    "webhook-url-key": _check_token,
}
GENERATED = ("webhook-url-key",)
_ACCEPTED = "what the former value signed is accepted until {until}"
_AT_THE_PROVIDER = "functions use it within a minute: withdraw the former one at the provider after that"
# What a rotation leaves of the former value. Functions accept signatures; tokens are accepted by their provider.
WHAT_OF_THE_FORMER = {
    "replicate-token": _AT_THE_PROVIDER,
    "runway-token": _AT_THE_PROVIDER,
    "replicate-webhook-secret": _ACCEPTED,
    "webhook-url-key": _ACCEPTED,
}


@dataclass(frozen=True)
class Secrets:
    """The secrets of one stage."""

    stage: str
    manager: SecretsManagerClient

    def set(self, name: str, value: str) -> None:
        """Makes the value the only one; makes the secret where there is none. Raises SecretRefused."""
        CHECKS[name](value)
        versions = self._versions(name)
        if versions is None:
            self.manager.create_secret(Name=self.id_of(name), SecretString=value)
            return
        self.manager.put_secret_value(SecretId=self.id_of(name), SecretString=value)
        former = (self._versions(name) or {}).get(PREVIOUS)
        if former is not None:
            self.manager.update_secret_version_stage(
                SecretId=self.id_of(name), VersionStage=PREVIOUS, RemoveFromVersionId=former["VersionId"]
            )

    def rotate(self, name: str, value: str) -> datetime:
        """Makes the value the current one; until when the one before it is accepted. Raises SecretRefused."""
        CHECKS[name](value)
        until = self.overlap_until(name)
        if until is not None:
            raise SecretRefused(
                f"{name} was rotated less than a day ago, and one former value alone is accepted: rotate it after "
                f"{_time(until)}, or `set` it, after which all that the former ones signed is refused"
            )
        self.manager.put_secret_value(SecretId=self.id_of(name), SecretString=value)
        return datetime.now(UTC) + OVERLAP

    def overlap_until(self, name: str) -> datetime | None:
        """Until when the value before the current one is accepted, if one is. Raises SecretRefused without a secret."""
        versions = self._versions(name)
        if versions is None:
            raise SecretRefused(f"there is no secret {self.id_of(name)} yet: `set` makes it")
        until = versions[CURRENT]["CreatedDate"] + OVERLAP
        return until if PREVIOUS in versions and datetime.now(UTC) < until else None

    def listed(self) -> list[dict[str, Any]]:
        """By name: whether it is there, when its value was put, until when the one before is accepted."""
        return [self._line(name) for name in CHECKS]

    def id_of(self, name: str) -> str:
        return f"/vsl/{self.stage}/{name}"

    def _line(self, name: str) -> dict[str, Any]:
        versions = self._versions(name)
        if versions is None:
            return {"name": name, "exists": False}
        until = self.overlap_until(name)
        line = {"name": name, "exists": True, "changedAt": _time(versions[CURRENT]["CreatedDate"])}
        return line if until is None else {**line, "formerAcceptedUntil": _time(until)}

    def _versions(self, name: str) -> dict[str, SecretVersionsListEntryTypeDef] | None:
        """By staging label, the version; None without a secret. Versions without a label are not listed."""
        try:
            listed = self.manager.list_secret_version_ids(SecretId=self.id_of(name), MaxResults=100)["Versions"]
        except self.manager.exceptions.ResourceNotFoundException:
            return None
        return {label: version for version in listed for label in version.get("VersionStages", [])}


def connect_secrets(stage: str, session: boto3.Session | None = None, endpoint_url: str | None = None) -> Secrets:
    """The stage's secrets, with the session's credentials and region."""
    used = session or boto3.Session()
    return Secrets(stage, used.client("secretsmanager", endpoint_url=endpoint_url))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 1 with a sentence on stderr when it was refused."""
    chosen = _parser().parse_args(arguments)
    try:
        return _run(connect_secrets(chosen.stage), chosen)
    except SecretRefused as refused:
        print(f"secrets: {refused}", file=sys.stderr)
    except ClientError as refused:
        # The service's own sentence may repeat what was sent.
        code = refused.response["Error"].get("Code")
        print(f"secrets: Secrets Manager refused {refused.operation_name}: {code}", file=sys.stderr)
    return 1


def _run(stage_secrets: Secrets, chosen: argparse.Namespace) -> int:
    match chosen.command:
        case "list":
            for line in stage_secrets.listed():
                print(json.dumps(line))
        case "set":
            stage_secrets.set(chosen.name, _value(chosen.name, sys.stdin))
            print(f"{chosen.name} is set; functions use it within a minute, and no former value is accepted then.")
        case _:
            until = stage_secrets.rotate(chosen.name, _value(chosen.name, sys.stdin))
            print(f"{chosen.name} is rotated; {WHAT_OF_THE_FORMER[chosen.name].format(until=_time(until))}.")
    return 0


def _value(name: str, given: TextIO) -> str:
    if name in GENERATED:
        return secrets.token_urlsafe(GENERATED_BYTES)
    return (getpass.getpass(f"{name}: ") if given.isatty() else given.read()).strip()


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="operate.secrets", description=__doc__)
    parser.add_argument("--stage", required=True, choices=STAGES)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="which secrets there are, since when; never a value")
    for name, text in (("set", "the only value from now on"), ("rotate", "a new value beside the former one")):
        commands.add_parser(name, help=text).add_argument("name", choices=sorted(CHECKS))
    return parser


if __name__ == "__main__":
    sys.exit(main())
