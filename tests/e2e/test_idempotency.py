"""The same Idempotency-Key and body twice is one effect, on every route that makes or ends something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from infra.stacks.api import KEYED_ROUTES, PUBLIC_ROUTES
from tests.e2e.client import Answer, Api, a_text
from tests.e2e.conftest import Clips, make_clips

# Repeats of these have no second effect whatever key they come with.
REPEATABLE = {
    "POST /api/section-videos/{videoId}/approve",
    "POST /webhook",
    "POST /webhook/replicate",
}
FILE = {"name": "a.png", "contentType": "image/png", "size": 10}


@dataclass(frozen=True)
class Repeat:
    """A call, another call of the same route, and what of an answer says what was made."""

    path: str
    body: Any
    other: tuple[str, Any]
    made: Callable[[Any], Any]


def _of(path: str, body: Any, other_body: Any, made: Callable[[Any], Any]) -> Repeat:
    return Repeat(path, body, (path, other_body), made)


def _running(api: Api, words: str) -> tuple[str, str]:
    """Two jobs that take a while."""
    one, two = (api.generate(f"[seconds=30] {words} {n}") for n in range(2))
    return one, two


def _cancelling(api: Api, words: str, clips: Clips) -> Repeat:
    one, two = _running(api, words)
    return Repeat(f"/jobs/{one}/cancel", {}, (f"/jobs/{two}/cancel", {}), lambda b: (b["jobId"], b["status"]))


def _retrying(api: Api, words: str, clips: Clips) -> Repeat:
    one, two = clips.job_ids[:2]
    return Repeat(f"/jobs/{one}/retry", {}, (f"/jobs/{two}/retry", {}), lambda b: b["jobId"])


def _erasing(path: str, api: Api, words: str) -> Repeat:
    names = _running(api, words) if "videos" in path else (f"{words}-one", f"{words}-two")
    return Repeat(f"{path}/{names[0]}", None, (f"{path}/{names[1]}", None), lambda b: b["erasureId"])


def _deleting(path: str, api: Api, clips: Clips) -> Repeat:
    """Of a script with a clip that was cancelled, and of another."""
    names = []
    for _ in range(2):
        script_id = api.script()
        job_id = api.generate("[seconds=60] to delete", scriptId=script_id)
        names.append(str(script_id) if "scripts" in path else api.videos(script_id)[0]["videoId"])
        api.post(f"/jobs/{job_id}/cancel").data()
    return Repeat(f"{path}/{names[0]}", None, (f"{path}/{names[1]}", None), lambda b: b["data"]["deleted"])


def _compiling(path: str, clips: Clips, **changes: Any) -> Repeat:
    named = {} if "scripts" in path else {"clips": [{"jobId": job_id} for job_id in clips.job_ids]}
    made = {**named, **changes}
    return _of(path, made, {**made, "resolution": "320x180"}, lambda b: b["data"].get("jobId") or b["data"])


def _script_of_approved(api: Api, clips: Clips) -> str:
    for video_id in clips.video_ids:
        api.post(f"/api/section-videos/{video_id}/approve").data()
    return f"/api/scripts/{clips.script_id}/compile"


CALLS: dict[str, Callable[[Api, str, Clips], Repeat]] = {
    "POST /generate-media": lambda api, words, clips: _of(
        "/generate-media", a_text(words), a_text(f"{words} 2"), lambda b: b["jobId"]
    ),
    "POST /jobs/{jobId}/cancel": _cancelling,
    "POST /jobs/{jobId}/retry": _retrying,
    "POST /api/uploads": lambda api, words, clips: _of(
        "/api/uploads",
        {"userId": "u", "kind": "image", "files": [FILE]},
        {"userId": "u", "kind": "image", "files": [{**FILE, "size": 11}]},
        lambda b: b["data"]["uploadId"],
    ),
    "POST /api/scripts": lambda api, words, clips: _of(
        "/api/scripts", {"sectionId": 1, "scriptContent": words}, {"sectionId": 2}, lambda b: b["data"]["scriptId"]
    ),
    "POST /api/scripts/{scriptId}/compile": lambda api, words, clips: _compiling(
        _script_of_approved(api, clips), clips
    ),
    "POST /api/section-videos/{videoId}/reject": lambda api, words, clips: _of(
        f"/api/section-videos/{clips.video_ids[0]}/reject",
        {"regenerate": True, "parameters": {"prompt": words}},
        {"reason": words},
        lambda b: b["data"]["jobId"],
    ),
    "POST /compile-videos": lambda api, words, clips: _compiling("/compile-videos", clips),
    "POST /compile-videos/plan": lambda api, words, clips: _compiling("/compile-videos/plan", clips),
    "POST /probe": lambda api, words, clips: _of(
        "/probe", {"jobId": clips.job_ids[0]}, {"jobId": clips.job_ids[1]}, lambda b: b["data"]
    ),
    "DELETE /api/section-videos/{videoId}": lambda api, words, clips: _deleting("/api/section-videos", api, clips),
    "DELETE /api/scripts/{scriptId}": lambda api, words, clips: _deleting("/api/scripts", api, clips),
    "DELETE /api/videos/{jobId}": lambda api, words, clips: _erasing("/api/videos", api, words),
    "DELETE /api/users/{userId}": lambda api, words, clips: _erasing("/api/users", api, words),
}


@pytest.fixture(scope="module")
def clips(api: Api) -> Clips:
    """Of this module's own: they are approved, rejected and made anew here."""
    return make_clips(api, ("a first", "a second", "a third"))


