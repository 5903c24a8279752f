"""From reviewed clips to a film whose frames are counted: order, verdicts, unlike clips, sound."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.client import Api, pictures, sounds
from tests.e2e.conftest import Clips, Rows, make_clips

Watch = Callable[[], AbstractContextManager[None]]
PLANS_AND_FILMS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/compile-videos", {}),
    ("/compile-videos", {"dryRun": True}),
    ("/compile-videos/plan", {}),
)
UNLIKE = ("a hill", "a bell [sound=stereo]", "a field [size=640x480]", "a road [fps=25]")


def approved(api: Api, clips: Clips) -> Clips:
    for video_id in clips.video_ids:
        api.post(f"/api/section-videos/{video_id}/approve").data()
    return clips


@pytest.fixture(scope="module")
def unlike(api: Api) -> Clips:
    """Clips of several formats, approved."""
    return approved(api, make_clips(api, UNLIKE))


def test_a_script_shows_its_clips_in_order(api: Api, clips: Clips) -> None:
    script = api.get(f"/api/scripts/{clips.script_id}").data()

    assert [video["videoId"] for video in script["videos"]] == list(clips.video_ids)
    assert [video["jobId"] for video in script["videos"]] == list(clips.job_ids)
    assert (script["sectionId"], script["compiledVideoUrl"]) == (7, None)


def test_section_videos_come_in_pages_and_by_filter(api: Api, clips: Clips) -> None:
    first = api.get(f"/api/section-videos?scriptId={clips.script_id}&limit=2").body
    second = api.get(f"/api/section-videos?scriptId={clips.script_id}&limit=2&cursor={first['nextCursor']}").body

    assert [video["videoId"] for video in first["data"] + second["data"]] == list(clips.video_ids)
    assert second["nextCursor"] is None
    assert api.get(f"/api/section-videos?scriptId={clips.script_id}&status=failed").data() == []
    assert api.get(f"/api/section-videos?scriptId={clips.script_id}&userId=nobody").data() == []


def test_nothing_is_compiled_before_anything_is_approved(api: Api, clips: Clips, rows: Rows) -> None:
    before = rows("SELECT count(*) FROM vsl.jobs")

    answers = [
        api.post(f"/api/scripts/{clips.script_id}/compile"),
        api.post("/compile-videos", {"scriptId": clips.script_id}),
    ]

    assert all("approve" in answer.refuses(409, "nothing_approved") for answer in answers)
    not_approved = api.post("/compile-videos", {"videoIds": [clips.video_ids[0]]}).refuses(409, "not_approved")
    assert "is completed" in not_approved
    assert rows("SELECT count(*) FROM vsl.jobs") == before


@pytest.mark.parametrize("count", [201, 700])
def test_more_clips_than_a_film_may_have_are_refused_by_every_way(
    api: Api, rows: Rows, account_id: str, nothing_made: Watch, count: int
) -> None:
    script_id = api.script()
    ids = many_clips(rows, account_id, script_id, count)
    problem = f": has {count} clips, and a film has at most 200: compile parts"
    named = {"scriptId": script_id, "videoIds": ids, "clips": [{"videoId": video_id} for video_id in ids]}

    with nothing_made():
        for dry_run in (False, True):
            body = {"dryRun": dry_run}
            answer = api.post(f"/api/scripts/{script_id}/compile", body, Idempotency_Key=f"{script_id} {dry_run}")
            assert f"scriptId{problem}" in answer.refuses(422, "invalid_request")
        for field, value in named.items():
            for path, body in PLANS_AND_FILMS:
                answer = api.post(path, {**body, field: value}, Prefer="wait=1")
                assert f"{field}{problem}" in answer.refuses(422, "invalid_request"), path


def test_too_many_clips_are_named_beside_other_wrong_fields(api: Api) -> None:
    body = {"clips": [{"url": "https://example.com/a.mp4"}] * 300, "quality": "best"}

    sentence = api.post("/compile-videos", body).refuses(422, "invalid_request")

    assert "clips: has 300 clips" in sentence
    assert "quality: " in sentence


def test_as_many_clips_as_a_film_may_have_are_not_too_many(api: Api, rows: Rows, account_id: str) -> None:
    script_id = api.script()
    ids = many_clips(rows, account_id, script_id, 200)
    many_clips(rows, account_id, script_id, 10, "rejected")

    for named in ({"scriptId": script_id}, {"videoIds": ids}):
        answer = api.post("/compile-videos", named)
        assert answer.status in (200, 202), answer.body
        assert rows("SELECT jsonb_array_length(request->'sources') FROM vsl.jobs ORDER BY created_at DESC LIMIT 1") == [
            (200,)
        ]


def test_a_script_shows_all_its_clips_or_where_the_rest_is(api: Api, rows: Rows, account_id: str) -> None:
    script_id = api.script()
    ids = many_clips(rows, account_id, script_id, 700)
    shown = api.get(f"/api/scripts/{script_id}").body
    assert [video["videoId"] for video in shown["data"]["videos"]] == ids
    assert (shown["data"]["videoCount"], shown["nextCursor"]) == (700, None)

    ids += many_clips(rows, account_id, script_id, 310, "rejected")
    shown = api.get(f"/api/scripts/{script_id}").body
    rest = api.get(f"/api/section-videos?scriptId={script_id}&cursor={shown['nextCursor']}").body
    assert [video["videoId"] for video in shown["data"]["videos"] + rest["data"]] == ids
    assert (shown["data"]["videoCount"], rest["nextCursor"]) == (1010, None)


def many_clips(rows: Rows, account_id: str, script_id: int, count: int, status: str = "approved") -> list[str]:
    """The ids of so many clips, last in the script; they have rows and no media."""
    made = rows(
        "INSERT INTO vsl_frontend.section_videos (account_id, section_id, script_id, user_id, position, status,"
        " result_url) SELECT %s, 7, %s, 'tester', 1 + number / 2 + (SELECT count(*) FROM vsl_frontend.section_videos"
        " WHERE script_id = %s), %s, 'generated/none.mp4' FROM generate_series(1, %s) AS number RETURNING id",
        *(account_id, script_id, script_id, status, count),
    )
    return [str(video_id) for (video_id,) in made]


def test_a_clip_that_is_not_there_yet_cannot_be_judged(api: Api) -> None:
    script_id = api.script()
    job_id = api.generate("a cloud [seconds=60]", scriptId=script_id)
    video = api.videos(script_id)[0]

    for verdict in ("approve", "reject"):
        sentence = api.post(f"/api/section-videos/{video['videoId']}/{verdict}").refuses(409, "not_completed")
        assert any(f"is {state}" in sentence for state in ("pending", "generating"))
    assert "has no video" in api.post("/compile-videos", {"clips": [{"jobId": job_id}]}).refuses(409, "not_completed")
    api.post(f"/jobs/{job_id}/cancel").data()
    sentence = api.post(f"/api/section-videos/{video['videoId']}/approve").refuses(409, "not_completed")
    assert "is cancelled" in sentence


def test_approving_twice_is_the_same_answer_and_one_event(api: Api, rows: Rows) -> None:
    clips = make_clips(api, ("a fence",))
    path = f"/api/section-videos/{clips.video_ids[0]}/approve"

    first, second = api.post(path), api.post(path)

    assert (first.status, first.body) == (second.status, second.body)
    query = "SELECT count(*) FROM vsl.outbox WHERE job_id = %s AND body->>'type' = 'video.approved'"
    assert rows(query, clips.job_ids[0]) == [(1,)]


def test_a_rejected_clip_is_not_compiled_and_can_be_approved_again(api: Api) -> None:
    clips = approved(api, make_clips(api, ("a gate", "a well")))

    rejected = api.post(f"/api/section-videos/{clips.video_ids[0]}/reject", {"reason": "too dark"})

    assert {"videoId": clips.video_ids[0], "status": "rejected"}.items() <= rejected.data().items()
    assert api.videos(clips.script_id)[0]["rejectReason"] == "too dark"
    assert api.post(f"/api/scripts/{clips.script_id}/compile").data()["videoCount"] == 1
    assert api.post(f"/api/section-videos/{clips.video_ids[0]}/approve").data()["status"] == "approved"


def test_a_rejected_clip_is_made_again_in_its_place(api: Api) -> None:
    clips = make_clips(api, ("a moth", "a lamp"))
    path = f"/api/section-videos/{clips.video_ids[0]}/reject"

    rejected = api.post(path, {"regenerate": True, "parameters": {"seed": 7}}).data()

    assert rejected["status"] == "rejected"
    job = api.completed(rejected["jobId"])
    assert (job["retryOf"], job["scriptId"]) == (clips.job_ids[0], clips.script_id)
    new = next(video for video in api.videos(clips.script_id) if video["jobId"] == rejected["jobId"])
    assert (new["status"], new["position"]) == ("completed", api.videos(clips.script_id)[0]["position"])


def test_a_rejection_with_wrong_parameters_changes_nothing(api: Api) -> None:
    clips = make_clips(api, ("a stair",))
    body = {"regenerate": True, "parameters": {"duration": 99}}

    sentence = api.post(f"/api/section-videos/{clips.video_ids[0]}/reject", body).refuses(422, "invalid_request")

    assert "parameters.duration: must be between 2 and 12" in sentence
    assert [video["status"] for video in api.videos(clips.script_id)] == ["completed"]


@pytest.mark.parametrize("body", [{}, {"position": -1}, {"position": 100_001}, {"position": "1"}, {"place": 1}])
def test_a_wrong_position_is_refused(api: Api, clips: Clips, body: dict[str, object]) -> None:
    sentence = api.call("PATCH", f"/api/section-videos/{clips.video_ids[0]}", body).refuses(422, "invalid_request")

    assert "position" in sentence


def test_positions_decide_the_order_of_the_film(api: Api, rows: Rows, tmp_path: Path) -> None:
    clips = approved(api, make_clips(api, ("a sunrise", "a noon", "a night")))
    for position, video_id in enumerate(reversed(clips.video_ids), 1):
        moved = api.call("PATCH", f"/api/section-videos/{video_id}", {"position": position}).data()
        assert (moved["videoId"], moved["position"]) == (video_id, position)

    film = api.post(f"/api/scripts/{clips.script_id}/compile").data()

    of_clips = [pictures(video["resultUrl"], tmp_path) for video in api.videos(clips.script_id)]
    assert [video["videoId"] for video in api.videos(clips.script_id)] == list(reversed(clips.video_ids))
    assert pictures(film["compiledVideoUrl"], tmp_path) == [frame for clip in of_clips for frame in clip]
    stored = rows("SELECT body->>'type' FROM vsl.outbox WHERE topic = 'events' AND job_id = %s", film["jobId"])
    assert stored == [("compile.completed",)]


def test_unlike_clips_become_one_film_of_the_format_most_have(api: Api, unlike: Clips, tmp_path: Path) -> None:
    film = api.post(f"/api/scripts/{unlike.script_id}/compile").data()

    assert (film["strategy"], film["videoCount"]) == ("smart", 4)
    assert film["verification"]["ok"] is True
    frames = len(pictures(film["compiledVideoUrl"], tmp_path))
    assert frames == film["verification"]["frames"] == film["verification"]["framesExpected"]
    assert frames == 3 * 2 * 24 + 2 * 25  # a clip's own rate is no reason to encode it
    assert abs(film["totalDuration"] - 8) < 0.1
    first = api.get(f"/status/{unlike.job_ids[0]}").data()["result"]
    made = api.get(f"/status/{film['jobId']}").data()["result"]
    assert (made["width"], made["height"]) == (first["width"], first["height"])


def test_a_film_has_sound_when_any_clip_has(api: Api, unlike: Clips, tmp_path: Path) -> None:
    film = api.post("/compile-videos", {"videoIds": list(unlike.video_ids[:2])}).data()
    silent = api.post("/compile-videos", {"videoIds": [unlike.video_ids[0]]}).data()

    assert sounds(film["compiledVideoUrl"], tmp_path) > 0
    assert sounds(silent["compiledVideoUrl"], tmp_path) == 0


def test_clips_are_compiled_in_the_order_they_are_named(api: Api, clips: Clips, tmp_path: Path) -> None:
    named = [{"jobId": clips.job_ids[2]}, {"jobId": clips.job_ids[0]}]

    film = api.post("/compile-videos", {"clips": named}).data()

    assert (film["scriptId"], film["videoCount"], film["strategy"]) == (None, 2, "splice")
    urls = [api.get(f"/status/{clips.job_ids[n]}").data()["result"]["originalUrl"] for n in (2, 0)]
    expected = [frame for url in urls for frame in pictures(url, tmp_path)]
    assert pictures(film["compiledVideoUrl"], tmp_path) == expected


def test_videos_are_named_by_text_or_number(api: Api, unlike: Clips) -> None:
    first = unlike.video_ids[0]

    film = api.post("/compile-videos", {"videoIds": [first, int(first)]}).data()

    assert film["videoCount"] == 2


def test_a_compile_key_is_kept_with_its_body(api: Api, unlike: Clips) -> None:
    key, first = str(uuid4()), {"videoIds": [unlike.video_ids[0]]}
    film = api.post("/compile-videos", first, Idempotency_Key=key).data()

    again = api.post("/compile-videos", first, Idempotency_Key=key).data()

    assert (again["jobId"], again["duration"]) == (film["jobId"], film["duration"])
    other = api.post("/compile-videos", {**first, "reencode": True}, Idempotency_Key=key)
    other.refuses(409, "idempotency_conflict")


def test_a_compiled_job_is_retried_as_a_new_film(api: Api, unlike: Clips) -> None:
    film = api.post("/compile-videos", {"videoIds": [unlike.video_ids[0]]}).data()

    again = api.post(f"/jobs/{film['jobId']}/retry").data(202)

    assert api.completed(again["jobId"])["retryOf"] == film["jobId"]


def test_a_compile_too_long_to_do_at_once_can_be_waited_for(api: Api, clips: Clips) -> None:
    asked = {"clips": [{"jobId": job_id} for job_id in clips.job_ids * 5], "reencode": True}

    at_once = api.post("/compile-videos", asked)
    waited = api.post("/compile-videos", asked, Prefer="wait=25")

    assert (at_once.status, at_once.body["data"]["status"]) == (202, "processing")
    assert (waited.status, waited.body["data"]["videoCount"]) == (200, 15)
