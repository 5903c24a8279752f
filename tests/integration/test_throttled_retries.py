"""A provider that throttles costs a job no try: only real failures count, and only they make the waits longer."""

from __future__ import annotations

from shared.usecases.generate_media import GenerateRequest
from tests.integration.inside import World
from tests.integration.test_retries import FALLING_BACK, PROMPT, ask, fail, open_attempt, versions

THROTTLED = "provider_throttled"


def test_after_many_429s_a_failure_has_all_its_retries(world: World) -> None:
    job_id = ask(world, FALLING_BACK, GenerateRequest("user", "image", "flux-schnell", PROMPT))

    for code in [THROTTLED] * 5 + ["provider_busy", THROTTLED, "provider_busy", "provider_busy", THROTTLED]:
        world.sql("DELETE FROM vsl.provider_pace")
        fail(world, job_id, code)
        assert world.status(job_id) == "generating", code

    world.sql("DELETE FROM vsl.provider_pace")
    fail(world, job_id)
    assert (world.status(job_id), len(versions(world, job_id))) == ("failed", 11)


def test_429s_do_not_lead_to_the_fallback_model(world: World) -> None:
    job_id = ask(world, FALLING_BACK, GenerateRequest("user", "image", "flux-schnell", PROMPT, fallback=True))

    for code in [THROTTLED] * 4 + ["provider_busy"]:
        world.sql("DELETE FROM vsl.provider_pace")
        fail(world, job_id, code)

    assert set(versions(world, job_id)) == {"black-forest-labs/flux-schnell"}


def test_the_wait_before_a_try_is_by_failures_and_not_by_429s(world: World) -> None:
    job_id = ask(world, FALLING_BACK, GenerateRequest("user", "image", "flux-schnell", PROMPT))
    for code in [THROTTLED] * 6 + ["provider_busy"]:
        world.sql("DELETE FROM vsl.provider_pace")
        fail(world, job_id, code, retry_after_seconds=0)

    delays = [details["delaySeconds"] for name, details in world.events(job_id) if name == "call.retried"]

    assert delays == [10] * 6 + [2]
    assert open_attempt(world, job_id)
