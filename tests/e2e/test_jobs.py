"""Jobs as their owners follow them: status, pages, history, waiting, cancelling, retrying, and all media."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.e2e.client import Api, a_clip, a_text, eventually, fetch
from tests.e2e.conftest import Predictions, Rows

IMAGE = {"mediaType": "image", "modelId": "flux-schnell"}


@pytest.fixture(scope="module")
def made(api: Api) -> dict[str, str]:
    """Jobs of all media, and some that fail, by name; asked for all at once."""
    return {
        "pictures": api.generate("", **IMAGE, parameters={"prompt": "two cats", "num_outputs": 2}),
        "music": api.generate(
            "", mediaType="audio", modelId="musicgen", parameters={"prompt": "a slow waltz", "duration": 2}
        ),
        "text": api.generate("", **a_text("a line about the sea")),
        "no video": api.generate("a page [output=html]", scriptId=api.script()),
        "gone": api.generate("a ghost [output=gone]"),
        "refused": api.generate("a fall [fail=the model fell over]"),
    }


@pytest.fixture(scope="module")
def page_user(api: Api) -> str:
    """A user with five completed text jobs."""
    user = f"pages-{uuid4().hex}"
    for job_id in [api.generate("", **a_text("a word", userId=user)) for _ in range(5)]:
        api.completed(job_id)
    return user


def test_the_registry_says_what_each_model_takes_and_costs(api: Api) -> None:
    models = api.get("/models").data()["models"]

    assert set(models) == {"image", "video", "audio", "text"}
    clip = api.get("/models/video/seedance-1-lite").data()
    assert clip == models["video"]["seedance-1-lite"]
    assert (clip["pricing"], clip["pricingUnit"], clip["limits"]["duration"]["maximum"]) == (0.036, "second", 12)
    assert {"modelId", "mediaType", "supportedParams", "defaults", "estimatedTime"} <= set(clip)


@pytest.mark.parametrize(
    "path", ["/models/video/nope", "/models/film/seedance-1-lite", "/models/image/seedance-1-lite"]
)
def test_an_unknown_model_of_the_registry_is_404(api: Api, path: str) -> None:
    assert "GET /models" in api.get(path).refuses(404, "unknown_model")


def test_several_pictures_are_several_outputs(api: Api, made: dict[str, str]) -> None:
    result = api.completed(made["pictures"])["result"]

    assert len(result["outputs"]) == 2
    contents = [fetch(output["url"]) for output in result["outputs"]]
    assert {kind for kind, _ in contents} == {"image/webp"} == {result["contentType"]}
    assert contents[0][1] != contents[1][1]
    assert [len(content) for _, content in contents] == [output["fileSize"] for output in result["outputs"]]
    assert (result["width"], result["height"]) == (1024, 1024)


def test_music_has_a_duration_and_no_size(api: Api, made: dict[str, str]) -> None:
    result = api.completed(made["music"])["result"]

    assert fetch(result["originalUrl"])[0] == result["contentType"] == "audio/mpeg"
    assert abs(result["duration"] - 2) < 0.2
    assert not {"width", "height"} & set(result)


def test_text_is_in_the_answer_and_in_the_file(api: Api, made: dict[str, str]) -> None:
    result = api.completed(made["text"])["result"]

    kind, content = fetch(result["originalUrl"])
    assert (kind.split(";")[0], result["contentType"]) == ("text/plain", "text/plain")
    assert content.decode() == result["outputs"][0]["text"] != ""


def test_a_clip_that_is_no_video_fails_its_job_and_its_section_video(
    api: Api, rows: Rows, made: dict[str, str]
) -> None:
    job = api.ended(made["no video"])

    assert (job["status"], job["error"]["code"]) == ("failed", "bad_media")
    assert "result" not in job
    video = api.videos(job["scriptId"])[0]
    assert (video["status"], video["errorMessage"]) == ("failed", job["error"]["message"])
    assert rows("SELECT count(*) FROM vsl.storage_operations WHERE job_id = %s AND success", job["jobId"]) == [(0,)]


@pytest.mark.parametrize(("name", "code"), [("gone", "output_expired"), ("refused", "provider_failed")])
def test_a_failure_says_its_reason(api: Api, made: dict[str, str], name: str, code: str) -> None:
    job = api.ended(made[name])

    assert (job["status"], job["error"]["code"]) == ("failed", code)
    assert job["error"]["message"]
    assert job["completedAt"].endswith("Z")


def test_the_providers_reason_is_passed_on(api: Api, made: dict[str, str]) -> None:
    assert "the model fell over" in api.ended(made["refused"])["error"]["message"]


def test_a_jobs_history_is_in_order(api: Api, made: dict[str, str]) -> None:
    job = api.completed(made["text"])

    history = api.get(f"/jobs/{job['jobId']}/events").data()

    names = [event["name"] for event in history["events"]]
    assert (history["jobId"], names[0], names[-1]) == (job["jobId"], "job.created", "job.completed")
    times = [event["at"] for event in history["events"]]
    assert times == sorted(times)


@pytest.mark.parametrize(("name", "event"), [("text", "job.completed"), ("refused", "job.failed")])
def test_the_end_of_a_job_is_one_event_in_the_outbox(
    api: Api, rows: Rows, made: dict[str, str], name: str, event: str
) -> None:
    job = api.ended(made[name])

    stored = rows("SELECT body, sent_at FROM vsl.outbox WHERE topic = 'events' AND job_id = %s", job["jobId"])

    assert [(body["type"], sent_at) for body, sent_at in stored] == [(event, None)]
    assert stored[0][0]["data"]["jobId"] == job["jobId"]
    assert set(stored[0][0]) == {"type", "timestamp", "data"}


def test_an_unchanged_status_is_304_by_its_etag(api: Api, made: dict[str, str]) -> None:
    api.ended(made["text"])
    first = api.get(f"/status/{made['text']}")

    again = api.get(f"/status/{made['text']}", If_None_Match=first.headers["etag"])
    other = api.get(f"/status/{made['text']}", If_None_Match='"another"')

    assert (again.status, again.body, again.headers["etag"]) == (304, None, first.headers["etag"])
    assert (other.status, other.headers["etag"]) == (200, first.headers["etag"])


def test_the_etag_changes_with_the_job(api: Api) -> None:
    job_id = api.generate("", **a_text("a tide [seconds=1]"))
    before = api.get(f"/status/{job_id}").headers["etag"]

    api.completed(job_id)

    assert api.get(f"/status/{job_id}", If_None_Match=before).status == 200


def test_a_request_can_wait_for_its_result(api: Api) -> None:
    answer = api.post("/generate-media", a_text("a haiku"), Prefer="wait=25")

    assert (answer.status, answer.body["status"]) == (200, "completed")
    assert answer.body["result"]["outputs"][0]["text"]
    assert answer.body["statusUrl"].endswith(answer.body["jobId"])


def test_a_wait_that_is_too_short_answers_the_job(api: Api) -> None:
    answer = api.post("/generate-media", a_text("a saga [seconds=4]"), Prefer="wait=1")

    assert (answer.status, set(answer.body)) == (
        202,
        {"jobId", "status", "estimatedTime", "estimatedCost", "statusUrl"},
    )
    assert api.get(f"/status/{answer.body['jobId']}?wait=1").body["status"] in ("pending", "generating", "processing")


def test_jobs_come_in_pages_newest_first(api: Api, page_user: str) -> None:
    pages, cursor = [], ""
    while cursor is not None:
        body = api.get(f"/jobs?userId={page_user}&limit=2{cursor and '&cursor=' + quote(cursor)}").data()
        pages.append([(job["createdAt"], job["jobId"]) for job in body["jobs"]])
        cursor = body["nextCursor"]

    assert [len(page) for page in pages] == [2, 2, 1]
    listed = [job for page in pages for job in page]
    assert [created for created, _ in listed] == sorted((created for created, _ in listed), reverse=True)
    assert len({job_id for _, job_id in listed}) == 5


def test_jobs_can_be_narrowed(api: Api, page_user: str) -> None:
    def found(query: str) -> int:
        return len(api.get(f"/jobs?userId={page_user}&{query}").data()["jobs"])

    whole = api.get(f"/jobs?userId={page_user}").data()["jobs"]
    assert [found("status=completed"), found("status=failed"), found("kind=generate"), found("kind=compile")] == [
        5,
        0,
        5,
        0,
    ]
    assert found(f"from={whole[1]['createdAt']}") + found(f"to={whole[1]['createdAt']}") == 5
    assert found("to=2020-01-01T00:00:00Z") == 0


def test_cancelling_at_once_leaves_nothing_running(api: Api, predictions: Predictions, words: str) -> None:
    job_id = api.generate(f"{words} [seconds=60]", scriptId=(script_id := api.script()))

    cancelled = api.post(f"/jobs/{job_id}/cancel").data()

    assert (cancelled["status"], cancelled["error"]["code"]) == ("cancelled", "cancelled")
    assert cancelled["charge"] in ("none", "pending")
    assert [video["status"] for video in api.videos(script_id)] == ["cancelled"]
    if cancelled["charge"] == "none":
        assert predictions(words) == []


def test_cancelling_a_running_job_reaches_the_provider(
    api: Api, rows: Rows, predictions: Predictions, words: str
) -> None:
    job_id = api.generate(f"{words} [seconds=60]")
    accepted = "SELECT 1 FROM vsl.provider_attempts WHERE job_id = %s AND provider_id IS NOT NULL"
    eventually(lambda: rows(accepted, job_id), lambda: "the provider never got the call")

    cancelled = api.post(f"/jobs/{job_id}/cancel").data()

    assert (cancelled["status"], cancelled["charge"]) == ("cancelled", "pending")
    eventually(
        lambda: [one["status"] for one in predictions(words)] == ["canceled"],
        lambda: f"the prediction goes on: {predictions(words)}",
    )
    events = rows("SELECT body->>'type' FROM vsl.outbox WHERE topic = 'events' AND job_id = %s", job_id)
    assert events == [("job.cancelled",)]


def test_a_finished_job_cannot_be_cancelled(api: Api, made: dict[str, str]) -> None:
    api.completed(made["text"])

    assert "completed" in api.post(f"/jobs/{made['text']}/cancel").refuses(409, "finished")


def test_a_failed_job_is_retried_as_a_new_one(api: Api, rows: Rows, made: dict[str, str]) -> None:
    api.ended(made["refused"])
    key = str(uuid4())

    answers = [api.post(f"/jobs/{made['refused']}/retry", Idempotency_Key=key) for _ in range(2)]

    again = answers[0].data(202)["jobId"]
    assert again == answers[1].data(202)["jobId"] != made["refused"]
    assert api.ended(again)["retryOf"] == made["refused"]
    requests = rows("SELECT DISTINCT request FROM vsl.jobs WHERE id IN (%s, %s)", again, made["refused"])
    assert len(requests) == 1


def test_a_retry_under_the_first_requests_key_is_a_new_job(api: Api) -> None:
    key = str(uuid4())
    first = api.post("/generate-media", a_text("an echo"), Idempotency_Key=key).data(202)["jobId"]
    api.completed(first)

    again = api.post(f"/jobs/{first}/retry", Idempotency_Key=key).data(202)["jobId"]

    assert again != first
    assert api.post(f"/jobs/{again}/retry", Idempotency_Key=key).status == 409


def test_a_running_job_cannot_be_retried(api: Api) -> None:
    job_id = api.generate("a long wait [seconds=60]")

    assert "cancel it first" in api.post(f"/jobs/{job_id}/retry").refuses(409, "not_finished")
    api.post(f"/jobs/{job_id}/cancel").data()


def test_a_parameter_given_as_null_is_as_good_as_none(api: Api, predictions: Predictions, words: str) -> None:
    body: dict[str, Any] = a_clip(words)
    body["parameters"]["seed"] = None

    job_id = api.post("/generate-media", body).data(202)["jobId"]

    assert api.completed(job_id)["status"] == "completed"
    assert "seed" not in predictions(words)[0]["input"]


def test_the_provider_is_called_by_the_version_it_gave(api: Api, rows: Rows, made: dict[str, str]) -> None:
    versions = {
        name: rows("SELECT request->>'version' FROM vsl.provider_attempts WHERE job_id = %s", job_id)[0][0]
        for name, job_id in made.items()
    }

    assert all("/" in version for version in versions.values()), versions
    official = [version for version in versions.values() if ":" not in version]
    assert set(official) <= {
        "black-forest-labs/flux-schnell",
        "meta/meta-llama-3-8b-instruct",
        "bytedance/seedance-1-lite",
    }
