"""Keys, accounts, scopes, unknown routes and origins: every answer in the API's own shape."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

import pytest

from infra.stacks.api import KEYED_ROUTES
from operate.accounts import SCOPES, Accounts
from tests.e2e.client import Answer, Api, a_text
from tests.e2e.conftest import Clips
from tests.faults.observing import Observed
from tests.footage import clip

Watch = Callable[[], AbstractContextManager[None]]
ORIGINS = ("http://localhost:3000", "http://127.0.0.1:3000")
EVIL = "https://evil.example.com"
SCOPE_OF = {
    ("POST", "/generate-media"): "generate",
    ("GET", "/models"): "read",
    ("GET", "/models/{mediaType}/{modelId}"): "read",
    ("GET", "/status/{jobId}"): "read",
    ("GET", "/jobs"): "read",
    ("GET", "/jobs/{jobId}/events"): "read",
    ("POST", "/api/uploads"): "generate",
    ("POST", "/api/scripts"): "review",
    ("GET", "/api/scripts"): "read",
    ("GET", "/api/scripts/{scriptId}"): "read",
    ("DELETE", "/api/scripts/{scriptId}"): "review",
    ("POST", "/api/scripts/{scriptId}/compile"): "compile",
    ("GET", "/api/section-videos"): "read",
    ("PATCH", "/api/section-videos/{videoId}"): "review",
    ("DELETE", "/api/section-videos/{videoId}"): "review",
    ("POST", "/api/section-videos/{videoId}/approve"): "review",
    ("POST", "/api/section-videos/{videoId}/reject"): "review",
    ("POST", "/compile-videos"): "compile",
    ("POST", "/compile-videos/plan"): "compile",
    ("POST", "/probe"): "read",
    ("GET", "/api/usage"): "read",
    ("DELETE", "/api/videos/{jobId}"): "admin",
    ("DELETE", "/api/users/{userId}"): "admin",
    ("GET", "/api/erasures/{erasureId}"): "admin",
    ("GET", "/api/budgets"): "read",
    ("PUT", "/api/budgets"): "admin",
}
# Their scope is that of the job's kind: tests/unit/test_scopes.py.
BY_KIND = (("POST", "/jobs/{jobId}/cancel"), ("POST", "/jobs/{jobId}/retry"))
every_route = pytest.mark.parametrize(("method", "path"), [route[:2] for route in KEYED_ROUTES])


def asked(api: Api, method: str, path: str) -> Answer:
    """A route with an id that is nobody's, and with nothing else."""
    return api.call(method, re.sub(r"{\w+}", str(uuid4()), path), None if method == "GET" else {})


@every_route
def test_no_key_and_an_unknown_key_are_401(api: Api, method: str, path: str, nothing_made: Watch) -> None:
    with nothing_made():
        answers = [asked(Api(api.base_url, key), method, path) for key in (None, f"vsl_{uuid4().hex}")]

    assert all("X-API-Key" in answer.refuses(401, "unauthorized") for answer in answers)


def test_a_revoked_key_is_401(api: Api, accounts: Accounts, account_id: str, nothing_made: Watch, words: str) -> None:
    key = accounts.create_key(account_id, ["generate"])
    accounts.revoke_key(key["keyId"])  # before its first use, so that no authorizer remembers it

    with nothing_made():
        answer = Api(api.base_url, key["apiKey"]).post("/generate-media", a_text(words))

    answer.refuses(401, "unauthorized")


@pytest.fixture(scope="module")
def lacking(api: Api, accounts: Accounts, account_id: str) -> dict[str, Api]:
    """By scope: a key that has all the others."""
    return {
        scope: Api(api.base_url, accounts.create_key(account_id, [s for s in SCOPES if s != scope])["apiKey"])
        for scope in SCOPES
    }


@pytest.mark.parametrize(("method", "path"), [route[:2] for route in KEYED_ROUTES if route[:2] not in BY_KIND])
def test_a_key_without_the_scope_is_403(lacking: dict[str, Api], method: str, path: str, nothing_made: Watch) -> None:
    scope = SCOPE_OF[method, path]

    with nothing_made():
        answer = asked(lacking[scope], method, path)

    assert f"'{scope}'" in answer.refuses(403, "missing_scope")


