"""The stand-in's faults come as asked, touch one prediction only, and what it promised outlives a kill."""

from __future__ import annotations

import json
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scripted_server import ScriptedServer, reply, scripted
from tests.standin_process import IMAGE, TEXT, VIDEO, StandIn, heard, running, streams, wait_for

COMPLETED: dict[str, Any] = {"webhook_events_filter": ["completed"]}


@pytest.fixture(scope="module", autouse=True)
def slow(standin: StandIn, hooks: ScriptedServer) -> dict[str, httpx.Response]:
    """What takes five seconds by contract, begun at once so that the other tests run meanwhile."""

    def with_deadline(prompt: str) -> httpx.Response:
        body = {"version": IMAGE, "input": {"prompt": prompt}}
        return standin.http.post("/v1/predictions", json=body, headers={"Cancel-After": "5s"})

    return {
        "late": standin.create(TEXT, "[webhook=late] late", webhook=f"{hooks.origin}/late", **COMPLETED),
        "canceled": with_deadline("[seconds=60] runs too long"),
        "aborted": with_deadline("[seconds=60][abort] never starts"),
    }


def test_a_slow_prediction_takes_its_seconds(standin: StandIn) -> None:
    assert standin.ended(standin.create(TEXT, "[seconds=0.5] slow"))["metrics"]["predict_time"] >= 0.49


def test_slow_predictions_do_not_hold_up_others(standin: StandIn) -> None:
    slow = [standin.create(TEXT, f"[seconds=60] slow {number}").json()["urls"]["cancel"] for number in range(3)]

    assert standin.ended(standin.create(TEXT, "quick"))["status"] == "succeeded"
    assert [standin.http.post(link).json()["status"] for link in slow] == ["canceled"] * 3


@pytest.mark.parametrize(
    ("directive", "status", "error"),
    [
        ("[fail]", "failed", "The model could not generate a result for this input"),
        ("[fail=NSFW content detected]", "failed", "NSFW content detected"),
        ("[abort]", "aborted", "The deadline passed before the prediction could start"),
    ],
)
def test_a_prediction_ends_badly_and_costs_nothing(standin: StandIn, directive: str, status: str, error: str) -> None:
    ended = standin.ended(standin.create(VIDEO, f"{directive} bad end"))

    assert (ended["status"], ended["error"], ended["output"]) == (status, error, None)
    assert standin.made(ended["id"])["billedUsd"] == 0


def test_a_lost_webhook_never_comes_and_a_doubled_one_comes_twice(standin: StandIn, hooks: ScriptedServer) -> None:
    for fault in ("lost", "doubled"):
        standin.ended(standin.create(TEXT, f"[webhook={fault}] hook", webhook=f"{hooks.origin}/{fault}", **COMPLETED))
    wait_for(lambda: len(heard(hooks, "/doubled")) == 2)

    first, second = heard(hooks, "/doubled")
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert heard(hooks, "/lost") == []


def test_an_early_webhook_comes_before_the_create_is_answered(standin: StandIn, hooks: ScriptedServer) -> None:
    created = standin.create(IMAGE, "[webhook=early] hook", webhook=f"{hooks.origin}/early", **COMPLETED)

    assert [json.loads(hook.body)["status"] for hook in heard(hooks, "/early")] == ["succeeded"]
    assert created.json()["status"] == "starting"


@pytest.mark.parametrize("shown", [True, False])
def test_a_lost_answer_leaves_a_prediction_that_the_list_shows(standin: StandIn, shown: bool) -> None:
    prompt = f"[answer=lost] {'[shown=no]' * (not shown)}"

    with pytest.raises(httpx.RemoteProtocolError):
        standin.create(TEXT, prompt, webhook="https://hooks.example/1?lost", webhook_events_filter=["start"])

    listed = standin.http.get("/v1/predictions").json()["results"]
    (found,) = [one for one in listed if one["input"].get("prompt") == prompt]
    assert found.get("webhook") == ("https://hooks.example/1?lost" if shown else None)


@pytest.mark.parametrize(
    ("answer", "detail"),
    [("429", "Request was throttled. Your rate limit resets in ~2s."), ("500", "An unexpected error occurred.")],
)
def test_a_refused_create_makes_nothing_and_the_next_one_passes(standin: StandIn, answer: str, detail: str) -> None:
    prompt = f"[answer={answer}] once"
    before = len(standin.http.get("/_standin/predictions").json())

    refused = standin.create(TEXT, prompt)

    assert (refused.status_code, refused.json()["detail"]) == (int(answer), detail)
    assert refused.headers.get("retry-after") == ("2" if answer == "429" else None)
    assert len(standin.http.get("/_standin/predictions").json()) == before
    assert standin.create(TEXT, prompt).status_code == 201


