"""A request becomes one job at one price, on a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.adapters.clock import SystemClock
from shared.domain.errors import Conflict, InvalidRequest, OverBudget, RateLimited
from shared.domain.jobs import Caller, Job
from shared.domain.messages import CallAccepted, MediaStored
from shared.usecases.compile_request import ClipSource, CompileRequest
from shared.usecases.compile_videos import request_compile
from shared.usecases.generate_media import GenerateRequest, generate_media
from shared.usecases.manage_accounts import act
from tests.databases import migrate
from tests.integration.inside import CATALOG, REQUEST, World
from tests.memory import MemoryKeys, MemoryQueue, MemorySchemas


def test_migrations_apply_once(database_url: str) -> None:
    assert migrate(database_url) == []


def test_the_same_key_and_body_is_the_same_job(world: World) -> None:
    request = GenerateRequest(**{**_fields(REQUEST), "idempotency_key": "once"})
    with ThreadPoolExecutor(10) as pool:
        jobs = list(pool.map(lambda _: _generated_elsewhere(world, request), range(20)))
    assert len({job.id for job in jobs}) == 1
    assert world.sql("SELECT count(*) FROM vsl.provider_attempts WHERE job_id = %s", jobs[0].id) == [(1,)]


def test_the_same_key_with_another_body_is_refused(world: World) -> None:
    world.generate(GenerateRequest(**{**_fields(REQUEST), "idempotency_key": "k"}))
    other = GenerateRequest(**{**_fields(REQUEST), "idempotency_key": "k", "user_id": "other"})
    with pytest.raises(Conflict, match="used for another body") as refused:
        world.generate(other)
    assert refused.value.code == "idempotency_conflict"


def test_another_accounts_key_is_another_job(world: World, database_url: str) -> None:
    request = GenerateRequest(**{**_fields(REQUEST), "idempotency_key": "shared"})
    mine, *_ = world.generate(request)
    order = {"action": "create_account", "name": uuid4().hex, "usagePlanKey": uuid4().hex}
    other = act(order, records=world.records, directory=MemoryKeys())
    stranger = World(database_url, world.records, MemoryQueue(), Caller(UUID(other["accountId"]), frozenset()))
    theirs, *_ = stranger.generate(request)
    assert theirs.id != mine.id


def test_a_wrong_parameter_writes_nothing(world: World) -> None:
    bad = GenerateRequest(**{**_fields(REQUEST), "parameters": {"prompt": "x", "durration": 3}})
    with pytest.raises(InvalidRequest) as refused:
        world.generate(bad)
    assert "duration" in refused.value.details[0].message
    assert world.sql("SELECT count(*) FROM vsl.jobs WHERE account_id = %s", world.caller.account_id) == [(0,)]


def test_a_claim_is_given_once_among_many(world: World) -> None:
    _, job_id, attempt_id = world.generate()
    with ThreadPoolExecutor(10) as pool:
        verdicts = pool.map(lambda _: _claim_elsewhere(world, job_id, attempt_id), range(20))
    assert sorted(verdicts) == ["go", *["resolve"] * 19]


def test_two_hundred_requests_cannot_pass_a_budget_of_ten(world: World) -> None:
    world.sql(
        "INSERT INTO vsl.budgets (account_id, limit_usd) VALUES (%s, 1.08)", world.caller.account_id
    )  # ten clips of 0.108 USD
    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(lambda _: _try_generate(world), range(200)))
    assert sum(made) == 10
    assert world.sql("SELECT count(*) FROM vsl.jobs WHERE account_id = %s", world.caller.account_id) == [(10,)]


def test_every_kind_of_job_counts_towards_the_accounts_limit(world: World) -> None:
    """Ten of ten films were accepted where two might be."""
    _, clip, _ = world.generate()
    world.sql(
        "UPDATE vsl.jobs SET status = 'completed', completed_at = now(), s3_key = 'generated/x', "
        "content_type = 'video/mp4', duration_seconds = 3 WHERE id = %s",
        clip,
    )
    settings = "INSERT INTO vsl.account_settings (account_id, settings) VALUES (%s, %s)"
    world.sql(settings, world.caller.account_id, '{"maxUnfinishedJobs": 2}')

    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(lambda kind: _try_film(world, clip, kind), ["compile", "plan", "probe"] * 4))

    assert sum(made) == 2
    with pytest.raises(RateLimited):
        world.generate()


ONE_TOKEN = GenerateRequest("user", "text", "llama-3-8b-instruct", {"prompt": "x", "max_tokens": 1})


def test_a_limit_of_zero_admits_not_even_one_token(world: World) -> None:
    limit(world, "0")

    for _ in range(12):
        with pytest.raises(OverBudget):
            world.generate(ONE_TOKEN)

    assert world.sql("SELECT count(*) FROM vsl.jobs WHERE account_id = %s", world.caller.account_id) == [(0,)]


def test_many_small_calls_cannot_pass_a_budget(world: World) -> None:
    """A prompt of one byte, one token to write and 64 of the template are 16.5 micro-dollars, and count as 17."""
    limit(world, "0.000100")

    jobs = [world.generate(ONE_TOKEN)[0] for _ in range(5)]

    assert [job.estimated_cost_usd for job in jobs] == [Decimal("0.000017")] * 5
    with pytest.raises(OverBudget):
        world.generate(ONE_TOKEN)


def test_a_used_up_limit_admits_no_free_call_either(world: World) -> None:
    job, *_ = world.generate(ONE_TOKEN)
    world.sql("UPDATE vsl.budgets SET limit_usd = reserved_usd WHERE account_id = %s", world.caller.account_id)

    with world.records.transaction() as tx, pytest.raises(OverBudget):
        tx.reserve(job, Decimal(0))


def test_a_text_whose_tokens_are_not_reported_costs_what_was_reserved(world: World) -> None:
    _, job_id, attempt_id = world.generate(ONE_TOKEN)
    world.settler.claim_call(job_id, attempt_id)
    world.settler.take(CallAccepted(str(job_id), str(attempt_id), "p" + uuid4().hex[:20], "starting"))

    (provider_id,) = world.sql("SELECT provider_id FROM vsl.provider_attempts WHERE id = %s", attempt_id)[0]
    world.settler.take(MediaStored(str(job_id), str(attempt_id), provider_id, (), "A", 0.2))

    assert world.ledger(job_id) == [0.000017]
    assert (
        world.sql("SELECT reserved_usd, spent_usd FROM vsl.budgets WHERE account_id = %s", world.caller.account_id)
        == [(0, Decimal("0.000017"))] * 4
    )


def limit(world: World, usd: str) -> None:
    world.sql("INSERT INTO vsl.budgets (account_id, limit_usd) VALUES (%s, %s)", world.caller.account_id, usd)


def _fields(request: GenerateRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__slots__}


def _generated_elsewhere(world: World, request: GenerateRequest) -> Job:
    with world.elsewhere() as other:
        return generate_media(
            request,
            other.caller,
            records=other.records,
            catalog=CATALOG,
            schemas=MemorySchemas(),
            media=other.media,
            clock=SystemClock(),
            aftermath=other.aftermath,
        )


def _claim_elsewhere(world: World, job_id: UUID, attempt_id: UUID) -> str:
    with world.elsewhere() as other:
        return str(other.settler.claim_call(job_id, attempt_id)["verdict"])


def _try_generate(world: World) -> bool:
    try:
        _generated_elsewhere(world, REQUEST)
    except OverBudget:
        return False
    return True


def _try_film(world: World, clip: UUID, kind: str) -> bool:
    request = CompileRequest("POST /compile-videos", clips=[ClipSource(job_id=clip)], kind=kind)
    with world.elsewhere() as other:
        try:
            request_compile(
                request,
                world.caller,
                records=other.records,
                media=other.media,
                clock=other.clock,
                aftermath=other.aftermath,
            )
        except RateLimited:
            return False
        return True
