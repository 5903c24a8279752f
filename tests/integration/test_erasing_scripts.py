"""Erasing reaches a user's scripts and keys, and its receipt says what it waits for and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.domain.erasure import Erasure
from shared.domain.messages import CallAccepted
from shared.domain.uploads import UploadFile
from shared.usecases.erase import WORKERS_DONE_AFTER, read_receipt
from shared.usecases.idempotency import Once
from shared.usecases.review_clips import Rejection, create_script, reject
from shared.usecases.upload_files import UploadRequest, Uploads
from tests.integration.inside import REQUEST, World
from tests.integration.test_at_once import THREADS, Act, at_once
from tests.integration.test_erasing import WORDS, Erasing
from tests.integration.test_places import moving, order


@pytest.fixture
def erasing(world: World) -> Erasing:
    return Erasing(world)


@pytest.fixture
def user() -> str:
    return f"user-{uuid4().hex}"


def script(world: World, text: str = WORDS, key: str | None = None) -> int:
    return create_script(1, text, world.caller, records=world.records, key=key).id


def clip(erasing: Erasing, user: str, script_id: int) -> UUID:
    """The job of a completed clip of the script."""
    _, job_id, _ = erasing.world.generate(replace(REQUEST, user_id=user, script_id=script_id))
    erasing.world.sql("UPDATE vsl.provider_attempts SET state = 'finished' WHERE job_id = %s", job_id)
    erasing.world.sql(
        "UPDATE vsl.jobs SET status = 'completed', completed_at = now() - interval '1 hour' WHERE id = %s", job_id
    )
    erasing.world.sql("UPDATE vsl_frontend.section_videos SET status = 'completed' WHERE job_id = %s", job_id)
    return job_id


def text_of(world: World, script_id: int) -> Any:
    ((text,),) = world.sql("SELECT script_content FROM vsl_frontend.section_detailed_scripts WHERE id = %s", script_id)
    return text


def shown(erasing: Erasing, erasure: Erasure) -> dict[str, Any]:
    return read_receipt(erasing.again(erasure), records=erasing.world.records, clock=erasing.clock)


def test_a_users_scripts_lose_their_text_and_the_keys_that_made_them(erasing: Erasing, user: str) -> None:
    world = erasing.world
    own = script(world, f"{WORDS} of {user}", key=f"{user}-key")
    untouched = script(world, "of nobody")
    clip(erasing, user, own)

    receipt = shown(erasing, erasing.user(user))

    assert (text_of(world, own), text_of(world, untouched)) == (None, "of nobody")
    assert (receipt["erased"]["scriptTexts"], receipt["erased"]["idempotencyKeys"]) == (1, 1)
    assert (receipt["scripts"], set(receipt["left"].values())) == ([], {0})
    assert erasing.tables_with(user) == []


def test_a_text_that_others_clips_are_of_too_stays_and_the_receipt_names_it(erasing: Erasing, user: str) -> None:
    shared = script(erasing.world)
    other = f"other-{uuid4().hex}"
    clip(erasing, user, shared)
    clip(erasing, other, shared)

    first = shown(erasing, erasing.user(user))
    assert (first["scripts"], first["erased"]["scriptTexts"], text_of(erasing.world, shared)) == ([shared], 0, WORDS)

    last = shown(erasing, erasing.user(other))
    assert (last["scripts"], last["erased"]["scriptTexts"], text_of(erasing.world, shared)) == ([], 1, None)


def test_a_job_alone_leaves_its_script_and_the_clips_close_up(erasing: Erasing, user: str) -> None:
    script_id = script(erasing.world)
    jobs = [clip(erasing, user, script_id) for _ in range(3)]

    erasing.eraser.erase_job(jobs[1], erasing.world.caller, 60)

    left = [(video.job_id, video.position) for video in order(erasing.world, script_id)]
    assert left == [(jobs[0], 1), (jobs[2], 2)]
    assert text_of(erasing.world, script_id) == WORDS


def test_the_key_and_the_reason_of_a_rejection_are_erased(erasing: Erasing, user: str) -> None:
    world, script_id = erasing.world, script(erasing.world)
    job_id = clip(erasing, user, script_id)
    (video,) = order(world, script_id)
    once = Once("POST /api/section-videos/{videoId}/reject", f"{user}-key", "hash")
    reject(Rejection(video.id, f"{user} is in it", once), world.caller, records=world.records, clock=world.clock)
    assert "vsl.idempotency_keys" in erasing.tables_with(user)

    erasing.eraser.erase_job(job_id, world.caller, 60)

    assert not {"vsl.idempotency_keys", "vsl_frontend.section_videos", "vsl.job_events"} & set(
        erasing.tables_with(user)
    )


def test_an_open_erasure_says_what_it_waits_for_and_until_when(erasing: Erasing, user: str) -> None:
    world = erasing.world
    job_id, attempt_id = erasing.generate(user)
    world.settler.claim_call(job_id, attempt_id)
    world.settler.take(CallAccepted(str(job_id), str(attempt_id), uuid4().hex, "starting"))
    form = UploadRequest(user, "image", [UploadFile("a.png", "image/png", 10)])
    Uploads(world.records, world.clock).begin(form, world.caller)

    begun = erasing.user(user)
    waits = {wait["reason"]: wait for wait in shown(erasing, begun)["waitsFor"]}

    assert waits.keys() == {"workers", "forms", "calls"}
    ((ended, deadline),) = world.sql("SELECT completed_at, deadline_at FROM vsl.jobs WHERE id = %s", job_id)
    assert moment(waits["workers"]) == rounded(ended + WORKERS_DONE_AFTER)
    assert moment(waits["calls"]) == rounded(deadline)
    assert max(moment(waits["workers"]), moment(waits["forms"])) == rounded(erasing.again(begun).settled_at)
    assert all(wait["message"].endswith(".") for wait in waits.values())
    assert user not in str(waits)


def test_what_is_over_is_waited_for_no_longer(erasing: Erasing, user: str) -> None:
    erasing.generate(user)
    begun = erasing.user(user)
    assert [wait["reason"] for wait in shown(erasing, begun)["waitsFor"]] == ["workers"]

    erasing.clock.moment += WORKERS_DONE_AFTER + timedelta(minutes=1)
    assert [wait["reason"] for wait in shown(erasing, begun)["waitsFor"]] == ["sweep"]
    erasing.sweep(timedelta(minutes=1))

    done = shown(erasing, begun)
    assert (done["status"], done["waitsFor"]) == ("completed", [])


def test_the_erasure_of_a_user_waits_for_those_of_their_jobs(erasing: Erasing, user: str) -> None:
    job_id, _ = erasing.generate(user)
    erasing.eraser.erase_job(job_id, erasing.world.caller, 60)

    begun = erasing.user(user)

    assert "erasures" in [wait["reason"] for wait in shown(erasing, begun)["waitsFor"]]


def test_erasures_moves_and_new_clips_at_once_end(erasing: Erasing, user: str) -> None:
    world, script_id = erasing.world, script(erasing.world)
    jobs = [clip(erasing, user, script_id) for _ in range(4)] + [clip(erasing, "another", script_id)]
    (*_, last) = order(world, script_id)
    acts: list[Act] = [
        moving(last.id, 1),
        lambda other: Erasing(other, clock=erasing.clock, media=erasing.media).eraser.erase_job(
            jobs[0], other.caller, 20
        ),
        lambda other: Erasing(other, clock=erasing.clock, media=erasing.media).user(user, 20),
        lambda other: other.generate(replace(REQUEST, user_id="another", script_id=script_id)),
    ]

    given = at_once(world, acts)

    assert len(given) == THREADS
    assert not [one for one in given if isinstance(one, Exception)]
    erasing.sweep(WORKERS_DONE_AFTER + timedelta(minutes=1))
    positions = [video.position for video in order(world, script_id)]
    assert positions == list(range(1, len(positions) + 1))


def moment(wait: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(wait["until"])


def rounded(time: datetime) -> datetime:
    """To milliseconds, as answers have it."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
