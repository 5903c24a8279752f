"""Keys, accounts, scopes, unknown routes and origins: every answer in the API's own shape."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

import pytest

from operate.accounts import Accounts
from tests.e2e.client import Answer, Api, a_text
from tests.e2e.conftest import Clips

Watch = Callable[[], AbstractContextManager[None]]
ORIGINS = ("http://localhost:3000", "http://127.0.0.1:3000")
EVIL = "https://evil.example.com"


def test_no_key_is_401(api: Api, nothing_made: Watch, words: str) -> None:
    with nothing_made():
        answer = Api(api.base_url, None).post("/generate-media", a_text(words))

    assert "X-API-Key" in answer.refuses(401, "unauthorized")


def test_an_unknown_key_is_401(api: Api, nothing_made: Watch, words: str) -> None:
    with nothing_made():
        answer = Api(api.base_url, "vsl_unknown").post("/generate-media", a_text(words))

    answer.refuses(401, "unauthorized")


def test_a_revoked_key_is_401(api: Api, accounts: Accounts, account_id: str, nothing_made: Watch, words: str) -> None:
    key = accounts.create_key(account_id, ["generate"])
    accounts.revoke_key(key["keyId"])  # before its first use, so that no authorizer remembers it

    with nothing_made():
        answer = Api(api.base_url, key["apiKey"]).post("/generate-media", a_text(words))

    answer.refuses(401, "unauthorized")


def test_a_key_without_the_scope_is_403(
    api: Api, accounts: Accounts, account_id: str, nothing_made: Watch, words: str
) -> None:
    reader = Api(api.base_url, accounts.create_key(account_id, ["read"])["apiKey"])

    with nothing_made():
        answers = {
            "generate": reader.post("/generate-media", a_text(words)),
            "review": reader.post("/api/scripts", {"sectionId": 1}),
            "compile": reader.post("/compile-videos", {"scriptId": 1}),
        }

    assert all(f"'{scope}'" in answer.refuses(403, "missing_scope") for scope, answer in answers.items())
    assert reader.get("/models").status == 200


def test_a_key_without_read_may_not_read(api: Api, accounts: Accounts, account_id: str) -> None:
    maker = Api(api.base_url, accounts.create_key(account_id, ["generate"])["apiKey"])

    for path in ("/jobs", f"/status/{uuid4()}", "/models", "/api/scripts", "/api/section-videos"):
        assert "'read'" in maker.get(path).refuses(403, "missing_scope")


def of_every_route(api: Api, job_id: str, video_id: str, script_id: str) -> list[Answer]:
    """Every route with an id in it, asked with these ids."""
    calls: list[tuple[str, str, Any]] = [
        ("GET", f"/status/{job_id}", None),
        ("GET", f"/jobs/{job_id}/events", None),
        ("POST", f"/jobs/{job_id}/cancel", {}),
        ("POST", f"/jobs/{job_id}/retry", {}),
        ("GET", f"/api/scripts/{script_id}", None),
        ("POST", f"/api/scripts/{script_id}/compile", {}),
        ("PATCH", f"/api/section-videos/{video_id}", {"position": 5}),
        ("POST", f"/api/section-videos/{video_id}/approve", {}),
        ("POST", f"/api/section-videos/{video_id}/reject", {}),
        ("POST", f"/api/section-videos/{video_id}/reject", {"regenerate": True}),
    ]
    return [api.call(method, path, body) for method, path, body in calls]


def test_what_is_another_accounts_is_404_on_every_route(
    stranger: Api, api: Api, clips: Clips, nothing_made: Watch
) -> None:
    before = api.videos(clips.script_id)

    with nothing_made():
        answers = of_every_route(stranger, clips.job_ids[0], clips.video_ids[0], str(clips.script_id))
        answers.append(stranger.post("/compile-videos", {"videoIds": list(clips.video_ids)}))
        answers.append(stranger.post("/compile-videos", {"clips": [{"jobId": clips.job_ids[0]}]}))
        answers.append(stranger.post("/compile-videos", {"scriptId": clips.script_id}))
        answers.append(stranger.post("/generate-media", a_text("x", scriptId=clips.script_id)))

    assert [answer.refuses(404, "not_found") for answer in answers]
    assert [video["status"] for video in api.videos(clips.script_id)] == [video["status"] for video in before]


def test_lists_hold_nothing_of_another_account(stranger: Api, clips: Clips) -> None:
    assert stranger.videos(clips.script_id) == []
    jobs = stranger.get("/jobs?userId=tester&limit=200").data()["jobs"]
    assert not {job["jobId"] for job in jobs} & set(clips.job_ids)
    scripts = stranger.get("/api/scripts?limit=500").data()
    assert clips.script_id not in {script["scriptId"] for script in scripts}


@pytest.mark.parametrize("number", ["0", "-1", "x", "1e3", "99999999999", "2147483647"])
def test_unknown_and_malformed_ids_are_404(api: Api, nothing_made: Watch, number: str) -> None:
    job_id = str(uuid4()) if number == "2147483647" else number

    with nothing_made():
        answers = of_every_route(api, job_id, number, number)

    assert [answer.refuses(404, "not_found") for answer in answers]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nope"), ("GET", "/"), ("GET", "/status"), ("DELETE", "/generate-media"), ("GET", "/generate-media")],
)
def test_an_unknown_route_or_method_is_404(api: Api, method: str, path: str) -> None:
    assert "no such route" in api.call(method, path).refuses(404, "not_found")


def test_the_health_route_needs_no_key(api: Api) -> None:
    assert Api(api.base_url, None).get("/health").body == {"status": "ok"}


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_preflight_from_an_allowed_origin_allows_it(api: Api, origin: str) -> None:
    wanted = {"Origin": origin, "Access-Control-Request-Method": "POST"}

    answer = Api(api.base_url, None).call("OPTIONS", "/generate-media", headers=wanted)

    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, origin)
    allowed = answer.headers["access-control-allow-headers"].lower().split(",")
    assert {"x-api-key", "idempotency-key", "prefer", "if-none-match", "content-type"} <= set(allowed)


def test_another_origin_is_allowed_nowhere(api: Api) -> None:
    wanted = {"Origin": EVIL, "Access-Control-Request-Method": "POST"}
    answers = [
        api.call("OPTIONS", "/generate-media", headers=wanted),
        api.get("/models", Origin=EVIL),
        api.get("/status/x", Origin=EVIL),
        api.get("/nope", Origin=EVIL),
    ]

    assert {answer.headers.get("access-control-allow-origin") for answer in answers} <= {None, ORIGINS[0]}


@pytest.mark.parametrize("origin", ORIGINS)
def test_errors_can_be_read_by_an_allowed_origin(api: Api, origin: str) -> None:
    answer = api.get("/status/x", Origin=origin)

    answer.refuses(404, "not_found")
    assert answer.headers["access-control-allow-origin"] == origin
    assert exposed(answer) == {"etag", "retry-after", "location"}


def test_refusals_of_the_gateway_can_be_read_by_the_first_origin(api: Api) -> None:
    refusals = [api.get("/nope", Origin=ORIGINS[0]), Api(api.base_url, "unknown").get("/jobs", Origin=ORIGINS[0])]

    for answer in refusals:
        assert answer.headers["access-control-allow-origin"] == ORIGINS[0]
        assert exposed(answer) == {"etag", "retry-after", "location"}


def exposed(answer: Answer) -> set[str]:
    return set(answer.headers["access-control-expose-headers"].lower().split(","))
