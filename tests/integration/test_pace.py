"""Claims keep to the provider's pace and give every account its turn, on a real PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from shared.domain.errors import RateLimited
from shared.domain.jobs import Caller
from shared.domain.messages import CallAccepted, CallRejected, CallUnresolved
from shared.domain.pace import FAILURES_TO_OPEN
from shared.usecases.manage_accounts import act
from tests.integration.inside import World
from tests.memory import MemoryClock, MemoryKeys, MemoryQueue

Written = tuple[UUID, UUID]


def another_account(world: World) -> World:
    order = {"action": "create_account", "name": uuid4().hex, "usagePlanKey": uuid4().hex}
    made = act(order, records=world.records, directory=MemoryKeys())
    caller = Caller(UUID(made["accountId"]), frozenset())
    return World(world.master_url, world.records, MemoryQueue(), caller, clock=world.clock)


def write(world: World, calls: int) -> list[Written]:
    return [(job_id, attempt_id) for _, job_id, attempt_id in (world.generate() for _ in range(calls))]


def verdict(world: World, ids: Written) -> str:
    return str(world.settler.claim_call(*ids)["verdict"])


@pytest.fixture(autouse=True)
def clock(world: World) -> MemoryClock:
    """Tokens come back only when a test lets time pass, however slow the machine is."""
    world.clock = MemoryClock(datetime.now(UTC))
    return world.clock


@pytest.fixture(autouse=True)
def rested(world: World) -> None:
    """Nothing of other tests waits, and the provider has not been called of late."""
    world.sql("DELETE FROM vsl.provider_pace")
    world.sql("UPDATE vsl.provider_attempts SET state = 'rejected' WHERE state = 'written'")
    world.sql("UPDATE vsl.provider_attempts SET claimed_at = claimed_at - interval '1 hour'")


def test_calls_beyond_the_pace_wait_and_ask_again(world: World) -> None:
    calls = write(world, 30)

    verdicts = [verdict(world, ids) for ids in calls]

    assert verdicts == ["go"] * 20 + ["wait"] * 10
    _, waiting = calls[20]
    again = [body for body in world.queue.of("calls") if body["attemptId"] == str(waiting)]
    assert len(again) == 2
    state = world.sql("SELECT state, next_check_at > now() FROM vsl.provider_attempts WHERE id = %s", waiting)
    assert state == [("written", True)]


def test_one_call_of_another_account_goes_before_the_rest_of_a_thousand(world: World, clock: MemoryClock) -> None:
    crowd = write(world, 200)
    for ids in crowd:
        verdict(world, ids)
    single = another_account(world)
    (one,) = write(single, 1)

    order: list[str] = []
    for _ in range(100):
        clock.sleep(0.05)
        # The crowd is always first at the door.
        order += ["crowd" for ids in crowd[20:70] if verdict(world, ids) == "go"]
        if verdict(single, one) == "go":
            break

    assert single.status(one[0]) == "generating"
    assert len(order) <= 3


def test_a_throttled_call_stops_everybody_and_is_kept_beyond_the_retries(world: World) -> None:
    job_id, *_ = world.generate()[1:2]
    for _ in range(6):
        (attempt_id,) = world.sql(
            "SELECT id FROM vsl.provider_attempts WHERE job_id = %s AND state = 'written'", job_id
        )[0]
        world.sql("DELETE FROM vsl.provider_pace")
        assert verdict(world, (job_id, attempt_id)) == "go"
        world.settler.take(CallRejected(str(job_id), str(attempt_id), "provider_throttled", "429", True, 60))

    (other,) = write(another_account(world), 1)
    assert world.status(job_id) == "generating"
    assert verdict(world, other) == "wait"


def test_a_provider_that_does_not_answer_is_left_alone_and_its_jobs_are_kept(world: World) -> None:
    for ids in write(world, 5):
        assert verdict(world, ids) == "go"
        world.settler.take(CallUnresolved(str(ids[0]), str(ids[1]), "No answer."))

    (kept,) = write(world, 1)

    assert verdict(world, kept) == "wait"
    assert world.status(kept[0]) == "pending"


def test_an_account_has_so_many_calls_running(world: World) -> None:
    world.sql(
        "INSERT INTO vsl.account_settings (account_id, settings) VALUES (%s, '{\"maxRunningCalls\": 2}')",
        world.caller.account_id,
    )
    verdicts = [verdict(world, ids) for ids in write(world, 3)]

    assert verdicts == ["go", "go", "wait"]


def test_an_account_with_too_much_unfinished_is_refused_and_nothing_is_written(world: World) -> None:
    world.sql(
        "INSERT INTO vsl.account_settings (account_id, settings) VALUES (%s, '{\"maxUnfinishedJobs\": 2}')",
        world.caller.account_id,
    )
    write(world, 2)

    with pytest.raises(RateLimited) as refused:
        world.generate()

    assert refused.value.retry_after_seconds
    assert world.sql("SELECT count(*) FROM vsl.jobs WHERE account_id = %s", world.caller.account_id) == [(2,)]


def test_the_pace_is_learnt_from_what_an_accepted_call_says_is_left(world: World) -> None:
    first, *others = write(world, 4)
    assert verdict(world, first) == "go"
    world.settler.take(CallAccepted(str(first[0]), str(first[1]), first[0].hex[:26], "starting", 2, 60))

    assert [verdict(world, ids) for ids in others] == ["go", "go", "wait"]
    assert world.sql("SELECT round(rate_per_second::numeric, 2) FROM vsl.provider_pace") == [(Decimal("0.10"),)]


@pytest.mark.parametrize("code", ["image_unreadable", "image_missing"])
def test_a_call_that_was_never_made_says_nothing_of_its_provider(world: World, other: Caller, code: str) -> None:
    """Images that could not be read opened the breaker for every account."""
    for _ in range(FAILURES_TO_OPEN + 1):
        _, job_id, attempt_id = world.generate()
        assert world.settler.claim_call(job_id, attempt_id)["verdict"] == "go"
        world.settler.take(CallRejected(str(job_id), str(attempt_id), code, "x", code == "image_unreadable", 30))

    _, job_id, attempt_id = replace(world, caller=other).generate()
    assert world.settler.claim_call(job_id, attempt_id)["verdict"] == "go"


def test_an_image_that_cannot_be_read_costs_no_try(world: World) -> None:
    _, job_id, attempt_id = world.generate()
    for _ in range(6):
        world.settler.claim_call(job_id, attempt_id)
        world.settler.take(CallRejected(str(job_id), str(attempt_id), "image_unreadable", "x", True, 30))
        ((attempt_id,),) = world.sql(
            "SELECT id FROM vsl.provider_attempts WHERE job_id = %s AND state = 'written'", job_id
        )
    assert world.sql("SELECT status, retry_count FROM vsl.jobs WHERE id = %s", job_id) == [("generating", 0)]
