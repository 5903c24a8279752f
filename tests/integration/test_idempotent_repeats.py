"""A repeat under an Idempotency-Key is the first job, whatever has become of the world since."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from shared.adapters.clock import SystemClock
from shared.domain.catalog import parse_catalog
from shared.domain.errors import Conflict, Forbidden, NotFound
from shared.domain.jobs import Caller, Job
from shared.domain.uploads import UploadFile
from shared.usecases.compile_request import ClipSource, CompileRequest
from shared.usecases.compile_videos import request_compile
from shared.usecases.control import cancel_job, retry_job
from shared.usecases.generate_media import GenerateRequest, generate_media
from shared.usecases.prune import prune
from shared.usecases.review_clips import create_script
from shared.usecases.upload_files import UploadRequest, Uploads
from tests.integration.inside import CATALOG, REQUEST, World
from tests.memory import MemorySchemas

KEYED = replace(REQUEST, idempotency_key="once")
NO_MODELS = parse_catalog({})


def generated(world: World, request: GenerateRequest, catalog: Any = CATALOG) -> Job:
    return generate_media(
        request,
        world.caller,
        records=world.records,
        catalog=catalog,
        schemas=MemorySchemas(),
        media=world.media,
        clock=world.clock,
        aftermath=world.aftermath,
    )


def script_of(world: World, key: str | None = None) -> int:
    return create_script(1, "A script", world.caller, records=world.records, key=key).id


def test_after_its_model_has_left_the_registry(world: World) -> None:
    first = generated(world, KEYED)

    assert generated(world, KEYED, NO_MODELS).id == first.id
    with pytest.raises(Conflict) as refused:
        generated(world, replace(KEYED, user_id="another"), NO_MODELS)
    assert refused.value.code == "idempotency_conflict"


@pytest.mark.parametrize("named", ["s3Key", "jobId", "url"])
def test_after_its_image_is_gone(world: World, named: str) -> None:
    _, job_id, _ = world.generate()
    key = f"uploads/{world.caller.account_id}/user/1/a.png"
    world.media.objects[key] = (b"image", "image/png")
    world.sql("UPDATE vsl.jobs SET s3_key = %s WHERE id = %s", key, job_id)
    frame = {"s3Key": {"s3Key": key}, "jobId": {"jobId": str(job_id)}, "url": world.media.signed_url(key)}[named]
    request = replace(KEYED, parameters={"prompt": "A test", "firstFrame": frame})
    first = generated(world, request)
    del world.media.objects[key]
    world.sql("UPDATE vsl.jobs SET s3_key = NULL WHERE id = %s", job_id)

    assert generated(world, request).id == first.id


def test_after_its_script_is_gone(world: World) -> None:
    parameters = {"prompt": "x"}
    request = GenerateRequest("user", "image", "flux-schnell", parameters, script_of(world), idempotency_key="once")
    first = generated(world, request)
    world.sql("DELETE FROM vsl_frontend.section_detailed_scripts WHERE id = %s", request.script_id)

    assert generated(world, request).id == first.id


def test_forms_after_their_script_is_gone(world: World) -> None:
    upload = UploadRequest("u", "clip", [UploadFile("a.mp4", "video/mp4", 10)], script_of(world), "once")
    forms = Uploads(world.records, SystemClock()).begin(upload, world.caller)[0]
    world.sql("UPDATE vsl.uploads SET script_id = NULL WHERE id = %s", forms.id)
    world.sql("DELETE FROM vsl_frontend.section_videos WHERE script_id = %s", upload.script_id)
    world.sql("DELETE FROM vsl_frontend.section_detailed_scripts WHERE id = %s", upload.script_id)

    assert Uploads(world.records, SystemClock()).begin(upload, world.caller)[0].id == forms.id


def test_a_film_after_its_clips_are_gone(world: World) -> None:
    key = f"uploads/{world.caller.account_id}/user/1/a.mp4"
    world.media.objects[key] = (b"clip", "video/mp4")
    request = CompileRequest("POST /compile-videos", clips=[ClipSource(s3_key=key)], idempotency_key="once")

    def compiled(one: CompileRequest) -> UUID:
        return request_compile(
            one,
            world.caller,
            records=world.records,
            media=world.media,
            clock=world.clock,
            aftermath=world.aftermath,
        ).id

    first = compiled(request)
    del world.media.objects[key]

    assert compiled(request) == first
    with pytest.raises(NotFound):
        compiled(replace(request, idempotency_key="another"))


def test_a_retry_after_the_job_it_repeats_is_gone(world: World) -> None:
    _, job_id, _ = world.generate()
    cancel_job(job_id, world.caller, records=world.records, clock=world.clock, aftermath=world.aftermath)

    def retried(of: UUID) -> UUID:
        def again(old: Job) -> Job:
            return generated(world, replace(KEYED, retry_of=old.id))

        return retry_job(of, world.caller, records=world.records, again=again, key="once").id

    first = retried(job_id)
    world.sql("UPDATE vsl.jobs SET erased_at = now() WHERE id = %s", job_id)

    assert retried(job_id) == first
    with pytest.raises(Conflict) as refused:
        retried(first)
    assert refused.value.code == "idempotency_conflict"


def test_a_cancel_is_the_same_answer_with_what_is_known_of_its_charge_now(world: World) -> None:
    job_id, attempt_id, _ = world.accepted()

    def cancelled() -> tuple[Job, str]:
        return cancel_job(
            job_id,
            world.caller,
            records=world.records,
            clock=world.clock,
            aftermath=world.aftermath,
            key="once",
        )

    first, again = cancelled(), cancelled()
    world.sql("UPDATE vsl.provider_attempts SET state = 'finished' WHERE id = %s", attempt_id)

    assert [(job.id, charge) for job, charge in (first, again)] == [(job_id, "pending")] * 2
    assert cancelled()[1] == "none"


def test_a_repeat_asks_for_the_scope_of_the_work_as_the_first_call_did(world: World) -> None:
    _, job_id, _ = world.generate()
    compiles_only = replace(world.caller, scopes=frozenset({"compile"}))

    def cancelled(caller: Caller) -> Job:
        options: Any = {"records": world.records, "clock": world.clock, "aftermath": world.aftermath, "key": "once"}
        return cancel_job(job_id, caller, **options)[0]

    def retried(caller: Caller) -> Job:
        return retry_job(
            job_id,
            caller,
            records=world.records,
            again=lambda old: generated(world, replace(KEYED, retry_of=old.id)),
            key="once",
        )

    for act in (cancelled, retried):
        act(world.caller)
        with pytest.raises(Forbidden):
            act(compiles_only)


def test_keys_are_forgotten_after_a_week_and_not_before(world: World) -> None:
    first = script_of(world, "once")
    prune(world.records, world.clock, 10)
    assert script_of(world, "once") == first

    world.sql("UPDATE vsl.idempotency_keys SET created_at = now() - interval '8 days'")
    assert prune(world.records, world.clock, 10)["idempotency_keys"] >= 1
    assert script_of(world, "once") != first