def test_a_key_with_the_scope_alone_is_enough(api: Api, accounts: Accounts, account_id: str, words: str) -> None:
    reader, maker = (Api(api.base_url, accounts.create_key(account_id, [s])["apiKey"]) for s in ("read", "generate"))

    assert (reader.get("/models").status, maker.post("/generate-media", a_text(words)).status) == (200, 202)


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
        ("DELETE", f"/api/section-videos/{video_id}", None),
        ("DELETE", f"/api/scripts/{script_id}", None),
    ]
    return [api.call(method, path, body) for method, path, body in calls]


def test_what_is_another_accounts_is_404_on_every_route(
    stranger: Api, api: Api, clips: Clips, nothing_made: Watch
) -> None:
    before = api.videos(clips.script_id)

    with nothing_made():
        answers = of_every_route(stranger, clips.job_ids[0], clips.video_ids[0], str(clips.script_id))
        for named in ({"videoIds": list(clips.video_ids)}, {"scriptId": clips.script_id}):
            answers += of_every_compile(stranger, named)
        for one in ({"jobId": clips.job_ids[0]}, {"videoId": clips.video_ids[0]}):
            answers += [*of_every_compile(stranger, {"clips": [one]}), stranger.post("/probe", one)]
        answers.append(stranger.post("/generate-media", a_text("x", scriptId=clips.script_id)))
        answers.append(stranger.post("/api/uploads", a_form(scriptId=clips.script_id)))

    assert [answer.refuses(404, "not_found") for answer in answers]
    assert [video["status"] for video in api.videos(clips.script_id)] == [video["status"] for video in before]


def of_every_compile(api: Api, named: dict[str, Any]) -> list[Answer]:
    """A film of these clips: made, planned, and planned by the other route."""
    return [
        api.post("/compile-videos", named),
        api.post("/compile-videos", {**named, "dryRun": True}),
        api.post("/compile-videos/plan", named),
    ]


def a_form(**changes: Any) -> dict[str, Any]:
    file = {"name": "take.mp4", "contentType": "video/mp4", "size": 4}
    return {"userId": "tester", "kind": "clip", "files": [file], **changes}


# {own} is the account of the caller, {other} that of another one whose clip lies in all these places.
FOREIGN_KEYS = [
    "uploads/{other}/tester/1/take.mp4",
    "generated/{other}/tester/2026/01/01/1/original.mp4",
    "reference-frames/{other}/tester/1/take.mp4",
    "video-clips/{other}/tester/1/take.mp4",
    "derived/{other}/0/take.mp4",
    "compiled/{other}/1/1/final-1.mp4",
    "incoming/1/1/0",
]
CLIMBING_KEYS = [
    "uploads/{own}/../{other}/tester/1/take.mp4",
    "uploads/{own}/tester/../../{other}/tester/1/take.mp4",
    "uploads/{own}/tester/%2e%2e/%2e%2e/{other}/tester/1/take.mp4",
    "/uploads/{other}/tester/1/take.mp4",
    "uploads/{own}/tester/1/../../../{other}/tester/1/take.mp4",
    "uploads//{other}/tester/1/take.mp4",
    "uploads/{own}/./tester/1/take.mp4",
    "uploads/{own}\\..\\{other}\\tester\\1\\take.mp4",
    "s3://vsl-media/uploads/{other}/tester/1/take.mp4",
    "../uploads/{other}/tester/1/take.mp4",
    "catalog/models.json",
    "uploads/{own}/",
    "uploads",
]


@pytest.fixture(scope="module")
def put(stack: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], None]:
    """Puts a clip to a key as only an operator can, and answers nothing."""
    body = clip(tmp_path_factory.mktemp("keys") / "take.mp4").read_bytes()
    s3 = Observed(stack).aws("s3")
    return lambda key: s3.put_object(Bucket=stack["bucket"], Key=key, Body=body, ContentType="video/mp4")


