"""A clip and a script are deleted by the API, and their media with them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.client import Api
from tests.e2e.conftest import make_clips
from tests.faults.observing import Observed


@pytest.fixture(scope="module")
def admin(stack: dict[str, Any]) -> Api:
    return Api(stack["baseUrl"], stack["adminApiKey"])


def objects(stack: dict[str, Any], words: str) -> list[str]:
    """Every key of the bucket with the words in it."""
    pages = Observed(stack).aws("s3").get_paginator("list_objects_v2").paginate(Bucket=stack["bucket"])
    return [entry["Key"] for page in pages for entry in page.get("Contents", []) if words in entry["Key"]]


def test_a_deleted_clip_is_gone_with_its_media_and_the_others_close_up(admin: Api, stack: dict[str, Any]) -> None:
    clips = make_clips(admin, ("a barn", "a pond", "a hedge"))
    path = f"/api/section-videos/{clips.video_ids[1]}"

    deleted = admin.call("DELETE", path, headers={"If-Match": '"1"'})
    deleted.refuses(409, "stale_version")
    deleted = admin.call("DELETE", path)

    (erasure,) = deleted.data()["erasures"]
    assert deleted.data()["videoIds"] == [clips.video_ids[1]]
    assert (erasure["jobId"], erasure["status"]) == (clips.job_ids[1], "completed")
    assert objects(stack, clips.job_ids[1]) == []
    left = [(video["videoId"], video["position"]) for video in admin.videos(clips.script_id)]
    assert left == [(clips.video_ids[0], 1), (clips.video_ids[2], 2)]
    admin.get(f"/status/{clips.job_ids[1]}").refuses(410, "gone")
    admin.call("DELETE", path).refuses(404, "not_found")
    assert admin.get(f"/api/erasures/{erasure['erasureId']}").data()["status"] == "completed"


def test_a_deleted_script_is_gone_with_its_clips_and_its_film_stays(admin: Api, stack: dict[str, Any]) -> None:
    clips = make_clips(admin, ("a mill", "a weir"))
    for video_id in clips.video_ids:
        admin.post(f"/api/section-videos/{video_id}/approve").data()
    film = admin.post(f"/api/scripts/{clips.script_id}/compile").data()

    deleted = admin.call("DELETE", f"/api/scripts/{clips.script_id}").data()

    assert deleted["videoIds"] == list(clips.video_ids)
    assert {one["jobId"] for one in deleted["erasures"]} == set(clips.job_ids)
    assert [objects(stack, job_id) for job_id in clips.job_ids] == [[], []]
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/compile")):
        admin.call(method, f"/api/scripts/{clips.script_id}{path}").refuses(404, "not_found")
    assert admin.videos(clips.script_id) == []
    assert admin.get(f"/status/{film['jobId']}").data()["status"] == "completed"


def test_what_is_still_made_is_cancelled_first(admin: Api, api: Api) -> None:
    script_id = api.script()
    job_id = api.generate("[seconds=60] a cliff", scriptId=script_id)
    (video,) = api.videos(script_id)

    for path in (f"/api/section-videos/{video['videoId']}", f"/api/scripts/{script_id}"):
        answer = api.call("DELETE", path)
        assert f"POST /jobs/{job_id}/cancel" in answer.refuses(409, "not_finished")
        assert answer.body["details"][0]["jobId"] == job_id
    api.post(f"/jobs/{job_id}/cancel").data()

    assert api.call("DELETE", f"/api/scripts/{script_id}").data()["erasures"] == []
    assert api.get(f"/jobs/{job_id}/events").status == 200


def test_media_need_a_key_that_may_erase(api: Api) -> None:
    clips = make_clips(api, ("a gull",))

    for path in (f"/api/section-videos/{clips.video_ids[0]}", f"/api/scripts/{clips.script_id}"):
        assert "'admin'" in api.call("DELETE", path).refuses(403, "missing_scope")
    assert len(api.videos(clips.script_id)) == 1