@pytest.mark.parametrize(
    ("directives", "told"),
    [
        ("[size=640x480][duration=0.5]", "640x480"),
        ("[size=320x180][duration=0.4][fps=25]", "25 fps, 25 tbr, 12800 tbn"),
        ("[size=320x180][duration=0.4][fps=30000/1001]", "29.97 fps"),
        ("[size=320x180][duration=2]", "Duration: 00:00:02.00"),
        ("[size=320x180][duration=0.4][sound=mono]", "44100 Hz, mono"),
        ("[size=320x180][duration=0.4][sound=stereo]", "44100 Hz, stereo"),
        ("[size=320x180][duration=0.4][sound=48000]", "48000 Hz, stereo"),
    ],
)
def test_a_clip_has_the_shape_it_is_told(standin: StandIn, directives: str, told: str, tmp_path: Path) -> None:
    media = standin.output(standin.create(VIDEO, f"shape {directives}")).content

    described = streams(media, tmp_path)
    assert told in described
    assert ("Audio: aac" in described) == ("sound" in directives)


def test_wrong_outputs_are_wrong_in_the_way_asked(standin: StandIn, tmp_path: Path) -> None:
    html, truncated, gone = (
        standin.output(standin.create(VIDEO, f"[output={fault}]")) for fault in ("html", "truncated", "gone")
    )

    assert (html.headers["content-type"], html.text[:15]) == ("text/html", "<!DOCTYPE html>")
    assert "partial file" in streams(truncated.content, tmp_path)
    assert gone.status_code == 404


def test_a_huge_output_has_no_length_and_no_end_in_sight(standin: StandIn) -> None:
    link = standin.ended(standin.create(VIDEO, "[output=huge]"))["output"]

    with httpx.stream("GET", link) as answer:
        pieces = answer.iter_raw()
        read = sum(len(piece) for piece, _ in zip(pieces, range(200), strict=False))

    assert "content-length" not in answer.headers
    assert read > 5_000_000


def test_a_cut_output_ends_before_its_length(standin: StandIn) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        standin.output(standin.create(VIDEO, "[output=cut]"))


def test_data_expires_with_its_files(standin: StandIn) -> None:
    created = standin.create(IMAGE, "[expire=0.5] short memory")
    link = standin.ended(created)["output"][0]
    wait_for(lambda: standin.http.get(created.json()["urls"]["get"]).json()["data_removed"])

    shown = standin.http.get(created.json()["urls"]["get"]).json()
    assert (shown["status"], shown["input"], shown["output"], shown["logs"]) == ("succeeded", {}, None, "")
    assert httpx.get(link).status_code == 404


def test_switches_steer_what_is_made_from_then_on(standin: StandIn) -> None:
    try:
        assert standin.http.put("/_standin/switches", json={"fail": "by switch"}).is_success
        failed = standin.ended(standin.create(TEXT, "switched"))
    finally:
        standin.http.put("/_standin/switches", json={})

    assert failed["error"] == "by switch"
    assert standin.ended(standin.create(TEXT, "ordinary"))["status"] == "succeeded"
    assert standin.http.put("/_standin/switches", json={"fial": True}).status_code == 422


def test_a_killed_stand_in_finishes_what_it_took(tmp_path: Path, hooks: ScriptedServer) -> None:
    with running(tmp_path) as standin:
        secret = standin.sdk.webhooks.default.secret().key
        created = standin.create(VIDEO, "[seconds=1] survives", webhook=f"{hooks.origin}/killed", **COMPLETED)
        standin.end(signal.SIGKILL)
        standin.start()

        assert standin.ended(created)["status"] == "succeeded"
        wait_for(lambda: heard(hooks, "/killed"))
        assert [row["id"] for row in standin.http.get("/_standin/predictions").json()] == [created.json()["id"]]
        assert standin.sdk.webhooks.default.secret().key == secret


def test_a_webhook_that_was_not_taken_before_a_kill_comes_after_it(tmp_path: Path) -> None:
    answers = [reply(503), reply(200)]
    with scripted(lambda connection, _: connection.sendall(answers.pop(0))) as receiver, running(tmp_path) as standin:
        standin.ended(standin.create(TEXT, "hook", webhook=receiver.origin, **COMPLETED))
        wait_for(lambda: receiver.asked)
        standin.end(signal.SIGKILL)
        standin.start()

        wait_for(lambda: len(receiver.asked) == 2)


def test_a_reset_ends_what_runs_and_forgets_it(tmp_path: Path) -> None:
    with running(tmp_path) as standin:
        link = standin.create(TEXT, "[seconds=60] forgotten").json()["urls"]["get"]

        assert standin.http.delete("/_standin/predictions").is_success

        assert standin.http.get("/_standin/predictions").json() == []
        assert standin.http.get(link).status_code == 404


def test_a_deadline_aborts_what_waits_and_cancels_what_runs(standin: StandIn, slow: dict[str, httpx.Response]) -> None:
    aborted, canceled = standin.ended(slow["aborted"]), standin.ended(slow["canceled"])

    assert (aborted["status"], aborted["started_at"]) == ("aborted", None)
    assert canceled["status"] == "canceled"
    assert standin.made(canceled["id"])["billedUsd"] > standin.made(aborted["id"])["billedUsd"] == 0


def test_a_late_webhook_comes_seconds_after_the_end(
    standin: StandIn, slow: dict[str, httpx.Response], hooks: ScriptedServer
) -> None:
    wait_for(lambda: heard(hooks, "/late"))

    (attempt,) = standin.made(slow["late"].json()["id"])["webhookDeliveries"]
    completed = datetime.fromisoformat(standin.ended(slow["late"])["completed_at"])
    assert attempt["at"] - completed.timestamp() >= 5