@pytest.fixture(scope="module")
def admin(stack: dict[str, Any]) -> Api:
    return Api(stack["baseUrl"], stack["adminApiKey"])


def called(api: Api, route: str, path: str, body: Any, key: str) -> Answer:
    return api.call(route.split()[0], path, body, {"Idempotency-Key": key})


def test_every_route_that_makes_something_is_repeated_here() -> None:
    routes = {f"{method} {path}" for method, path, _ in (*KEYED_ROUTES, *PUBLIC_ROUTES)}

    assert {route for route in routes if route.split()[0] in ("POST", "DELETE")} == CALLS.keys() | REPEATABLE


@pytest.mark.parametrize("route", CALLS)
def test_a_repeat_is_the_same_answer_and_another_body_is_409(admin: Api, clips: Clips, words: str, route: str) -> None:
    call = CALLS[route](admin, words, clips)
    first = called(admin, route, call.path, call.body, words)
    again = called(admin, route, call.path, call.body, words)

    assert (first.status // 100, again.status // 100) == (2, 2), (first.body, again.body)
    assert call.made(again.body) == call.made(first.body)
    called(admin, route, *call.other, words).refuses(409, "idempotency_conflict")


@pytest.mark.parametrize("route", [*CALLS, "POST /api/section-videos/{videoId}/approve"])
@pytest.mark.parametrize("key", ["k" * 256, "", "caf\xe9"])
def test_a_key_that_is_none_is_422(admin: Api, words: str, route: str, key: str) -> None:
    path = route.split()[1].replace("{", "").replace("}", "")

    assert "Idempotency-Key" in called(admin, route, path, {}, key).refuses(422, "invalid_request")


def test_a_dry_run_and_a_film_under_one_key_are_two_bodies(api: Api, clips: Clips, words: str) -> None:
    body = {"clips": [{"jobId": clips.job_ids[0]}]}
    api.post("/compile-videos", {**body, "dryRun": True}, Idempotency_Key=words).data(200)

    api.post("/compile-videos", body, Idempotency_Key=words).refuses(409, "idempotency_conflict")


def test_a_key_belongs_to_its_route_and_account(api: Api, stranger: Api, words: str) -> None:
    body = {"sectionId": 1, "scriptContent": words}
    mine, theirs = (one.post("/api/scripts", body, Idempotency_Key=words).data(201) for one in (api, stranger))

    assert mine["scriptId"] != theirs["scriptId"]
    api.post("/generate-media", a_text(words), Idempotency_Key=words).data(202)
