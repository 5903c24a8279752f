"""What a caller sends along comes back, or the answer says that nothing is done with it yet."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import redis

from functions.compile_videos.handler import CompileBody, ScriptCompileBody
from functions.generate_media.handler import GenerateBody
from functions.review.handler import RejectBody
from shared import wire
from tests.e2e.client import Api, a_clip, a_text
from tests.e2e.conftest import Rows, make_clips

HOOK = {"webhookUrl": "https://hooks.example.com/done"}
METADATA: dict[str, Any] = {"campaign": "spring", "tags": ["a", "b"], "nested": {"n": 1.5, "none": None, "é": "✓"}}


def says_so(body: Any) -> bool:
    return any("Nothing is sent to webhookUrl yet" in note for note in body.get("notes", []))


def finished(api: Api, path: str, body: Any) -> Any:
    """The answer with the result: that of the same call once its job has ended, however long that took."""
    key = str(uuid4())
    first = api.post(path, body, Idempotency_Key=key)
    api.completed(first.body.get("jobId") or first.body["data"]["jobId"])
    return api.post(path, body, Idempotency_Key=key, Prefer="wait=25").data(200)


def test_these_bodies_take_a_webhook_url_and_no_others() -> None:
    def below(kind: type[wire.Wire]) -> set[type[wire.Wire]]:
        return {kind, *(one for child in kind.__subclasses__() for one in below(child))}

    assert RejectBody in below(wire.Wire)
    taking = {kind for kind in below(wire.Wire) if "webhook_url" in kind.model_fields}
    assert taking == {GenerateBody, ScriptCompileBody, CompileBody}


def test_a_generation_says_that_its_webhook_is_not_called_yet(api: Api) -> None:
    assert says_so(api.post("/generate-media", a_text("a note", **HOOK)).data(202))
    assert says_so(finished(api, "/generate-media", a_text("a note", **HOOK)))
    assert "notes" not in api.post("/generate-media", a_text("no note")).data(202)


def test_a_retry_says_so_of_the_webhook_it_inherits(api: Api) -> None:
    job_id = api.post("/generate-media", a_text("again", **HOOK)).data(202)["jobId"]
    api.completed(job_id)

    assert says_so(api.post(f"/jobs/{job_id}/retry").data(202))


def test_a_film_and_its_plan_say_so(api: Api) -> None:
    clips = make_clips(api, ("a mill", "a weir"))
    named = {"videoIds": list(clips.video_ids), **HOOK}
    for video_id in clips.video_ids:
        api.post(f"/api/section-videos/{video_id}/approve").data()

    bodies = [
        finished(api, "/compile-videos", named),
        finished(api, f"/api/scripts/{clips.script_id}/compile", HOOK),
        api.post("/compile-videos/plan", named).data(),
        api.post("/compile-videos", {**named, "dryRun": True}).data(),
    ]

    assert [says_so(body) for body in bodies] == [True] * 4
    assert not says_so(finished(api, "/compile-videos", {"videoIds": named["videoIds"]}))


def test_a_film_that_is_made_later_says_so(api: Api) -> None:
    # Of a file that is not there: what is answered is that it is fetched.
    answer = api.post("/compile-videos", {"clips": [{"url": "https://example.com/a.mp4"}], **HOOK})

    assert answer.status == 202
    assert says_so(answer.body["data"])


def test_a_clip_that_is_made_anew_says_so_of_the_webhook_it_inherits(api: Api) -> None:
    script_id = api.script()
    job_id = api.post("/generate-media", a_clip("a take", scriptId=script_id, **HOOK)).data(202)["jobId"]
    api.completed(job_id)
    (video,) = api.videos(script_id)

    answer = api.post(f"/api/section-videos/{video['videoId']}/reject", {"regenerate": True})

    assert says_so(answer.data())


def test_metadata_come_back_in_the_status_and_in_the_list(api: Api) -> None:
    body = {**a_text("with metadata"), "userId": "with-metadata", "metadata": METADATA}
    waited = finished(api, "/generate-media", body)

    assert waited["metadata"] == METADATA
    assert api.get(f"/status/{waited['jobId']}").data()["metadata"] == METADATA
    assert [job["metadata"] for job in api.get("/jobs?userId=with-metadata").data()["jobs"]] == [METADATA]
    assert api.completed(api.generate("", **a_text("without")))["metadata"] == {}


def test_metadata_come_back_from_the_row_where_a_snapshot_of_an_earlier_release_lacks_them(
    api: Api, stack: dict[str, Any], rows: Rows
) -> None:

    job_id = api.post("/generate-media", {**a_text("earlier"), "metadata": METADATA}, Prefer="wait=25").data(200)[
        "jobId"
    ]
    cache = redis.RedisCluster.from_url(stack["redisUrl"])
    (key,) = [name for name in cache.keys("*") if job_id.encode() in name]
    held = json.loads(cache.get(key))
    earlier = {name: value for name, value in held.items() if name != "metadata"} | {"format": 1}
    cache.set(key, json.dumps(earlier), ex=60)

    assert api.get(f"/status/{job_id}").data()["metadata"] == METADATA
