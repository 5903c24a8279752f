"""Calls of the provider as a client sees them: what they start from and answer, who made it, what it cost."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.client import Api, a_clip, a_text, eventually, fetch
from tests.e2e.conftest import Predictions, Rows

IMAGE = {"mediaType": "image", "modelId": "flux-schnell"}
INTERRUPTED = "[fail=Prediction interrupted; please retry (code: PA)]"


def an_image(prompt: str, **parameters: Any) -> dict[str, Any]:
    return {"userId": "tester", **IMAGE, "parameters": {"prompt": prompt, "megapixels": "0.25", **parameters}}


def asked(api: Api, body: dict[str, Any]) -> str:
    return str(api.post("/generate-media", body).data(202)["jobId"])


def made_for(predictions: Predictions, job: Any) -> list[Any]:
    """The provider's own account of what it made for a job."""
    return [one for one in predictions("") if f"job={job['jobId']}" in (one["webhook"] or "")]


@pytest.fixture(scope="module")
def jobs(api: Api) -> dict[str, str]:
    """Asked for all at once, by name."""
    on_flux = "[on=black-forest-labs/flux-schnell]"
    # Not the same words as in an earlier run: what is refused once is refused once for all.
    refused_once = f"{on_flux}[answer=402] {uuid4().hex}"
    return {
        "data": asked(api, an_image("two pictures [output=data]", num_outputs=2)),
        "object": asked(api, an_image("three pictures [output=object]", num_outputs=3)),
        "fallen": asked(api, {**an_image(refused_once), "fallback": True}),
        "interrupted": asked(api, a_text(INTERRUPTED)),
        "nsfw": asked(api, a_text("[fail=NSFW content detected. Please retry (code: PA)]")),
        "clip": asked(api, a_clip("a clip of three seconds", parameters={"prompt": "three seconds", "duration": 3})),
        "picture": asked(api, an_image("a red lighthouse")),
        "text": asked(api, a_text("five words of the sea")),
        "music": asked(
            api,
            {
                "userId": "tester",
                "mediaType": "audio",
                "modelId": "musicgen",
                "parameters": {"prompt": "a waltz", "duration": 1},
            },
        ),
    }


def test_a_number_is_the_same_however_it_is_written(api: Api, predictions: Predictions, words: str) -> None:
    body = json.dumps(a_clip(words, parameters={"prompt": words, "resolution": "480p", "duration": "N", "seed": "N"}))
    spelled = [body.replace('"N"', number).encode() for number in ("2", "2.0", "2e0", "20E-1")]

    made = {api.post("/generate-media", one, Idempotency_Key=words).data(202)["jobId"] for one in spelled}

    assert len(made) == 1
    (sent,) = eventually(lambda: predictions(words), lambda: "no prediction was made")
    assert json.dumps([sent["input"]["duration"], sent["input"]["seed"]]) == "[2, 2]"


def test_a_script_a_section_and_a_position_may_be_written_with_a_point(api: Api, rows: Rows, words: str) -> None:
    script_id = api.post("/api/scripts", b'{"sectionId": 7.0}').data(201)["scriptId"]
    body = json.dumps(a_clip(words, scriptId="S", sectionId="N")).replace('"S"', f"{script_id}.0").replace('"N"', "9e0")
    job_id = api.post("/generate-media", body.encode()).data(202)["jobId"]
    (video,) = api.videos(script_id)

    moved = api.call("PATCH", f"/api/section-videos/{video['videoId']}", b'{"position": 1.0}').data()

    assert (moved["position"], moved["sectionId"], moved["jobId"]) == (1, 9, job_id)
    assert rows("SELECT request->>'scriptId' FROM vsl.jobs WHERE id = %s", job_id) == [(str(script_id),)]
    named = {"videoIds": f"[{video['videoId']}.0]", "clips": f'[{{"videoId": {video["videoId"]}e0}}]'}
    for field, value in named.items():
        api.post("/compile-videos", f'{{"{field}": {value}}}'.encode()).refuses(409, "not_approved")


def test_outputs_inside_the_answer_are_stored_like_any(api: Api, jobs: dict[str, str]) -> None:
    outputs = api.completed(jobs["data"])["result"]["outputs"]

    assert [fetch(output["url"])[1][8:12] for output in outputs] == [b"WEBP", b"WEBP"]


def test_all_of_an_object_is_stored_with_what_was_asked_for_first(api: Api, jobs: dict[str, str]) -> None:
    result = api.completed(jobs["object"])["result"]

    assert [output["contentType"] for output in result["outputs"]] == ["image/webp"] * 3 + ["text/plain"]
    assert (result["contentType"], result["outputs"][3]["text"]) == ("image/webp", "made in one go")
    assert len({fetch(output["url"])[1] for output in result["outputs"]}) == 4


def test_a_job_says_which_model_made_it(api: Api, jobs: dict[str, str]) -> None:
    job = api.completed(jobs["fallen"])

    assert (job["modelId"], job["actualCost"]) == ("sdxl", 0.01)
    fell = [e["details"] for e in api.get(f"/jobs/{job['jobId']}/events").data()["events"] if "fell" in e["name"]]
    assert fell == [{"code": "model_unavailable", "from": "flux-schnell", "to": "sdxl"}]


