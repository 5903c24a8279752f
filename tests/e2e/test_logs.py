"""What functions log: every line names its function and invocation, and the saved queries find what they ask for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from infra.constructs.queries import OF_ACCESS, OF_FUNCTIONS
from infra.stacks.api import ACCESS_FIELDS
from operate.accounts import SCOPES, Accounts
from tests.e2e.client import Api, eventually

Line = dict[str, Any]
# A message without sense. It comes from no queue, so that it does not come again.
NO_REPORT = {
    "messageId": "m-1",
    "body": "{}",
    "eventSource": "aws:sqs",
    "receiptHandle": "none",
    "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:vsl-local-reports",
    "attributes": {"ApproximateReceiveCount": "1"},
}
# Logs Insights gives every line these, and knows these words and functions (CloudWatch Logs, query syntax).
OF_AWS = {"@timestamp", "@message"}
WORDS = {"fields", "filter", "stats", "sort", "limit", "by", "as", "and", "or", "in", "asc", "desc", "like"}
FUNCTIONS = {"count", "sum", "pct", "max", "latest", "coalesce"}


@pytest.fixture(scope="module")
def account(accounts: Accounts, api: Api) -> Api:
    """One that nobody else uses."""
    made = accounts.create(f"logs-{uuid4().hex}")
    own = Api(api.base_url, accounts.create_key(made["accountId"], SCOPES)["apiKey"])
    eventually(lambda: own.get("/models").status == 200, lambda: "the new key is not known")
    return own


@pytest.fixture(scope="module")
def lines(stack: dict[str, Any], account: Api) -> dict[str, list[Line]]:
    """By function, the JSON lines logged while jobs ended well and ill, calls were refused and functions failed."""
    done = account.completed(account.generate("a boat"))
    assert account.ended(account.generate("a fall [fail=the model fell over]"))["status"] == "failed"
    account.get(f"/status/{uuid4()}").refuses(404, "not_found")
    for _ in range(5):
        Api(account.base_url, "nobody's key").get("/jobs").refuses(401, "unauthorized")
    (total,) = [
        b for b in account.get("/api/budgets").data()["budgets"] if (b["userId"], b["period"]) == (None, "total")
    ]
    assert total["spentUsd"] >= done["actualCost"] > 0
    account.call("PUT", "/api/budgets", {"limitUsd": round(total["spentUsd"] * 1.1, 6), "period": "total"}).data()
    _invoke(stack, "settle", {"action": "nothing it knows", "jobId": str(uuid4())})
    _invoke(stack, "settle", {"Records": [NO_REPORT]})
    _invoke(stack, "reconcile", {})
    folder = Path(stack["stateDir"]) / "logs" / "functions"
    return {file.stem: list(_lines(file)) for file in folder.glob("*.log")}


def test_every_line_names_its_function_and_its_invocation(lines: dict[str, list[Line]], stack: dict[str, Any]) -> None:
    assert len(lines) > 8
    for function, logged in lines.items():
        text = (Path(stack["stateDir"]) / "logs" / "functions" / f"{function}.log").read_text()
        invocations = set(re.findall(r"^START RequestId: (\S+)", text, flags=re.MULTILINE))
        for line in logged:
            assert line.get("function_name") == function, line
            assert line.get("function_request_id") in invocations, line


def test_lines_of_a_call_have_the_id_that_its_caller_was_told(account: Api, stack: dict[str, Any]) -> None:
    told = account.get(f"/status/{uuid4()}").body["requestId"]
    file = Path(stack["stateDir"]) / "logs" / "functions" / "vsl-local-status.log"

    found = eventually(
        lambda: [line for line in _lines(file) if line.get("correlation_id") == told], lambda: f"{told} is not logged"
    )

    assert [(line["message"], line["status"]) for line in found] == [("refused", 404)]


def test_keys_that_nobody_knows_are_no_errors(lines: dict[str, list[Line]]) -> None:
    said = [(line["level"], line["message"]) for line in lines["vsl-local-authorizer"] if "level" in line]

    assert said.count(("INFO", "invocation_refused")) >= 5
    assert {level for level, _ in said} == {"INFO"}


def test_failed_invocations_and_messages_are_logged_with_their_exceptions(lines: dict[str, list[Line]]) -> None:
    failed = [line for line in lines["vsl-local-settle"] if line.get("level") == "ERROR"]

    assert {(line["message"], line["exception_name"]) for line in failed} == {
        ("invocation_failed", "ValueError"),
        ("message_failed", "ValidationError"),
    }
    assert [line["messageId"] for line in failed if line["message"] == "message_failed"] == ["m-1"]
    assert [line for line in failed if "nothing it knows" in line["exception"]]


@pytest.mark.parametrize("name", OF_FUNCTIONS)
def test_a_saved_query_finds_the_fields_it_asks_for(lines: dict[str, list[Line]], name: str) -> None:
    logged = [line for of_function in lines.values() for line in of_function]
    said = re.findall(r'message = "(\w+)"', OF_FUNCTIONS[name])
    searched = [line for line in logged if not said or line.get("message") in said]

    there = {field for line in searched for field in line}

    assert searched
    assert fields_of(OF_FUNCTIONS[name]) - OF_AWS <= there


@pytest.mark.parametrize("name", OF_ACCESS)
def test_a_saved_query_of_the_access_log_asks_for_what_is_in_it(name: str) -> None:
    assert fields_of(OF_ACCESS[name]) - OF_AWS <= set(ACCESS_FIELDS)


def test_the_fields_of_a_query_are_read_as_insights_reads_them() -> None:
    query = """fields @timestamp, a, b | filter c = "d e" and f in ["g"] | stats count(*) as h, pct(i, 50) by j
| sort h desc | limit 5"""

    assert fields_of(query) == {"@timestamp", "a", "b", "c", "f", "i", "j"}


def fields_of(query: str) -> set[str]:
    """The fields that a query reads; AssertionError for a word or function it does not know."""
    bare = re.sub(r'"[^"]*"', "", query)
    functions = set(re.findall(r"(\w+)\(", bare))
    assert functions <= FUNCTIONS, functions - FUNCTIONS
    made = set(re.findall(r" as (\w+)", bare))
    return set(re.findall(r"@?[A-Za-z_]\w*", bare)) - WORDS - functions - made


def _invoke(stack: dict[str, Any], function: str, event: dict[str, Any]) -> None:
    client = boto3.client(
        "lambda",
        endpoint_url=stack["awsEndpoint"],
        region_name=stack["region"],
        aws_access_key_id=stack["awsAccessKeyId"],
        aws_secret_access_key=stack["awsSecretAccessKey"],
    )
    client.invoke(FunctionName=f"vsl-{stack['stage']}-{function}", Payload=json.dumps(event).encode())


def _lines(file: Path) -> Iterator[Line]:
    return (json.loads(line) for line in file.read_text().splitlines() if line.startswith("{"))
