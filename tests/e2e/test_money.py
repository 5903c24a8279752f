"""Usage and budgets by the API: each account sees and limits its own, and a limit holds before anything is paid."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

import pytest

from operate.accounts import SCOPES, Accounts
from tests.e2e.client import Api, a_text, eventually

Watch = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def rich(api: Api, accounts: Accounts) -> Api:
    """A key with every scope of a new account."""
    account = accounts.create(f"money-{uuid4().hex}")
    admin = Api(api.base_url, accounts.create_key(account["accountId"], SCOPES)["apiKey"])
    # API Gateway, and the local one, know a new key of the plan a second later.
    eventually(lambda: admin.get("/models").status == 200, lambda: "the new key is not known")
    return admin


def made_text(api: Api, user: str) -> str:
    """The id of a completed job of the user's."""
    job_id = str(api.post("/generate-media", a_text("a poem", userId=user)).data(202)["jobId"])
    api.completed(job_id)
    return job_id


def budget(api: Api, **wanted: Any) -> dict[str, Any]:
    found = [b for b in api.get("/api/budgets").data()["budgets"] if wanted.items() <= b.items()]
    assert len(found) == 1, found
    return dict(found[0])


def test_a_job_is_in_the_usage_with_what_was_expected_and_what_it_cost(rich: Api) -> None:
    made_text(rich, "poet")

    usage = rich.get("/api/usage?groupBy=model").data()

    (group,) = usage["groups"]
    assert (group["key"], group["jobs"]) == ("llama-3-8b-instruct", 1)
    assert usage["totals"]["actualUsd"] == group["actualUsd"] > 0
    assert [g["key"] for g in rich.get("/api/usage?groupBy=user").data()["groups"]] == ["poet"]
    assert rich.get("/api/usage?from=2020-01-01&to=2020-02-01").data()["groups"] == []
    elsewhere = rich.get("/api/usage?from=2020-01-01T02:00:00%2B02:00").data()
    assert elsewhere["from"] == "2020-01-01T00:00:00.000Z"


def test_another_account_sees_neither_usage_nor_budgets(rich: Api, stranger: Api) -> None:
    user = uuid4().hex
    rich.call("PUT", "/api/budgets", {"userId": user, "limitUsd": 5}).data()

    assert user not in [b["userId"] for b in stranger.get("/api/budgets").data()["budgets"]]
    assert stranger.get("/api/usage?groupBy=user").data()["groups"] != [{"key": user}]


def test_a_limit_is_402_before_anything_is_written(rich: Api, nothing_made: Watch, words: str) -> None:
    rich.call("PUT", "/api/budgets", {"limitUsd": 0, "period": "month"}).data()

    with nothing_made():
        sentence = rich.post("/generate-media", a_text(words)).refuses(402, "budget_exceeded")

    assert "raise the budget" in sentence
    rich.call("PUT", "/api/budgets", {"limitUsd": None, "period": "month"}).data()
    assert rich.post("/generate-media", a_text(words)).status == 202


def test_a_users_limit_holds_under_two_hundred_requests_at_once(rich: Api) -> None:
    asked = {"userId": "one", "mediaType": "image", "modelId": "flux-schnell", "parameters": {"prompt": "[seconds=60]"}}
    rich.call("PUT", "/api/budgets", {"userId": "one", "limitUsd": 0.03, "period": "total"}).data()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: rich.post("/generate-media", asked), range(200)))

    accepted = [answer.body["jobId"] for answer in answers if answer.status == 202]
    assert len(accepted) == 10
    assert {answer.status for answer in answers} == {202, 402}
    for job_id in accepted:
        rich.post(f"/jobs/{job_id}/cancel").data()


def test_what_is_spent_counts_against_month_and_total(rich: Api) -> None:
    made_text(rich, "two")

    month, total = budget(rich, userId="two", period="month"), budget(rich, userId="two", period="total")

    assert month["spentUsd"] == total["spentUsd"] > 0
    assert month["reservedUsd"] == total["reservedUsd"] == 0


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"limitUsd": -1}, "limitUsd"),
        ({"limitUsd": "5"}, "limitUsd"),
        ({}, "limitUsd"),
        ({"limitUsd": 1, "userId": ".."}, "userId"),
        ({"limitUsd": 1, "perod": "month"}, "perod"),
    ],
)
def test_a_wrong_budget_is_refused(rich: Api, body: dict[str, Any], path: str) -> None:
    assert f"{path}: " in rich.call("PUT", "/api/budgets", body).refuses(422, "invalid_request")


def test_only_an_administrators_key_sets_budgets(api: Api) -> None:
    api.call("PUT", "/api/budgets", {"limitUsd": 1}).refuses(403, "missing_scope")


def test_a_refusal_names_the_budget_its_limit_and_what_is_left(rich: Api, words: str) -> None:
    asked = {"mediaType": "image", "modelId": "flux-schnell", "parameters": {"prompt": f"{words} [seconds=60]"}}
    rich.call("PUT", "/api/budgets", {"userId": "one", "limitUsd": 0.01, "period": "total"}).data()
    rich.call("PUT", "/api/budgets", {"userId": "other", "limitUsd": 0.001, "period": "total"}).data()
    rich.call("PUT", "/api/budgets", {"limitUsd": 0.008, "period": "month"}).data()
    for _ in range(2):
        rich.post("/generate-media", {**asked, "userId": "one"}).data(202)

    refused = rich.post("/generate-media", {**asked, "userId": "one"})

    # Of 0.008 in the month two images of 0.003 leave 0.002; the user's own 0.004 would do for a third.
    sentence = refused.refuses(402, "budget_exceeded")
    assert "would cost 0.003 USD" in sentence
    assert "the budget of the account for 20" in sentence
    assert "has 0.002 USD left of 0.008 USD" in sentence
    (short,) = refused.body["details"]
    assert (short["path"], short["userId"], short["period"]) == ("budget", None, "month")
    assert (short["neededUsd"], short["limitUsd"], short["leftUsd"]) == (0.003, 0.008, 0.002)
    assert (short["spentUsd"], short["reservedUsd"]) == (0.0, 0.006)
    rich.call("PUT", "/api/budgets", {"userId": "one", "limitUsd": 0.0065, "period": "total"}).data()
    both = rich.post("/generate-media", {**asked, "userId": "one"})
    assert "user 'one' of all time has 0.0005 USD left" in both.refuses(402, "budget_exceeded")
    assert [one["userId"] for one in both.body["details"]] == ["one", None]
    assert "other" not in str(both.body)
