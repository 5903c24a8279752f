"""What operators ask the deployed database and set in it, by the command and the function it invokes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from local.commands import operator_environment
from operate import database
from shared.domain.errors import InvalidRequest
from shared.usecases.tend_database import tend
from tests.integration.inside import World

Run = Callable[..., Any]


@pytest.fixture
def run(stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command on the stack: its answer, or its sentence when it was refused."""
    for name, value in operator_environment(stack).items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str) -> Any:
        failed = database.main(["--stage", "local", *arguments])
        said = capsys.readouterr()
        return said.err if failed else json.loads(said.out)

    return command


@pytest.fixture
def account(stack: dict[str, Any]) -> str:
    with psycopg.connect(stack["databaseUrl"]) as connection:
        row = connection.execute("SELECT id FROM vsl.accounts WHERE name = 'demo'").fetchone()
    assert row is not None
    return str(row[0])


def _sql(stack: dict[str, Any], statement: str, *values: Any) -> list[Any]:
    with psycopg.connect(stack["databaseUrl"]) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def test_an_accounts_limits_are_read_set_and_given_back(run: Run, account: str, stack: dict[str, Any]) -> None:
    own = {"maxRunningCalls": None, "maxUnfinishedJobs": None, "maxOpenUploads": None}
    assert run("limits", account)["limits"] == own
    run("limits", account, "maxRunningCalls", "7")
    run("limits", account, "maxUnfinishedJobs", "9")
    rows = _sql(stack, "SELECT settings FROM vsl.account_settings WHERE account_id = %s", account)
    assert rows == [({"maxRunningCalls": 7, "maxUnfinishedJobs": 9},)]
    run("limits", account, "maxRunningCalls", "default")
    assert run("limits", account, "maxUnfinishedJobs", "default")["limits"] == own


def test_what_is_no_limit_or_no_account_is_refused_with_a_sentence(run: Run, account: str) -> None:
    assert "maxRunningCalls" in run("limits", account, "maxMoney", "7")
    assert "whole number" in run("limits", account, "maxRunningCalls", "0")
    assert "unknown_account" in run("limits", str(uuid4()))
    assert "account's id" in run("limits", "demo")


@pytest.mark.parametrize("value", [True, False, 1.0, "1", 0, 1_000_001])
def test_a_limit_is_a_whole_number_and_nothing_that_is_like_one(world: World, value: object) -> None:
    account_id = str(world.caller.account_id)
    order = {"action": "set_limit", "accountId": account_id, "name": "maxRunningCalls", "value": value}
    with pytest.raises(InvalidRequest, match="whole number"):
        tend(order, records=world.records)
    assert tend({**order, "action": "read_limits"}, records=world.records)["limits"]["maxRunningCalls"] is None


def test_a_providers_pace_is_shown_and_forgotten(run: Run, stack: dict[str, Any]) -> None:
    _sql(stack, "DELETE FROM vsl.provider_pace WHERE provider = 'runway'")
    _sql(
        stack,
        "INSERT INTO vsl.provider_pace (provider, rate_per_second, tokens, filled_at, failures, blocked_until) "
        "VALUES ('runway', 0.5, 1, now(), 6, '2040-01-01T00:00:00Z')",
    )

    (shown,) = [one for one in run("pace", "list")["paces"] if one["provider"] == "runway"]

    assert shown == {
        "provider": "runway",
        "ratePerSecond": 0.5,
        "blockedUntil": "2040-01-01T00:00:00.000Z",
        "failures": 6,
    }
    assert run("pace", "reset", "runway") == {"provider": "runway", "reset": True}
    assert "unknown_provider" in run("pace", "reset", "runway")


def test_rows_that_the_sweep_leaves_alone_are_taken_back(run: Run, stack: dict[str, Any]) -> None:
    _sql(stack, "INSERT INTO vsl.set_back_rows VALUES ('some-row', now() + interval '1 hour')")

    assert "some-row" in [one["row"] for one in run("set-back", "list")["rows"]]
    assert run("set-back", "take-back", "some-row") == {"row": "some-row", "takenBack": True}
    assert "some-row" not in [one["row"] for one in run("set-back", "list")["rows"]]
    assert "unknown_row" in run("set-back", "take-back", "some-row")


def test_who_waits_for_a_turn_is_shown_by_account(run: Run, account: str, stack: dict[str, Any]) -> None:
    ids = [uuid4(), uuid4()]
    for one in ids:
        _sql(
            stack,
            "INSERT INTO vsl.jobs (id, account_id, user_id, kind, route, request_hash, request, output_format, "
            "deadline_at, waits_for, check_at) VALUES (%s, %s, 'u', 'compile', 'r', '', '{}', 'mp4', "
            "now() + interval '1 hour', 'compile', now() + interval '1 hour')",
            one,
            account,
        )
    try:
        shown = run("turns")["turns"]
    finally:
        _sql(stack, "DELETE FROM vsl.job_events WHERE job_id = ANY(%s)", ids)
        _sql(stack, "DELETE FROM vsl.jobs WHERE id = ANY(%s)", ids)

    assert [(one["lane"], one["accountId"], one["jobs"]) for one in shown] == [("compile", account, 2)]


def test_operators_documents_ask_for_no_sql() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf8")

    assert "SELECT " not in text
    assert "DELETE FROM" not in text
