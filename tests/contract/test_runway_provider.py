"""The adapter reads Runway as the product's port has it, whatever Runway answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.adapters.runway_provider import RunwayProvider, to_prediction
from shared.domain.errors import AnswerLost, NotFound, ProductError, ProviderBusy, ProviderRefused
from tests.contract.test_runway_sdk import frame
from tests.scripted_server import always, reply, scripted
from tests.standin_process import StandIn, wait_for

TOKEN = "key_test"


@pytest.fixture(scope="module")
def ours(standin: StandIn) -> RunwayProvider:
    return provider(f"{standin.http.base_url}/runway")


def provider(base_url: str, token: str = TOKEN) -> RunwayProvider:
    return RunwayProvider(lambda: token, base_url, sleep=lambda _: None)


def request(prompt: str, **changes: Any) -> dict[str, Any]:
    given = {"prompt": prompt, "image": frame(), "ratio": "960:960", "duration": 2, **changes}
    return {"version": "gen4_turbo", "input": given}


def test_it_makes_reads_and_finds_outputs(ours: RunwayProvider) -> None:
    made = ours.create(request("ours", seed=7), "none", 60)
    wait_for(lambda: ours.get(made.id).status == "succeeded")

    seen = ours.get(made.id)

    assert (made.status, made.provider_status) == ("running", "pending")
    assert (len(seen.outputs), seen.error, seen.retryable) == (1, None, False)


def test_it_asks_for_a_clip_from_words_where_there_is_no_frame(ours: RunwayProvider, standin: StandIn) -> None:
    given = {"prompt": "[seconds=60] words", "image": None, "ratio": "1280:720", "duration": 2}
    made = ours.create({"version": "gen4.5", "input": given}, "none", 60)

    assert standin.made(made.id)["model"] == "runway/gen4.5"
    ours.cancel(made.id)


@pytest.mark.parametrize(("prompt", "seconds"), [("[throttle=60] early", None), ("[seconds=60] late", 1.0)])
def test_a_cancel_tells_what_it_stopped(ours: RunwayProvider, prompt: str, seconds: float | None) -> None:
    made = ours.create(request(prompt), "none", 60)
    wait_for(lambda: ours.get(made.id).provider_status in ("throttled", "running"))

    stopped = ours.cancel(made.id)

    assert stopped is not None
    assert (stopped.status, stopped.provider_status, stopped.predict_seconds) == ("canceled", "canceled", seconds)
    with pytest.raises(NotFound):
        ours.get(made.id)
    with pytest.raises(NotFound):
        ours.cancel(made.id)


def test_a_task_that_has_ended_is_not_cancelled(ours: RunwayProvider) -> None:
    made = ours.create(request("[fail=SAFETY.INPUT.TEXT: no]"), "none", 60)
    wait_for(lambda: ours.get(made.id).status == "failed")

    assert ours.cancel(made.id) is None
    assert ours.get(made.id).error == "no (SAFETY.INPUT.TEXT)"


def test_a_lost_create_cannot_be_found(ours: RunwayProvider, standin: StandIn) -> None:
    asked = request("[answer=lost] never seen again")

    with pytest.raises(AnswerLost):
        ours.create(asked, "none", 60)
    with pytest.raises(AnswerLost, match="lists no tasks"):
        ours.find(asked, "none", datetime.now(UTC))

    made = standin.http.get("/_standin/predictions").json()
    assert [row["input"]["prompt"] for row in made].count("[answer=lost] never seen again") == 1


@pytest.mark.parametrize(
    ("answer", "error", "code", "wait_seconds"),
    [
        (reply(429, b"{}", **{"Retry-After": "7"}), ProviderBusy, "provider_throttled", 7),
        (reply(429, b"{}", **{"Retry-After": "soon"}), ProviderBusy, "provider_throttled", 10),
        (reply(500, b"{}"), AnswerLost, "answer_lost", None),
        (reply(502, b"<html>"), AnswerLost, "answer_lost", None),
        (reply(503, b"{}"), AnswerLost, "answer_lost", None),
        (reply(504, b""), AnswerLost, "answer_lost", None),
        (reply(408, b"{}"), AnswerLost, "answer_lost", None),
        (reply(302, b"", Location="https://elsewhere.example/"), AnswerLost, "answer_lost", None),
        (reply(200, b"not json"), AnswerLost, "answer_lost", None),
        (reply(200, b'{"id": "../x"}'), AnswerLost, "answer_lost", None),
        (reply(200, b"{}"), AnswerLost, "answer_lost", None),
        (reply(200, b'{"id": 7}'), AnswerLost, "answer_lost", None),
        (reply(200, b"[]"), AnswerLost, "answer_lost", None),
        (reply(400, b'{"error": "key_test is no field"}'), ProviderRefused, "provider_refused", None),
        (reply(401, b'{"error": "no key"}'), ProviderRefused, "provider_refused", None),
        (reply(403, b'{"error": "not yours"}'), ProviderRefused, "model_unavailable", None),
        (reply(404, b'{"error": "no such model"}'), ProviderRefused, "model_unavailable", None),
    ],
)
def test_a_create_is_sent_once_and_says_whether_anything_was_made(
    answer: bytes, error: type[ProductError], code: str, wait_seconds: int | None
) -> None:
    with scripted(always(answer)) as server:
        with pytest.raises(error) as raised:
            provider(server.origin).create(request("x"), "none", 60)

        assert len(server.asked) == 1
    assert (raised.value.code, raised.value.retry_after_seconds) == (code, wait_seconds)
    assert "key_test" not in raised.value.sentence


def test_a_refusal_names_the_fields(ours: RunwayProvider) -> None:
    with pytest.raises(ProviderRefused, match=r"\(400\): Validation of body failed; ratio: ") as refused:
        ours.create(request("x", ratio="1280:768"), "none", 60)

    assert "960:960" in refused.value.sentence


def test_a_read_that_fails_is_tried_again_and_then_left_for_later() -> None:
    answers = [reply(502, b""), reply(500, b""), reply(200, b'{"status": "RUNNING", "progress": 0.29}')]
    with scripted(lambda connection, _: connection.sendall(answers.pop(0))) as server:
        assert provider(server.origin).get("t1").progress == 29
    with scripted(always(reply(502, b""))) as server:
        with pytest.raises(ProviderBusy):
            provider(server.origin).get("t1")
        assert len(server.asked) == 3


def test_a_cancel_whose_answer_was_lost_is_a_cancel() -> None:
    answers = [reply(200, b'{"status": "RUNNING"}'), reply(502, b""), reply(404, b'{"error": "Could not find Task"}')]
    with scripted(lambda connection, _: connection.sendall(answers.pop(0))) as server:
        stopped = provider(server.origin).cancel("t1")

        assert [asked.method for asked in server.asked] == ["GET", "DELETE", "DELETE"]
    assert stopped is not None


@pytest.mark.parametrize("odd", ["../uploads", "", "a/b", "a?b", "a%2Fb", "x" * 65, "é", "a\n"])
def test_an_odd_id_is_asked_of_nobody(odd: str) -> None:
    with scripted(always(reply(200, b"{}"))) as server:
        for act in (provider(server.origin).get, provider(server.origin).cancel):
            with pytest.raises(NotFound):
                act(odd)

        assert server.asked == []


def test_the_token_goes_by_https_in_one_header_and_only_if_it_can() -> None:
    with pytest.raises(ValueError, match="https"):
        provider("http://api.dev.runwayml.com")
    with pytest.raises(ProviderBusy):
        provider("http://127.0.0.1:1").get("t1")
    with pytest.raises(ProviderRefused, match="set it again"):
        provider("http://127.0.0.1:1", token="two\nlines").get("t1")


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        ("SAFETY.INPUT.TEXT", False),
        ("SAFETY.OUTPUT.VIDEO", False),
        ("INPUT_PREPROCESSING.SAFETY.TEXT", False),
        ("ASSET.INVALID", False),
        ("INPUT_PREPROCESSING.INTERNAL", True),
        ("INTERNAL.BAD_OUTPUT.CODE01", True),
        ("THIRD_PARTY.UNAVAILABLE", True),
        ("INTERNAL", True),
        (None, True),
    ],
)
def test_what_the_input_is_to_blame_for_is_not_tried_again(code: str | None, retryable: bool) -> None:
    found = to_prediction("id", {"status": "FAILED", "failure": "No.", "failureCode": code, "cost": {"credits": 0}})

    assert (found.status, found.retryable, found.predict_seconds) == ("failed", retryable, None)


@pytest.mark.parametrize(
    ("task", "status", "provider_status"),
    [
        ({"status": "PENDING"}, "running", "pending"),
        ({"status": "THROTTLED"}, "running", "throttled"),
        ({"status": "RUNNING", "progress": True}, "running", "running"),
        ({"status": "CANCELLED"}, "canceled", "canceled"),
        ({"status": "SOMETHING_NEW", "output": 7, "progress": "x", "cost": []}, "running", "something_new"),
        ({"status": "SUCCEEDED", "output": ["https://x/y", 7], "cost": {"credits": True}}, "succeeded", "succeeded"),
    ],
)
def test_every_status_is_read(task: dict[str, Any], status: str, provider_status: str) -> None:
    found = to_prediction("id", json.loads(json.dumps(task)))

    assert (found.status, found.provider_status, found.progress) == (status, provider_status, None)
