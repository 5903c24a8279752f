"""What operators put is what functions read: the command and the reader on the stack's Secrets Manager."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from local.commands import operator_environment
from local.layout import find_layout
from operate import secrets as command
from operate.secrets import SecretRefused, Secrets
from shared.adapters.secrets import SecretVersions
from shared.domain.errors import DependencyDown
from shared.domain.rotation import CACHED_SECONDS, RotatedSecret
from tests.memory import MemoryClock

NAME = "webhook-url-key"
FIRST, SECOND, THIRD = (f"value-number-{word}" for word in ("one", "two", "three"))


@pytest.fixture
def secrets(stack: dict[str, Any]) -> Secrets:
    """Of a stage that has none yet."""
    manager = boto3.client(
        "secretsmanager",
        region_name=stack["region"],
        endpoint_url=stack["awsEndpoint"],
        aws_access_key_id=stack["awsAccessKeyId"],
        aws_secret_access_key=stack["awsSecretAccessKey"],
    )
    return Secrets(f"test-{uuid4().hex[:8]}", manager)


@pytest.fixture
def clock() -> MemoryClock:
    return MemoryClock(datetime.now(UTC))


@pytest.fixture
def reader(secrets: Secrets, clock: MemoryClock) -> SecretVersions:
    return SecretVersions(f"secret:{secrets.id_of(NAME)}", lambda: secrets.manager, clock)


def read_anew(reader: SecretVersions, clock: MemoryClock) -> RotatedSecret:
    clock.sleep(CACHED_SECONDS + 1)
    return reader.read()


def test_the_first_value_is_the_only_one(secrets: Secrets, reader: SecretVersions, clock: MemoryClock) -> None:
    with pytest.raises(DependencyDown, match=r"has no secret .*webhook-url-key"):
        reader.read()
    secrets.set(NAME, FIRST)

    assert reader.read().accepted(clock.now()) == (FIRST,)


def test_a_rotation_leaves_the_former_value_accepted(
    secrets: Secrets, reader: SecretVersions, clock: MemoryClock
) -> None:
    secrets.set(NAME, FIRST)
    until = secrets.rotate(NAME, SECOND)
    read = reader.read()

    assert read.accepted(clock.now()) == (SECOND, FIRST)
    assert read.signing(clock.now()) == FIRST
    assert read.accepted(until + timedelta(minutes=1)) == (SECOND,)


def test_a_value_that_is_set_ends_what_was_accepted_before(
    secrets: Secrets, reader: SecretVersions, clock: MemoryClock
) -> None:
    secrets.set(NAME, FIRST)
    secrets.rotate(NAME, SECOND)
    reader.read()
    secrets.set(NAME, THIRD)

    assert SECOND in reader.read().accepted(clock.now())  # for the minute that a value is kept
    assert read_anew(reader, clock).accepted(clock.now()) == (THIRD,)


def test_a_second_rotation_within_the_overlap_is_refused_and_changes_nothing(
    secrets: Secrets, reader: SecretVersions, clock: MemoryClock
) -> None:
    secrets.set(NAME, FIRST)
    secrets.rotate(NAME, SECOND)

    with pytest.raises(SecretRefused, match="less than a day ago"):
        secrets.rotate(NAME, THIRD)
    assert reader.read().accepted(clock.now()) == (SECOND, FIRST)


def test_a_value_of_before_an_environment_was_frozen_is_read_again(
    secrets: Secrets, reader: SecretVersions, clock: MemoryClock
) -> None:
    secrets.set(NAME, FIRST)
    reader.read()
    secrets.set(NAME, SECOND)
    clock.freeze(CACHED_SECONDS + 1)

    assert reader.read().current == SECOND


def test_what_was_read_last_holds_while_the_service_cannot_be_read(
    secrets: Secrets, reader: SecretVersions, clock: MemoryClock
) -> None:
    secrets.set(NAME, FIRST)
    reader.read()
    nowhere = boto3.client(
        "secretsmanager",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )
    reader.client = lambda: nowhere

    assert read_anew(reader, clock).accepted(clock.now()) == (FIRST,)
    with pytest.raises(DependencyDown, match="cannot be read"):
        SecretVersions(reader.address, reader.client, clock).read()


def test_a_rotation_of_what_is_not_there_is_refused(secrets: Secrets) -> None:
    with pytest.raises(SecretRefused, match="`set` makes it"):
        secrets.rotate(NAME, FIRST)


def test_a_list_says_since_when_and_never_what(secrets: Secrets) -> None:
    secrets.set(NAME, FIRST)
    secrets.rotate(NAME, SECOND)

    lines = {line["name"]: line for line in secrets.listed()}

    assert lines["runway-token"] == {"name": "runway-token", "exists": False}
    assert set(lines[NAME]) == {"name", "exists", "changedAt", "formerAcceptedUntil"}
    assert not any(value in str(lines) for value in (FIRST, SECOND))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("replicate-token", "r8_two words"),
        ("replicate-token", "r8_line\nbreak"),
        ("runway-token", ""),
        ("replicate-webhook-secret", "whsec_dG9vIHNob3J0"),
        ("replicate-webhook-secret", "not-with-a-prefix-at-all"),
        ("replicate-webhook-secret", "whsec_\N{SNOWMAN}"),
    ],
)
def test_a_value_that_cannot_work_is_refused_without_being_repeated(name: str, value: str) -> None:
    with pytest.raises(SecretRefused) as refused:
        command.CHECKS[name](value)

    assert not value or value not in str(refused.value)


def test_what_the_service_refuses_is_told_without_the_value(
    secrets: Secrets, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets.set("replicate-token", FIRST)
    secrets.manager.delete_secret(SecretId=secrets.id_of("replicate-token"))
    monkeypatch.setattr(command, "connect_secrets", lambda stage: secrets)
    monkeypatch.setattr("sys.stdin", io.StringIO(SECOND))

    assert command.main(["--stage", "local", "set", "replicate-token"]) == 1

    said = capsys.readouterr()
    assert "InvalidRequestException" in said.err
    assert SECOND not in said.out + said.err


def test_a_value_is_no_argument_of_the_command(stack: dict[str, Any]) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "operate.secrets", "--stage", "local", "set", "replicate-token", "r8_on_the_line"],
        cwd=find_layout().root,
        env={**os.environ, **operator_environment(stack)},
        capture_output=True,
        text=True,
    )

    assert refused.returncode == 2