@pytest.mark.parametrize(("name", "calls"), [("interrupted", 4), ("nsfw", 1)])
def test_only_the_providers_own_failures_are_tried_again(
    api: Api, rows: Rows, predictions: Predictions, jobs: dict[str, str], name: str, calls: int
) -> None:
    job = api.ended(jobs[name])

    assert (job["status"], job["error"]["code"]) == ("failed", "provider_failed")
    assert len(made_for(predictions, job)) == calls
    assert rows("SELECT sum(amount_usd) FROM vsl.cost_ledger WHERE job_id = %s AND entry = 'actual'", job["jobId"]) == [
        (0,)
    ]


@pytest.mark.parametrize("name", ["data", "fallen", "clip", "text", "music"])
def test_the_ledger_holds_to_the_cent_what_the_provider_billed(
    api: Api, rows: Rows, predictions: Predictions, jobs: dict[str, str], name: str
) -> None:
    job = api.completed(jobs[name])

    (billed,) = [one["billedUsd"] for one in made_for(predictions, job)]
    paid = "SELECT sum(amount_usd)::float8 FROM vsl.cost_ledger WHERE job_id = %s AND entry = 'actual'"
    assert rows(paid, job["jobId"]) == [(billed,)]
    assert job["actualCost"] == billed > 0


def frames(api: Api, rows: Rows, job_id: str) -> list[Any]:
    """The same picture by every name it has."""
    result = api.completed(job_id)["result"]
    ((key,),) = rows("SELECT s3_key FROM vsl.jobs WHERE id = %s", job_id)
    data = base64.b64encode(fetch(result["thumbnailUrl"])[1]).decode()
    return [{"jobId": job_id}, {"s3Key": key}, result["originalUrl"], f"data:image/jpeg;base64,{data}"]


def test_a_clip_starts_from_a_picture_by_any_of_its_names(
    api: Api, rows: Rows, predictions: Predictions, jobs: dict[str, str], words: str
) -> None:
    parameters = {"prompt": words, "duration": 2, "resolution": "480p"}
    started = [
        asked(api, a_clip("", parameters={**parameters, "firstFrame": frame}))
        for frame in frames(api, rows, jobs["picture"])
    ]

    for job_id in started:
        api.completed(job_id)
    shown = [one["input"]["image"] for one in predictions(words)]
    # Calls overtake each other on their way.
    assert sorted("X-Amz-Signature" in image for image in shown) == [False, True, True, True]
    for table in ("jobs", "provider_attempts"):
        kept = rows(
            f"SELECT request::text FROM vsl.{table} WHERE account_id IN "
            "(SELECT account_id FROM vsl.jobs WHERE id = %s)",
            started[0],
        )
        assert not [request for (request,) in kept if "X-Amz" in request]


def test_another_accounts_picture_starts_no_clip(
    api: Api, stranger: Api, rows: Rows, jobs: dict[str, str], words: str
) -> None:
    for frame in frames(api, rows, jobs["picture"])[:3]:
        refused = stranger.post("/generate-media", a_clip("", parameters={"prompt": words, "firstFrame": frame}))
        assert (refused.status, refused.body["code"]) == (404, "not_found"), refused.body


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"firstFrame": "ftp://example.com/a.png"}, "firstFrame"),
        ({"firstFrame": {"s3Key": 7}}, "firstFrame"),
        ({"image": "data:image/png;base64,%"}, "image"),
        ({"firstframe": "https://example.com/a.png"}, "firstframe"),
    ],
)
def test_a_picture_that_cannot_be_one_is_refused(api: Api, parameters: dict[str, Any], path: str) -> None:
    refused = api.post("/generate-media", a_clip("", parameters={"prompt": "x", **parameters}))

    assert f"parameters.{path}: " in refused.refuses(422, "invalid_request")


def test_a_cancelled_job_is_told_what_it_cost_once_that_is_known(
    api: Api, rows: Rows, predictions: Predictions, words: str
) -> None:
    job_id = api.generate(f"{words} [seconds=60]")
    eventually(lambda: [one for one in predictions(words) if one["startedAt"]], lambda: "the call never started")
    accepted = "SELECT 1 FROM vsl.provider_attempts WHERE job_id = %s AND state = 'accepted'"
    eventually(lambda: rows(accepted, job_id), lambda: "the call was never reported")

    assert api.post(f"/jobs/{job_id}/cancel").data()["charge"] == "pending"

    def settled() -> list[Any]:
        events = api.get(f"/jobs/{job_id}/events").data()["events"]
        return [event["details"] for event in events if event["name"] == "charge.settled"]

    (billed,) = eventually(settled, lambda: "the charge is never settled") and predictions(words)
    assert settled() == [{"amountUsd": billed["billedUsd"]}]
    assert billed["billedUsd"] > 0
    assert api.get(f"/status/{job_id}").data()["actualCost"] == billed["billedUsd"]
