"""A request becomes one job at one price, on a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.adapters.clock import SystemClock
from shared.adapters.postgres.migrations import apply_migrations
from shared.domain.errors import Conflict, InvalidRequest, OverBudget
from shared.domain.jobs import Caller, Job
from shared.usecases.generate_media import GenerateRequest, generate_media
from shared.usecases.manage_accounts import act
from tests.integration.inside import CATALOG, REQUEST, World
from tests.memory import MemoryKeys, MemoryQueue, MemorySchemas


def test_migrations_apply_once(database_url: str) -> None:
    assert apply_migrations(database_url) == []


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
