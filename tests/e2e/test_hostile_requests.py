"""Requests that are deep, wrong everywhere or of endless numbers, and answers that would be too large."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.e2e.client import Api, a_clip

Watch = Callable[[], AbstractContextManager[None]]


@pytest.mark.parametrize("depth", [64, 700, 960, 990, 1_500, 5_000, 100_000])
@pytest.mark.parametrize("pair", ["[]", ('{"a": ', "}")])
def test_a_body_that_is_nested_deep_is_refused(api: Api, nothing_made: Watch, depth: int, pair: Any) -> None:
    body = json.dumps(a_clip("deep", metadata={"a": "HERE"})).replace('"HERE"', pair[0] * depth + "1" + pair[1] * depth)
    with nothing_made():
        answer = api.call("POST", "/generate-media", body.encode())

    assert answer.status in (400, 413, 422), answer.body
    assert answer.status == 413 or "nested" in json.dumps(answer.body)


def test_of_a_body_wrong_everywhere_a_hundred_mistakes_are_named(api: Api, nothing_made: Watch, words: str) -> None:
    wrong = {f"f{number}": 1 for number in range(55_000)}
    with nothing_made():
        answers = [api.post("/generate-media", wrong), api.post("/generate-media", a_clip(words, parameters=wrong))]

    for answer in answers:
        answer.refuses(422, "invalid_request")
        assert len(answer.body["details"]) == 100


@pytest.mark.parametrize("digits", [401, 4_300, 5_000])
@pytest.mark.parametrize(
    "path",
    [
        "/status/N",
        "/jobs/N/events",
        "/api/scripts/N",
        "/api/section-videos?cursor=N",
        "/api/scripts?limit=N",
        "/status/00000000-0000-0000-0000-000000000000?wait=N",
        "/api/scripts?cursor=N",
        "/jobs?cursor=N",
        "/jobs?from=N",
        "/api/section-videos?scriptId=N",
        "/api/usage?from=N",
        "/models/image/N",
    ],
)
def test_a_number_of_many_digits_is_refused_in_paths_and_queries(api: Api, path: str, digits: int) -> None:
    assert api.get(path.replace("N", "1" * digits)).status in (404, 414, 422)


def test_a_list_of_large_scripts_is_answered(api: Api) -> None:
    content = "x" * 490_000
    made = [
        api.post("/api/scripts", {"sectionId": 1, "scriptContent": content}).data(201)["scriptId"] for _ in range(14)
    ]
    listed = api.get("/api/scripts?limit=500")

    assert [script["scriptId"] for script in listed.data()[:14]] == made[::-1]
    assert "scriptContent" not in listed.data()[0]
    assert api.get(f"/api/scripts/{made[0]}").data()["scriptContent"] == content
