"""The provider's adapter over its real SDK, against a server that answers in Replicate's shapes or not at all."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import traceback
from typing import Any

import pytest

from shared.adapters.replicate_provider import READ_TRIES, ReplicateProvider, webhook_fields
from shared.domain.errors import AnswerLost, NotFound, ProductError, ProviderBusy, ProviderRefused
from tests.contract.replicate_calls import HOOK, MADE, REQUEST, TOKEN, provider
from tests.scripted_server import Answer, Asked, always, in_turn, json_reply, reply, scripted


def create(base_url: str, **changes: Any) -> Any:
    return provider(base_url, **changes).create(REQUEST, HOOK, 600)


def failed_create(answer: Answer, error: type[ProductError], **changes: Any) -> ProductError:
    """What a create raises; it asked for one call, and the token is nowhere in the traceback."""
    with scripted(answer) as server, pytest.raises(error) as raised:
        create(server.origin, **changes)
    assert [asked.method for asked in server.asked].count("POST") == 1
    assert TOKEN not in "".join(traceback.format_exception(raised.value))
    return raised.value


def test_a_count_with_a_point_is_counted() -> None:
    told = {
        **MADE,
        "status": "succeeded",
        "metrics": {"image_output_count": 2.0, "token_input_count": 3.0, "token_output_count": 4e0},
    }
    with scripted(always(json_reply(201, told))) as server:
        made = create(server.origin)

    assert (made.images, made.tokens) == (2, 7)


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_a_create_asks_once_for_model_input_webhook_and_deadline(suffix: str) -> None:
    with scripted(always(json_reply(201, MADE))) as server:
        made = create(server.origin + suffix)

    (asked,) = server.asked
    assert (made.id, made.status, made.provider_status) == (MADE["id"], "running", "starting")
    assert (asked.method, asked.path) == ("POST", "/v1/predictions")
    assert json.loads(asked.body) == {**REQUEST, "webhook": HOOK, "webhook_events_filter": ["start", "completed"]}
    assert (asked.headers["authorization"], asked.headers["cancel-after"]) == (f"Bearer {TOKEN}", "600s")


@pytest.mark.parametrize(
    ("webhook_url", "base_url", "is_sent"),
    [
        ("https://api.example.com/webhook", "https://api.replicate.com/v1", True),
        ("http://127.0.0.1:8080/local/webhook", "https://api.replicate.com/v1", False),
        ("http://127.0.0.1:8080/local/webhook", "http://127.0.0.1:9090/v1", True),
    ],
)
def test_a_webhook_that_the_provider_could_not_call_is_left_out(webhook_url: str, base_url: str, is_sent: bool) -> None:
    assert ("webhook" in webhook_fields(webhook_url, base_url)) == is_sent


@pytest.mark.parametrize(("seconds", "sent"), [(0, "5s"), (999_999, "86400s")])
def test_deadlines_stay_within_what_the_provider_takes(seconds: int, sent: str) -> None:
    with scripted(always(json_reply(201, MADE))) as server:
        provider(server.origin).create(REQUEST, HOOK, seconds)

    assert server.asked[0].headers["cancel-after"] == sent


@pytest.mark.parametrize("status", [400, 401, 402, 403, 409, 410, 413, 422])
def test_a_refusal_carries_the_reason_but_not_the_token(status: int) -> None:
    answer = json_reply(status, {"title": "No", "detail": f"- input.seed: wrong\n for {TOKEN}", "status": status})

    assert "- input.seed: wrong for ***" in failed_create(always(answer), ProviderRefused).sentence


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"detail": ["a"]}', b'{"title": "a"}', b"[" * 99_999])
def test_a_refusal_in_any_shape_is_a_refusal(body: bytes) -> None:
    assert len(failed_create(always(reply(422, body)), ProviderRefused).sentence) < 600


def described(version: str, *, official: bool = False) -> bytes:
    latest = {"id": version, "openapi_schema": {"components": {}}}
    return json_reply(200, {"is_official": official, "latest_version": latest})


REFUSED = json_reply(422, {"title": "Invalid", "detail": "wrong", "status": 422})


def test_a_model_that_is_not_called_by_its_name_is_called_by_its_latest_version() -> None:
    with scripted(in_turn(REFUSED, described("abc"), json_reply(201, MADE))) as server:
        made = create(server.origin)

    assert made.id == MADE["id"]
    assert [(asked.method, asked.path) for asked in server.asked] == [
        ("POST", "/v1/predictions"),
        ("GET", "/v1/models/owner/name"),
        ("POST", "/v1/predictions"),
    ]
    first, last = json.loads(server.asked[0].body), json.loads(server.asked[2].body)
    assert last == {**first, "version": "owner/name:abc"}


@pytest.mark.parametrize(
    ("version", "path"),
    [("owner/name", "/v1/models/owner/name"), ("owner/name:abc", "/v1/models/owner/name/versions/abc")],
)
@pytest.mark.parametrize("status", [404, 422])
def test_a_version_the_provider_does_not_have_says_where_to_mend_it(version: str, path: str, status: int) -> None:
    answers = in_turn(json_reply(status, {"detail": "no"}), json_reply(404, {"detail": "no"}))
    with scripted(answers) as server, pytest.raises(ProviderRefused) as raised:
        provider(server.origin).create({**REQUEST, "version": version}, HOOK, 600)

    assert [asked.path for asked in server.asked] == ["/v1/predictions", path]
    assert raised.value.code == "model_unavailable"
    assert version in raised.value.sentence
    assert "registry" in raised.value.sentence


@pytest.mark.parametrize("answer", [described("abc", official=True), reply(500), json_reply(401, {})])
def test_a_wrong_input_of_a_model_that_is_there_stays_a_wrong_input(answer: bytes) -> None:
    with scripted(in_turn(REFUSED, *[answer] * READ_TRIES)) as server, pytest.raises(ProviderRefused) as raised:
        create(server.origin)

    assert (raised.value.code, [a.method for a in server.asked].count("POST")) == ("provider_refused", 1)


def test_a_bare_version_is_not_looked_up() -> None:
    with scripted(always(REFUSED)) as server, pytest.raises(ProviderRefused):
        provider(server.origin).create({**REQUEST, "version": "abc"}, HOOK, 600)

    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("headers", "detail", "seconds"),
    [
        ({"Retry_After": "7", "ratelimit_reset": "9"}, "", 7),
        ({"Retry_After": "Fri, 02 Jan 2026 03:04:25 GMT", "Date": "Fri, 02 Jan 2026 03:04:05 GMT"}, "", 20),
        ({"Retry_After": "soon", "ratelimit_reset": "9"}, "", 9),
        ({}, "Request was throttled. Your rate limit resets in ~30s.", 30),
        ({"Retry_After": "99999999"}, "", 900),
        ({"Retry_After": "0"}, "", 10),
        ({}, "", 10),
    ],
)
def test_a_throttled_create_says_when_to_come_back(headers: dict[str, str], detail: str, seconds: int) -> None:
    answer = json_reply(429, {"detail": detail}, **headers)

    assert failed_create(always(answer), ProviderBusy).retry_after_seconds == seconds


@pytest.mark.parametrize(
    "answer",
    [
        json_reply(500, {}),
        json_reply(502, MADE),
        reply(503),
        reply(504),
        reply(408),
        b"",
        b"HTTP/1.1 201",
        json_reply(201, MADE)[:-5],
        reply(201),
        reply(201, b"<html>"),
        json_reply(201, {}),
        json_reply(201, [MADE]),
        json_reply(201, {"id": None, "status": "starting"}),
        reply(201, b"[" * 99_999),
        reply(204),
        b"\x16\x03\x01\r\n",
        json_reply(302, MADE, Location="/v1/predictions"),
        reply(422, b"{}")[:-1],
    ],
)
def test_an_answer_that_cannot_be_read_is_lost_and_never_asked_again(answer: bytes) -> None:
    failed_create(always(answer), AnswerLost)


@pytest.mark.parametrize(
    ("answer", "code"),
    [(reply(500), "provider_error"), (reply(503), "provider_error"), (b"", "answer_lost"), (reply(201), "answer_lost")],
)
def test_a_provider_that_says_it_failed_is_told_from_one_that_says_nothing(answer: bytes, code: str) -> None:
    assert failed_create(always(answer), AnswerLost).code == code


def test_an_answer_that_does_not_come_is_lost() -> None:
    def silent(connection: socket.socket, asked: Asked) -> None:
        connection.recv(1)

    failed_create(silent, AnswerLost, timeout_seconds=0.2)


def test_a_create_that_never_left_made_nothing() -> None:
    with scripted(always(b"")) as server:
        nobody = server.origin

    for base_url in (nobody, "https://name.invalid", nobody.replace("http", "https")):
        with pytest.raises(ProviderBusy):
            create(base_url)


def test_a_failed_handshake_made_nothing() -> None:
    with scripted(always(reply(200))) as server, pytest.raises(ProviderBusy):
        create(server.origin.replace("http:", "https:"), timeout_seconds=0.3)

    assert server.asked == []


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nb", "\u00e9"])
def test_a_malformed_token_is_refused_unsaid(token: str) -> None:
    with scripted(always(json_reply(201, MADE))) as server, pytest.raises(ProviderRefused) as raised:
        ReplicateProvider(lambda: token, server.origin).create(REQUEST, HOOK, 60)

    assert (server.asked, raised.value.__cause__) == ([], None)


def test_an_input_without_json_form_is_refused_unsent() -> None:
    with pytest.raises(ProviderRefused):
        provider("http://127.0.0.1:9").create({**REQUEST, "input": {"seed": float("nan")}}, HOOK, 60)


def test_the_token_goes_only_where_it_is_encrypted() -> None:
    with pytest.raises(ValueError, match="https"):
        provider("http://api.replicate.com")


def test_a_rotated_token_is_used_at_once() -> None:
    tokens = iter(("old", "old", "new", "new"))
    with scripted(always(json_reply(200, MADE))) as server:
        rotating = ReplicateProvider(lambda: next(tokens), server.origin)
        for _ in range(4):
            rotating.get("p1")

    assert [asked.headers["authorization"][7:] for asked in server.asked] == ["old", "old", "new", "new"]


@pytest.mark.parametrize("status", ["succeeded", "failed", "canceled", "aborted", "something new"])
def test_every_status_can_be_read(status: str) -> None:
    with scripted(always(json_reply(200, {**MADE, "status": status}))) as server:
        read = provider(server.origin).get("p1")

    assert read.provider_status == status
    assert server.asked[0].path == "/v1/predictions/p1"


def test_a_read_is_tried_again_a_few_times() -> None:
    with scripted(in_turn(reply(500), b"", json_reply(200, MADE))) as server:
        assert provider(server.origin).get("p1").id == MADE["id"]

    assert len(server.asked) == READ_TRIES


@pytest.mark.parametrize("answer", [reply(500), b"", reply(200, b"<html>"), json_reply(200, [])])
def test_a_read_that_keeps_failing_is_given_up(answer: bytes) -> None:
    with scripted(always(answer)) as server, pytest.raises(ProviderBusy):
        provider(server.origin).get("p1")

    assert len(server.asked) == READ_TRIES


def test_a_throttled_read_does_not_sleep() -> None:
    answer = json_reply(429, {}, Retry_After="600")
    with scripted(always(answer)) as server, pytest.raises(ProviderBusy) as raised:
        provider(server.origin).get("p1")

    assert (len(server.asked), raised.value.retry_after_seconds) == (1, 600)


@pytest.mark.parametrize(("status", "error"), [(404, NotFound), (410, NotFound), (401, ProviderRefused)])
def test_reading_and_cancelling_tell_what_is_absent(status: int, error: type[ProductError]) -> None:
    with scripted(always(json_reply(status, {"detail": "no"}))) as server:
        for ask in (provider(server.origin).get, provider(server.origin).cancel):
            with pytest.raises(error):
                ask("p1")


@pytest.mark.parametrize("provider_id", ["", "..", "../../v1/account", "a/b", "a?b", "\u00e9", "a" * 65])
def test_ids_are_never_paths(provider_id: str) -> None:
    with scripted(always(json_reply(200, MADE))) as server:
        for ask in (provider(server.origin).get, provider(server.origin).cancel):
            with pytest.raises(NotFound):
                ask(provider_id)

    assert server.asked == []


@pytest.mark.parametrize("answer", [json_reply(200, MADE), reply(204), reply(409), reply(422)])
def test_cancelling_what_is_finished_is_no_error(answer: bytes) -> None:
    with scripted(always(answer)) as server:
        provider(server.origin).cancel("p1")

    assert [(asked.method, asked.path) for asked in server.asked] == [("POST", "/v1/predictions/p1/cancel")]


@pytest.mark.parametrize("answer", [reply(500), b"", reply(429), reply(302, Location="/")])
def test_a_cancel_without_an_answer_may_be_repeated(answer: bytes) -> None:
    with scripted(always(answer)) as server, pytest.raises(ProviderBusy):
        provider(server.origin).cancel("p1")


def test_the_sdk_is_imported_only_when_it_is_needed() -> None:
    code = (
        "import sys, shared.adapters.replicate_provider; sys.exit('replicate' in sys.modules or 'httpx' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"ratelimit-remaining": "41", "ratelimit-reset": "7"}, (41, 7)),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "9999"}, (0, 900)),
        ({"ratelimit-remaining": "many", "ratelimit-reset": "7"}, (None, None)),
        ({"ratelimit-remaining": "41"}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_an_accepted_create_says_how_many_calls_are_left(headers: dict[str, str], told: Any) -> None:
    with scripted(always(reply(201, json.dumps(MADE).encode(), **headers))) as server:
        made = create(server.origin)

    assert (made.rate_remaining, made.rate_reset_seconds) == told