def other_id(accounts: Accounts) -> str:
    return str(next(account["accountId"] for account in accounts.list() if account["name"] == "other"))


@pytest.mark.parametrize("shape", [*FOREIGN_KEYS, *CLIMBING_KEYS])
def test_no_key_of_another_account_is_read_however_it_is_written(
    stranger: Api, accounts: Accounts, account_id: str, put: Callable[[str], None], shape: str, nothing_made: Watch
) -> None:
    own, other = other_id(accounts), account_id
    for there in (*FOREIGN_KEYS, "uploads/{own}/tester/1/take.mp4"):
        put(there.format(own=own, other=other))
    one = {"s3Key": shape.format(own=own, other=other)}

    with nothing_made():
        answers = [*of_every_compile(stranger, {"clips": [one, one]}), stranger.post("/probe", one)]

    assert [answer.refuses(404, "not_found") for answer in answers]
    assert stranger.post("/probe", {"s3Key": f"uploads/{own}/tester/1/take.mp4"}).status == 200


def test_an_idempotency_key_of_another_account_is_free(
    api: Api, stranger: Api, accounts: Accounts, account_id: str, put: Callable[[str], None], words: str
) -> None:
    ours, theirs = (f"uploads/{one}/tester/1/take.mp4" for one in (account_id, other_id(accounts)))
    put(ours)
    put(theirs)
    calls: list[tuple[str, Any, Any]] = [
        ("/generate-media", a_text(words), a_text(f"{words} of another")),
        ("/api/uploads", a_form(), a_form(userId="another")),
        ("/compile-videos", {"clips": [{"s3Key": ours}]}, {"clips": [{"s3Key": theirs}]}),
    ]

    for path, body, other_body in calls:
        first = api.post(path, body, Idempotency_Key=words)
        second = stranger.post(path, other_body, Idempotency_Key=words)
        assert (first.status < 300, second.status) == (True, first.status), second.body
        assert first.body != second.body


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
    assert {"x-api-key", "idempotency-key", "prefer", "if-match", "if-none-match", "content-type"} <= set(allowed)


@pytest.mark.parametrize("origin", [EVIL, "null"])
def test_another_origin_is_allowed_nowhere(api: Api, origin: str) -> None:
    wanted = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    preflight = api.call("OPTIONS", "/generate-media", headers=wanted)
    answers = [
        api.get("/models", Origin=origin),
        api.get("/status/x", Origin=origin),
        api.get("/health", Origin=origin),
    ]

    assert preflight.headers["access-control-allow-origin"] == ORIGINS[0]
    assert {answer.headers.get("access-control-allow-origin") for answer in answers} == {None}


@pytest.mark.parametrize("origin", [*ORIGINS, EVIL, "null"])
def test_no_page_calls_the_webhook(api: Api, origin: str) -> None:
    wanted = {"Origin": origin, "Access-Control-Request-Method": "POST"}

    assert api.call("OPTIONS", "/webhook", headers=wanted).status == 404
    answer = api.post("/webhook", {}, Origin=origin)
    assert (answer.status, answer.headers.get("access-control-allow-origin")) == (401, None)


@pytest.mark.parametrize("origin", ORIGINS)
def test_errors_can_be_read_by_an_allowed_origin(api: Api, origin: str) -> None:
    answer = api.get("/status/x", Origin=origin)

    answer.refuses(404, "not_found")
    assert answer.headers["access-control-allow-origin"] == origin
    assert exposed(answer) == {"etag", "retry-after", "location"}


@pytest.mark.parametrize("origin", ORIGINS)
def test_refusals_of_the_gateway_can_be_read_by_every_allowed_origin(api: Api, origin: str) -> None:
    refusals = [api.get("/nope", Origin=origin), Api(api.base_url, "unknown").get("/jobs", Origin=origin)]

    for answer in refusals:
        assert answer.headers["access-control-allow-origin"] in ("*", origin)
        assert exposed(answer) == {"etag", "retry-after", "location"}


def exposed(answer: Answer) -> set[str]:
    return set(answer.headers["access-control-expose-headers"].lower().split(","))
