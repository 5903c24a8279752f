"""Requests that are refused: status, code, a sentence that says what to do, and nothing left behind."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.client import Api, a_clip

Watch = Callable[[], AbstractContextManager[None]]
DEEP_CURSOR = base64.urlsafe_b64encode(b"[" * 3000).decode()
# Of a time before all years UTC has.
EARLY_CURSOR = base64.urlsafe_b64encode(json.dumps(["0001-01-01T00:00:00+14:00", str(uuid4())]).encode()).decode()


def refused(api: Api, nothing_made: Watch, body: Any, status: int = 422, code: str = "invalid_request") -> str:
    with nothing_made():
        return api.post("/generate-media", body).refuses(status, code)


@pytest.mark.parametrize("body", [b'{"userId": ', b"[1, 2]", b'"text"', b'{"userId": NaN}', b"\xff\xfe{}", b"[" * 9000])
def test_what_is_no_json_object_is_400(api: Api, nothing_made: Watch, body: bytes) -> None:
    assert "JSON" in refused(api, nothing_made, body, 400, "malformed_json")


def test_an_empty_body_names_every_missing_field(api: Api, nothing_made: Watch) -> None:
    sentence = refused(api, nothing_made, {})

    assert all(f"{name}: " in sentence for name in ("userId", "mediaType", "modelId", "parameters"))


def test_an_unknown_model_is_answered_with_the_nearest(api: Api, nothing_made: Watch, words: str) -> None:
    body = a_clip(words, modelId="seedance-lite")

    assert "seedance-1-lite" in refused(api, nothing_made, body, code="unknown_model")


def test_a_model_of_another_media_type_says_which_type_to_send(api: Api, nothing_made: Watch, words: str) -> None:
    body = a_clip(words, mediaType="image")

    assert "send mediaType video" in refused(api, nothing_made, body, code="wrong_media_type")


def test_an_unknown_media_type_lists_the_known(api: Api, nothing_made: Watch, words: str) -> None:
    assert "'text'" in refused(api, nothing_made, a_clip(words, mediaType="film"))


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"duration": 99}, "parameters.duration: must be between 2 and 12"),
        ({"duration": True}, "parameters.duration: must be of type integer"),
        ({"prompt": " "}, "parameters.prompt: must not be empty"),
        ({"prompt": None}, "parameters.prompt: is required"),
        ({"prompt": "x" * 5001}, "parameters.prompt: must have at most 5000 characters"),
        ({"prompt": "a\x00b"}, "parameters.prompt: "),
        ({"prompt": "\ud800"}, "parameters.prompt: "),
        ({"resolution": "8k"}, "parameters.resolution: must be one of 480p, 720p, 1080p"),
        ({"durration": 2}, "parameters.durration: unknown field; did you mean 'duration'?"),
    ],
)
def test_a_parameter_beyond_its_limits_is_named(
    api: Api, nothing_made: Watch, words: str, parameters: dict[str, Any], problem: str
) -> None:
    body = a_clip(words)

    sentence = refused(api, nothing_made, {**body, "parameters": {**body["parameters"], **parameters}})

    assert problem in sentence


def test_a_number_beyond_all_numbers_is_named(api: Api, nothing_made: Watch, words: str) -> None:
    body = json.dumps(a_clip(words, metadata={"take": "HUGE"})).replace('"HUGE"', "1e400").encode()

    assert "metadata.take: must be a finite number" in refused(api, nothing_made, body)


@pytest.mark.parametrize(
    ("name", "number", "problem"),
    [
        ("duration", "2.5", "must be of type integer"),
        ("duration", "13.0", "must be between 2 and 12"),
        ("duration", "true", "must be of type integer"),
        ("seed", "2.0e30", "must be between 0 and 9223372036854775807"),
        ("seed", "1e400", "must be a finite number"),
        ("seed", "1" + "0" * 400, "must be a finite number"),
        ("seed", "9" * 5000, "must be a finite number"),
    ],
)
def test_a_number_that_is_no_integer_of_its_parameter_is_named(
    api: Api, nothing_made: Watch, words: str, name: str, number: str, problem: str
) -> None:
    body = json.dumps(a_clip(words, parameters={"prompt": words, name: "NUMBER"})).replace('"NUMBER"', number).encode()

    assert f"parameters.{name}: {problem}" in refused(api, nothing_made, body)


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/api/scripts", '{"sectionId": NUMBER}', "sectionId"),
        ("PATCH", "/api/section-videos/1", '{"position": NUMBER}', "position"),
        ("POST", "/compile-videos", '{"scriptId": NUMBER}', "scriptId"),
        ("POST", "/compile-videos", '{"videoIds": [NUMBER]}', "videoIds.0"),
        ("POST", "/compile-videos", '{"clips": [{"videoId": NUMBER}]}', "clips.0.videoId"),
        ("POST", "/compile-videos", '{"scriptId": 1, "fps": NUMBER}', "fps"),
        (
            "POST",
            "/api/uploads",
            '{"userId": "u", "kind": "font", "files": [{"name": "a", "contentType": "font/ttf", "size": NUMBER}]}',
            "files.0.size",
        ),
    ],
)
def test_no_number_field_takes_what_is_no_number_of_its_kind(
    api: Api, nothing_made: Watch, method: str, path: str, body: str, field: str
) -> None:
    wrong = ["2.0e30", "1e400", "-1e400", "1" + "0" * 400, "true"] + ["2.5"] * (field != "fps")
    with nothing_made():
        for number in wrong:
            sentence = api.call(method, path, body.replace("NUMBER", number).encode()).refuses(422, "invalid_request")
            assert f"{field}: must be" in sentence, number


def test_a_missing_prompt_is_named(api: Api, nothing_made: Watch, words: str) -> None:
    sentence = refused(api, nothing_made, a_clip(words, parameters={"duration": 2}))

    assert "parameters.prompt: is required" in sentence


def test_all_wrong_parameters_are_in_one_answer(api: Api, nothing_made: Watch, words: str) -> None:
    sentence = refused(api, nothing_made, a_clip(words, parameters={"duration": 99, "promt": words}))

    assert all(f"parameters.{name}: " in sentence for name in ("prompt", "duration", "promt"))
    assert "did you mean 'prompt'?" in sentence


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("userId", "..", "and not '.' or '..'"),
        ("userId", "a" * 129, "userId: "),
        ("userId", "a/b", "userId: "),
        ("userId", "a\n", "userId: "),
        ("userId", 5, "userId: "),
        ("webhookUrl", "http://example.com/hook", "must be an https URL"),
        ("webhookUrl", "https://", "must be an https URL"),
        ("webhookUrl", "https://[broken", "webhookUrl: "),
        ("webhookUrl", "https://169.254.169.254/latest/meta-data", "webhookUrl: must be an https URL of a host on"),
        ("webhookUrl", "https://user:password@example.com/hook", "webhookUrl: must be an https URL with a public host"),
        ("scriptId", 2**31, "scriptId: "),
        ("scriptId", "1", "scriptId: "),
        ("metadata", {"deep": ["a\x00b"]}, "metadata.deep.0: "),
        ("webhokUrl", "https://example.com", "unknown field; did you mean 'webhookUrl'?"),
    ],
)
def test_a_wrong_field_is_named(
    api: Api, nothing_made: Watch, words: str, field: str, value: Any, problem: str
) -> None:
    assert problem in refused(api, nothing_made, a_clip(words, **{field: value}))


def test_all_wrong_fields_are_in_one_answer(api: Api, nothing_made: Watch, words: str) -> None:
    sentence = refused(api, nothing_made, a_clip(words, userId="..", webhookUrl="ftp://x", mediaTyp="video"))

    assert all(f"{name}: " in sentence for name in ("userId", "webhookUrl", "mediaTyp"))


def test_wrong_fields_and_wrong_parameters_are_in_one_answer(api: Api, nothing_made: Watch, words: str) -> None:
    sentence = refused(api, nothing_made, a_clip(words, userId="..", parameters={"prompt": words, "duration": 99}))

    assert "userId: " in sentence
    assert "parameters.duration: " in sentence


def test_a_body_over_one_megabyte_is_413(api: Api, nothing_made: Watch, words: str) -> None:
    body = a_clip(words, metadata={"filler": "x" * 1_000_000})

    assert "upload media" in refused(api, nothing_made, body, 413, "too_large")


def test_an_idempotency_key_of_unprintable_characters_is_refused(api: Api, nothing_made: Watch, words: str) -> None:
    with nothing_made():
        answer = api.post("/generate-media", a_clip(words), Idempotency_Key="k" * 256)

    assert "Idempotency-Key: must be 1 to 255" in answer.refuses(422, "invalid_request")


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/jobs?cursor=nonsense", "cursor"),
        ("/jobs?cursor=W10=", "cursor"),
        ("/jobs?cursor=bnVsbA==", "cursor"),
        (f"/jobs?cursor={DEEP_CURSOR}", "cursor"),
        (f"/jobs?cursor={EARLY_CURSOR}", "cursor"),
        ("/jobs?from=0001-01-01T00:00:00%2B14:00", "from"),
        ("/api/usage?from=0001-01-01T00:00:00%2B14:00", "from"),
        ("/jobs?limit=201", "limit"),
        ("/jobs?limit=-1", "limit"),
        ("/jobs?status=done", "status"),
        ("/jobs?kind=film", "kind"),
        ("/jobs?from=yesterday", "from"),
        ("/jobs?userId=%00", "userId"),
        ("/api/section-videos?status=done", "status"),
        ("/api/section-videos?scriptId=x", "scriptId"),
        ("/api/section-videos?cursor=x", "cursor"),
        ("/api/section-videos?userId=%00", "userId"),
        ("/api/scripts?cursor=x", "cursor"),
        ("/status/00000000-0000-0000-0000-000000000000?wait=x", "wait"),
    ],
)
def test_a_wrong_query_is_named(api: Api, path: str, named: str) -> None:
    assert f"{named}: must be" in api.get(path).refuses(422, "invalid_request")


def test_all_mistakes_of_a_query_are_named_and_an_unknown_name_gets_the_nearest(api: Api) -> None:
    sentence = api.get("/jobs?limit=x&satus=done").refuses(422, "invalid_request")

    assert "limit: must be" in sentence
    assert "status" in sentence.partition("satus: ")[2]


@pytest.mark.parametrize("body", [{"sectionId": 0}, {"sectionId": "1"}, {"sectionId": 1, "scriptContent": "\x00"}, {}])
def test_a_wrong_script_is_refused(api: Api, nothing_made: Watch, body: dict[str, Any]) -> None:
    with nothing_made():
        api.post("/api/scripts", body).refuses(422, "invalid_request")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "exactly one of scriptId, videoIds, clips"),
        ({"scriptId": 1, "videoIds": [1]}, "exactly one of scriptId, videoIds, clips"),
        ({"videoIds": []}, "videoIds: "),
        ({"videoIds": ["x"]}, "videoIds.0: must be a video id"),
        ({"videoIds": ["9" * 5000]}, "videoIds.0: must be a video id"),
        ({"clips": [{"videoId": "9" * 5000}]}, "clips.0.videoId: must be a video id"),
        ({"clips": [{}]}, "clips.0: "),
        ({"clips": [{"vidoId": 1}]}, "clips.0.vidoId: unknown field; did you mean 'videoId'?"),
        ({"scriptId": 1, "quality": "best"}, "quality: "),
        ({"scriptId": 1, "webhookUrl": "http://example.com"}, "webhookUrl: "),
        ({"scriptId": 1, "webhookUrl": "https://localhost/hook"}, "webhookUrl: must be an https URL of a host on"),
        ({"scriptId": 1, "qualty": "high"}, "qualty: unknown field; did you mean 'quality'?"),
    ],
)
def test_a_wrong_compile_request_is_refused(api: Api, nothing_made: Watch, body: dict[str, Any], problem: str) -> None:
    with nothing_made():
        answer = api.post("/compile-videos", body)

    assert problem in answer.refuses(422, "invalid_request")


def test_a_compile_request_over_clips_that_are_not_there_is_404(api: Api, nothing_made: Watch) -> None:
    with nothing_made():
        for named in ({"scriptId": 2**31 - 1}, {"videoIds": [2**31 - 1]}, {"clips": [{"jobId": str(uuid4())}]}):
            api.post("/compile-videos", named).refuses(404, "not_found")
