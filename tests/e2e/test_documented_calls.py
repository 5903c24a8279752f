"""The calls of the source documents, as they stand there plus base URL and key, and what asking twice does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from tests.e2e.client import Answer, Api, a_text, eventually, fetch
from tests.e2e.conftest import Predictions, Rows, make_clips

IMAGE = {
    "userId": "user123",
    "mediaType": "image",
    "modelId": "flux-schnell",
    "parameters": {"prompt": "A beautiful sunset over mountains", "width": 1024, "height": 1024},
}


def test_an_image_is_generated_and_its_status_has_the_documented_fields(api: Api) -> None:
    made = api.post("/generate-media", IMAGE)

    assert made.status == 202
    assert made.headers["location"] == made.body["statusUrl"]
    expected = {"jobId": made.body["jobId"], "status": "pending", "estimatedTime": 5, "estimatedCost": 0.003}
    assert made.body == {**expected, "statusUrl": f"{api.base_url}/status/{UUID(made.body['jobId'])}"}
    job = api.completed(made.body["jobId"])
    assert (job["jobId"], job["progress"], job["actualCost"]) == (made.body["jobId"], 100, 0.003)
    kind, content = fetch(job["result"]["originalUrl"])
    assert (kind, len(content)) == (job["result"]["contentType"], job["result"]["fileSize"])
    assert fetch(job["result"]["thumbnailUrl"])[0] == "image/jpeg"


def test_width_and_height_become_the_nearest_ratio_a_model_takes(
    api: Api, predictions: Predictions, words: str
) -> None:
    parameters = {"prompt": words, "width": 1920, "height": 1080}

    api.completed(api.generate(words, **{**IMAGE, "parameters": parameters}))

    sent = predictions(words)[0]["input"]
    assert sent["aspect_ratio"] == "16:9"
    assert not {"width", "height"} & set(sent)


def test_urls_are_signed_for_an_hour_at_most_and_never_stored(api: Api, rows: Rows) -> None:
    job = api.completed(api.generate("", **IMAGE))

    assert "X-Amz-Expires=3600" in job["result"]["originalUrl"]
    stored = rows("SELECT to_jsonb(j)::text FROM vsl.jobs j WHERE id = %s", job["jobId"])[0][0]
    assert "X-Amz" not in stored
    assert urlsplit(job["result"]["originalUrl"]).path.split("/", 2)[2] in stored


def test_approved_clips_are_compiled_with_exactly_the_documented_answers(api: Api) -> None:
    clips = make_clips(api, ("a kite", "a string"))

    for video_id in clips.video_ids:
        approved = api.post(f"/api/section-videos/{video_id}/approve")
        documented = {"videoId": video_id, "status": "approved"}
        assert approved.body.keys() == {"success", "message", "data"}
        assert (approved.body["success"], approved.body["message"]) == (True, "Video approved successfully")
        assert documented.items() <= approved.body["data"].items()
    compiled = api.post(f"/api/scripts/{clips.script_id}/compile", {"outputFormat": "mp4", "quality": "high"})

    assert (compiled.status, set(compiled.body)) == (200, {"success", "message", "data"})
    assert compiled.body["message"] == "Video compilation completed"
    assert_film(compiled.body["data"], clips.script_id, count=2, seconds=4)
    shown = api.get(f"/api/scripts/{clips.script_id}").data()
    assert urlsplit(shown["compiledVideoUrl"]).path == urlsplit(compiled.body["data"]["compiledVideoUrl"]).path


def assert_film(data: dict[str, Any], script_id: int, *, count: int, seconds: float) -> None:
    types = {
        "scriptId": int,
        "videoCount": int,
        "totalDuration": float,
        "compiledVideoUrl": str,
        "thumbnailUrl": str,
        "fileSize": int,
        "jobId": str,
        "duration": int,
        "strategy": str,
        "breakdown": dict,
        "outputs": list,
        "verification": dict,
        "notes": list,
    }
    assert {name: type(value) for name, value in data.items()} == types
    assert (data["scriptId"], data["videoCount"], data["strategy"]) == (script_id, count, "splice")
    assert abs(data["totalDuration"] - seconds) < 0.1
    assert set(data["breakdown"]) == {"download", "ffmpeg", "upload"}
    assert data["verification"]["ok"] is True
    kind, film = fetch(data["compiledVideoUrl"])
    assert (kind, len(film)) == ("video/mp4", data["fileSize"])


def test_a_running_compile_is_202_or_done_under_the_same_key(api: Api) -> None:
    clips = make_clips(api, ("a door",))
    api.post(f"/api/section-videos/{clips.video_ids[0]}/approve").data()
    key, path = str(uuid4()), f"/api/scripts/{clips.script_id}/compile"

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.post(path, Idempotency_Key=key), range(4)))

    assert {answer.status for answer in answers} <= {200, 202}
    assert len({answer.body["data"]["jobId"] for answer in answers}) == 1
    job = api.completed(answers[0].body["data"]["jobId"])
    assert api.post(path, Idempotency_Key=key).data(200)["jobId"] == job["jobId"]


def test_the_same_key_and_body_is_the_same_job_while_it_runs_and_after(
    api: Api, predictions: Predictions, words: str
) -> None:
    key, body = str(uuid4()), a_text(f"{words} [seconds=2]")
    first = api.post("/generate-media", body, Idempotency_Key=key)

    while_running = api.post("/generate-media", body, Idempotency_Key=key)
    api.completed(first.body["jobId"])
    afterwards = api.post("/generate-media", body, Idempotency_Key=key)

    assert {answer.data(202)["jobId"] for answer in (first, while_running, afterwards)} == {first.body["jobId"]}
    assert afterwards.body["status"] == "completed"
    assert len(predictions(words)) == 1


def test_the_same_key_with_another_body_is_a_conflict(
    api: Api, stranger: Api, predictions: Predictions, words: str
) -> None:
    key = str(uuid4())
    job_id = api.post("/generate-media", a_text("an oak"), Idempotency_Key=key).data(202)["jobId"]

    sentence = api.post("/generate-media", a_text(words), Idempotency_Key=key).refuses(409, "idempotency_conflict")

    assert "send a new key" in sentence
    assert predictions(words) == []
    assert stranger.post("/generate-media", a_text("an elm"), Idempotency_Key=key).data(202)["jobId"] != job_id


def test_twenty_posts_at_once_with_one_key_are_one_job(
    api: Api, rows: Rows, predictions: Predictions, words: str
) -> None:
    key = str(uuid4())

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: insistently(api, a_text(words), key), range(20)))

    assert len({answer.data(202)["jobId"] for answer in answers}) == 1
    api.completed(answers[0].body["jobId"])
    assert len(predictions(words)) == 1
    assert rows("SELECT count(*) FROM vsl.jobs WHERE idempotency_key = %s", key) == [(1,)]


def insistently(api: Api, body: Any, key: str) -> Answer:
    """The answer of a client that does what a 502 says: it sends the same request again.

    A laptop runs fewer environments of a function at once than 20 callers want.
    """

    def ask() -> Answer | None:
        answer = api.post("/generate-media", body, Idempotency_Key=key)
        return None if answer.status == 502 and answer.refuses(502, "internal") else answer

    found: Answer = eventually(ask, lambda: "the gateway still answers 502")
    return found
