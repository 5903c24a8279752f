"""A rejection and the job that makes the clip anew are written together, or neither is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.catalog import parse_catalog
from shared.domain.errors import Conflict, InvalidRequest, NotFound, OverBudget, ProductError, RateLimited
from shared.domain.jobs import Job
from shared.domain.scripts import SectionVideo
from shared.usecases.generate_media import GenerateRequest, generate_media
from shared.usecases.idempotency import Once
from shared.usecases.review_clips import Also, Regenerate, Rejection, create_script, reject
from tests.integration.inside import CATALOG, REQUEST, World
from tests.memory import MemorySchemas

KEYED = Once("POST /api/section-videos/{videoId}/reject", "once", "a hash")


@pytest.fixture
def video_id(world: World) -> int:
    """A completed clip of a script."""
    script_id = create_script(1, "A script", world.caller, records=world.records).id
    _, job_id, _ = world.generate(replace(REQUEST, script_id=script_id))
    world.sql("UPDATE vsl_frontend.section_videos SET status = 'completed' WHERE job_id = %s", job_id)
    return int(world.sql("SELECT id FROM vsl_frontend.section_videos WHERE job_id = %s", job_id)[0][0])


def regenerate(world: World, catalog: Any = CATALOG, **changes: Any) -> Regenerate:
    def again(clip: SectionVideo, old: Job, also: Also) -> Job:
        request = GenerateRequest("user", "video", "seedance-1-lite", old.request["parameters"], retry_of=old.id)
        return generate_media(
            replace(request, script_id=clip.script_id, replaces=clip.id, **changes),
            world.caller,
            records=world.records,
            catalog=catalog,
            schemas=MemorySchemas(),
            media=world.media,
            clock=world.clock,
            aftermath=world.aftermath,
            also=also,
        )

    return again


def rejected(world: World, rejection: Rejection, again: Regenerate | None = None) -> tuple[SectionVideo, Job | None]:
    return reject(rejection, world.caller, records=world.records, clock=world.clock, regenerate=again)


def state(world: World, video_id: int) -> tuple[str, int]:
    """Of the clip, and how many jobs its account has."""
    ((status,),) = world.sql("SELECT status FROM vsl_frontend.section_videos WHERE id = %s", video_id)
    ((jobs,),) = world.sql("SELECT count(*) FROM vsl.jobs WHERE account_id = %s", world.caller.account_id)
    return status, jobs


def without_budget(world: World) -> None:
    world.sql(
        "INSERT INTO vsl.budgets (account_id, limit_usd) VALUES (%s, 0.01) ON CONFLICT (account_id, user_id, period) "
        "DO UPDATE SET limit_usd = 0.01",
        world.caller.account_id,
    )


def with_too_many_jobs(world: World) -> None:
    world.sql(
        "INSERT INTO vsl.account_settings (account_id, settings) VALUES (%s, '{\"maxUnfinishedJobs\": 1}')",
        world.caller.account_id,
    )


@pytest.mark.parametrize(
    ("prepare", "options", "refusal"),
    [
        (without_budget, {}, OverBudget),
        (with_too_many_jobs, {}, RateLimited),
        (lambda _: None, {"parameters": {"prompt": "x", "firstFrame": {"s3Key": "uploads/x/a.png"}}}, NotFound),
        (lambda _: None, {"parameters": {"prompt": "x", "duration": 99}}, InvalidRequest),
        (lambda _: None, {"catalog": parse_catalog({})}, InvalidRequest),
    ],
    ids=["budget", "rate", "image", "parameters", "model"],
)
def test_a_clip_that_cannot_be_made_anew_keeps_its_state(
    world: World,
    video_id: int,
    prepare: Callable[[World], None],
    options: dict[str, Any],
    refusal: type[ProductError],
) -> None:
    prepare(world)

    with pytest.raises(refusal):
        reject(
            Rejection(video_id, "no"),
            world.caller,
            records=world.records,
            clock=world.clock,
            regenerate=regenerate(world, **options),
        )

    assert state(world, video_id) == ("completed", 1)


def test_a_clip_that_was_moved_meanwhile_is_not_made_anew(world: World, video_id: int) -> None:
    def meanwhile(clip: SectionVideo, old: Job, also: Also) -> Job:
        world.sql("UPDATE vsl_frontend.section_videos SET status = 'generating' WHERE id = %s", video_id)
        return regenerate(world)(clip, old, also)

    with pytest.raises(Conflict):
        rejected(world, Rejection(video_id), meanwhile)

    assert state(world, video_id) == ("generating", 1)


def test_a_rejection_that_is_repeated_makes_one_job(world: World, video_id: int) -> None:
    rejection = Rejection(video_id, "no", KEYED)

    def meanwhile(clip: SectionVideo, old: Job, also: Also) -> Job:
        rejected(world, rejection, regenerate(world))
        return regenerate(world)(clip, old, also)

    first = rejected(world, rejection, meanwhile)
    again = rejected(world, rejection, regenerate(world))

    assert first[1] is not None
    assert again[1] is not None
    assert first[1].id == again[1].id
    assert state(world, video_id) == ("rejected", 2)


def test_a_rejection_alone_is_repeated_and_not_with_another_body(world: World, video_id: int) -> None:
    rejection = Rejection(video_id, "no", KEYED)
    videos = [rejected(world, rejection)[0] for _ in range(2)]

    assert len({(video.id, video.status, video.version) for video in videos}) == 1
    other = replace(rejection, once=replace(KEYED, request_hash="another"))
    for again in (None, regenerate(world)):
        with pytest.raises(Conflict, match="another body"):
            rejected(world, other, again)
