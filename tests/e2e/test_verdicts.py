"""Approve and reject by several keys at once, with and without the version that was seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from operate.accounts import Accounts
from tests.e2e.client import Answer, Api, fetch
from tests.e2e.conftest import Clips, make_clips

ROUNDS = 5


@pytest.fixture(scope="module")
def reviewer(api: Api, accounts: Accounts, account_id: str) -> tuple[Api, str]:
    """Another key of the account, and its id."""
    made = accounts.create_key(account_id, ["review", "read"])
    return Api(api.base_url, made["apiKey"]), made["keyId"]


@pytest.fixture(scope="module")
def own_key(accounts: Accounts, account_id: str) -> str:
    """The id of the key of `api`."""
    keys = next(account["keys"] for account in accounts.list() if account["accountId"] == account_id)
    return str(keys[0]["keyId"])


@pytest.fixture
def clip(api: Api) -> Clips:
    return make_clips(api, ("a lantern",))


def shown(api: Api, clips: Clips) -> Any:
    return api.videos(clips.script_id)[0]


def verdict(api: Api, clips: Clips, name: str, body: Any = None, **headers: str) -> Answer:
    return api.post(f"/api/section-videos/{clips.video_ids[0]}/{name}", body, **headers)


def test_two_verdicts_on_one_version_are_one_verdict(
    api: Api, reviewer: tuple[Api, str], own_key: str, clip: Clips
) -> None:
    other, key_id = reviewer
    version = shown(api, clip)["version"]

    rejected = verdict(other, clip, "reject", If_Match=f'"{version}"')
    stale = verdict(api, clip, "approve", If_Match=f'"{version}"')

    assert (rejected.data()["reviewedBy"], rejected.data()["version"]) == (key_id, version + 1)
    assert rejected.headers["etag"] == f'"{version + 1}"'
    assert "rejected now" in stale.refuses(409, "stale_version")
    assert stale.body["details"][0]["reviewedBy"] == key_id
    assert (shown(api, clip)["status"], shown(api, clip)["reviewedBy"]) == ("rejected", key_id)
    approved = verdict(api, clip, "approve", If_Match=rejected.headers["etag"]).data()
    assert (approved["reviewedBy"], approved["previousStatus"]) == (own_key, "rejected")
    history = api.get(f"/jobs/{clip.job_ids[0]}/events").data()["events"]
    assert [(event["name"], event["details"]["keyId"]) for event in history[-2:]] == [
        ("video.rejected", key_id),
        ("video.approved", own_key),
    ]


def test_of_an_approval_and_a_rejection_at_once_the_rejection_stands(
    api: Api, reviewer: tuple[Api, str], clip: Clips
) -> None:
    for _ in range(ROUNDS):
        verdict(api, clip, "approve", If_Match=f'"{shown(api, clip)["version"]}"').data()
        verdict(api, clip, "reject", {"reason": "before"}).data()
        # As the documents' clients do, by one key and one call after the other.
        verdict(api, clip, "approve").data()
        barrier = Barrier(2)

        def send(one: Api, name: str, barrier: Barrier = barrier) -> Answer:
            barrier.wait()
            return verdict(one, clip, name)

        with ThreadPoolExecutor(2) as pool:
            approval, rejection = pool.map(send, (api, reviewer[0]), ("approve", "reject"))

        assert rejection.data()["status"] == shown(api, clip)["status"] == "rejected"
        if approval.status != 200:
            assert "Look at it again" in approval.refuses(409, "rejected_meanwhile")


@pytest.mark.parametrize("tag", ["x", '"x"', 'W/"1"', "1.0", '"1', "-1", ""])
def test_a_version_that_is_none_is_422(api: Api, clip: Clips, tag: str) -> None:
    if tag:
        assert "If-Match" in verdict(api, clip, "approve", If_Match=tag).refuses(422, "invalid_request")
    assert verdict(api, clip, "approve", If_Match="*").data()["status"] == "approved"


def test_a_place_on_a_version_that_has_changed_is_refused(api: Api, clip: Clips) -> None:
    path = f"/api/section-videos/{clip.video_ids[0]}"
    second = make_clips(api, ("a shadow",))
    api.generate("[seconds=60] another", scriptId=clip.script_id)
    version = shown(api, clip)["version"]

    moved = api.call("PATCH", path, {"position": 2}, {"If-Match": f'"{version}"'})
    stale = api.call("PATCH", path, {"position": 1}, {"If-Match": f'"{version}"'})

    assert (moved.data()["position"], moved.headers["etag"]) == (2, f'"{version + 1}"')
    stale.refuses(409, "stale_version")
    assert shown(api, second)["position"] == 1


def test_a_clip_that_was_made_again_names_its_successor_everywhere(api: Api, clip: Clips) -> None:
    made = verdict(api, clip, "reject", {"regenerate": True}, Idempotency_Key=f"again {clip.script_id}")
    again = verdict(api, clip, "reject", {"regenerate": True}, Idempotency_Key=f"again {clip.script_id}")
    api.completed(made.data()["jobId"])

    successor = made.data()["supersededBy"]
    assert again.data() == made.data()
    assert successor in verdict(api, clip, "approve").refuses(409, "superseded")
    verdict(api, clip, "reject", {"regenerate": True}).refuses(409, "superseded")
    assert [(video["videoId"], video["supersededBy"]) for video in api.videos(clip.script_id)] == [
        (clip.video_ids[0], successor),
        (successor, None),
    ]
    script = api.get(f"/api/scripts/{clip.script_id}").data()
    assert script["videos"][0]["supersededBy"] == successor
    api.post(f"/api/section-videos/{successor}/approve").data()
    assert api.post(f"/api/scripts/{clip.script_id}/compile").data()["videoCount"] == 1


def test_generate_answers_the_section_video_it_makes(api: Api, words: str) -> None:
    script_id = api.script()
    body = {
        "userId": "tester",
        "mediaType": "video",
        "modelId": "seedance-1-lite",
        "scriptId": script_id,
        "parameters": {"prompt": words, "duration": 2, "resolution": "480p"},
    }

    first, again = (api.post("/generate-media", body, Idempotency_Key=words).data(202) for _ in range(2))
    outside = api.post("/generate-media", {**body, "scriptId": None}).data(202)

    assert first["videoId"] == again["videoId"] == api.videos(script_id)[0]["videoId"]
    assert "videoId" not in outside


def test_lists_show_what_a_clip_is(api: Api, clip: Clips) -> None:
    video = shown(api, clip)

    assert (video["prompt"], video["modelId"], video["supersededBy"]) == ("a lantern", "seedance-1-lite", None)
    assert abs(video["duration"] - 2) < 0.1
    assert fetch(video["thumbnailUrl"])[0] == "image/jpeg"
    assert video == api.get(f"/api/scripts/{clip.script_id}").data()["videos"][0]
