"""The life of a job on a real PostgreSQL: money, claims, webhooks and ends, with every message repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.adapters.clock import SystemClock
from shared.adapters.postgres.connection import PostgresRecords
from shared.adapters.postgres.migrations import apply_migrations
from shared.domain.catalog import parse_catalog
from shared.domain.errors import Conflict, InvalidRequest, NotFound, OverBudget
from shared.domain.jobs import Caller, Job
from shared.domain.messages import (
    CallAccepted,
    CallRejected,
    MediaStored,
    PredictionSeen,
    StoredOutput,
    StoreFailed,
    WebhookReceived,
)
from shared.usecases.aftermath import Aftermath
from shared.usecases.control import cancel_job
from shared.usecases.generate_media import GenerateRequest, generate_media
from shared.usecases.manage_accounts import act
from shared.usecases.reconcile import Sweep
from shared.usecases.settle import Settler
from tests.memory import MemoryKeys, MemoryQueue, MemoryView

CATALOG = parse_catalog(json.loads((Path(__file__).parents[2] / "config" / "models.json").read_text()))
REQUEST = GenerateRequest("user", "video", "seedance-1-lite", {"prompt": "A test", "duration": 3})


@dataclass
class World:
    """The inside with its real truth and stores in memory."""

    url: str
    records: PostgresRecords
    queue: MemoryQueue
    caller: Caller

    @property
    def aftermath(self) -> Aftermath:
        return Aftermath(records=self.records, queue=self.queue, live=MemoryView(), cache=MemoryView())

    @property
    def settler(self) -> Settler:
        return Settler(self.records, SystemClock(), self.aftermath, lease_seconds=60)

    def generate(self, request: GenerateRequest = REQUEST) -> tuple[Job, UUID, UUID]:
        """A job, its id and its first attempt's."""
        job = generate_media(
            request,
            self.caller,
            records=self.records,
            catalog=CATALOG,
            clock=SystemClock(),
            aftermath=self.aftermath,
        )
        return job, job.id, UUID(self.queue.of("calls")[-1]["attemptId"])

    def sql(self, statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def status(self, job_id: UUID) -> str:
        return str(self.sql("SELECT status FROM vsl.jobs WHERE id = %s", job_id)[0][0])

    def ledger(self, job_id: UUID) -> list[float]:
        rows = self.sql("SELECT amount_usd FROM vsl.cost_ledger WHERE entry = 'actual' AND job_id = %s", job_id)
        return [float(amount) for (amount,) in rows]

    def accepted(self) -> tuple[UUID, UUID, str]:
        """A job whose call the provider took."""
        _, job_id, attempt_id = self.generate()
        self.settler.claim_call(job_id, attempt_id)
        provider_id = uuid4().hex[:26]
        self.settler.take(CallAccepted(str(job_id), str(attempt_id), provider_id, "starting"))
        return job_id, attempt_id, provider_id


@pytest.fixture(scope="module")
def database_url(stack: dict[str, Any]) -> Iterator[str]:
    """A database of its own on the stack's server, so that no deployed function works on it."""
    name = f"lifecycle_{uuid4().hex[:8]}"
    server = stack["databaseUrl"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = server.rpartition("/")[0] + "/" + name
    assert apply_migrations(url) == ["0001_initial.sql"]
    yield url
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    records = PostgresRecords(database_url)
    order = {"action": "create_account", "name": uuid4().hex, "usagePlanKey": uuid4().hex}
    account = act(order, records=records, directory=MemoryKeys())
    yield World(database_url, records, MemoryQueue(), Caller(UUID(account["accountId"]), frozenset()))
    records.close()


def stored(job_id: UUID, attempt_id: UUID, provider_id: str) -> MediaStored:
    output = StoredOutput(f"incoming/{job_id}/1/0", 10, "0" * 64, "video/mp4")
    return MediaStored(str(job_id), str(attempt_id), provider_id, (output,), None, 3.0)


def hook(job_id: UUID, attempt_id: UUID, provider_id: str, status: str = "succeeded") -> WebhookReceived:
    return WebhookReceived("replicate", uuid4().hex, provider_id, status, str(job_id), str(attempt_id))


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


def test_an_early_webhook_accepts_the_attempt_and_asks_for_its_media_once(world: World) -> None:
    _, job_id, attempt_id = world.generate()
    world.settler.claim_call(job_id, attempt_id)
    world.settler.take(hook(job_id, attempt_id, "early" + job_id.hex))
    world.settler.take(CallAccepted(str(job_id), str(attempt_id), "early" + job_id.hex, "starting"))
    assert len(world.queue.of("store")) == 1


def test_a_doubled_webhook_has_one_effect(world: World) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    delivery = hook(job_id, attempt_id, provider_id)
    for _ in range(5):
        world.settler.take(delivery)
    assert len(world.queue.of("store")) == 1


def test_a_webhook_of_another_prediction_is_parked(world: World) -> None:
    job_id, attempt_id, _ = world.accepted()
    world.settler.take(hook(job_id, attempt_id, "somebody-elses"))
    assert world.queue.of("store") == []
    assert world.sql("SELECT parked FROM vsl.webhook_inbox WHERE job_id = %s", job_id) == [(True,)]


def test_media_stored_twice_are_paid_and_inspected_once(world: World) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    for _ in range(3):
        world.settler.take(stored(job_id, attempt_id, provider_id))
    assert world.ledger(job_id) == [0.108]
    assert len(world.queue.of("inspect")) == 1


def test_a_failed_prediction_costs_nothing_and_fails_the_job(world: World) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    world.settler.take(PredictionSeen(str(job_id), str(attempt_id), provider_id, "failed", "NSFW"))
    assert (world.status(job_id), world.ledger(job_id)) == ("failed", [0.0])


@pytest.mark.parametrize("status", ["starting", "processing", "queued-in-a-new-way"])
def test_a_running_or_unknown_status_ends_nothing(world: World, status: str) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    world.settler.take(PredictionSeen(str(job_id), str(attempt_id), provider_id, status, progress=40))
    assert world.status(job_id) == "generating"


def test_progress_never_runs_backwards(world: World) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    for percent in (40, 20):
        world.settler.take(PredictionSeen(str(job_id), str(attempt_id), provider_id, "processing", progress=percent))
    assert world.sql("SELECT progress FROM vsl.jobs WHERE id = %s", job_id) == [(40,)]


def test_output_that_is_gone_fails_the_job_and_is_still_paid(world: World) -> None:
    job_id, attempt_id, _ = world.accepted()
    world.settler.take(StoreFailed(str(job_id), str(attempt_id), "output_expired", "Gone.", final=True))
    assert (world.status(job_id), world.ledger(job_id)) == ("failed", [0.108])


def test_a_refused_call_fails_the_job_without_a_cost(world: World) -> None:
    _, job_id, attempt_id = world.generate()
    world.settler.claim_call(job_id, attempt_id)
    world.settler.take(CallRejected(str(job_id), str(attempt_id), "provider_refused", "No.", retryable=False))
    assert (world.status(job_id), world.ledger(job_id)) == ("failed", [0.0])


def test_a_throttled_call_is_a_new_attempt_up_to_three_times(world: World) -> None:
    _, job_id, _ = world.generate()
    for _ in range(4):
        (attempt_id,) = world.sql(
            "SELECT id FROM vsl.provider_attempts WHERE job_id = %s AND state = 'written'", job_id
        )[0]
        world.settler.claim_call(job_id, attempt_id)
        world.settler.take(CallRejected(str(job_id), str(attempt_id), "provider_busy", "429", True, 2))
    assert world.status(job_id) == "failed"
    assert world.sql("SELECT count(*) FROM vsl.provider_attempts WHERE job_id = %s", job_id) == [(4,)]
    assert world.sql(
        "SELECT reserved_usd FROM vsl.budgets WHERE account_id = %s AND user_id = ''", world.caller.account_id
    ) == [(0,)]


def test_cancel_before_the_call_means_no_call(world: World) -> None:
    _, job_id, attempt_id = world.generate()
    assert _cancel(world, job_id) == "none"
    assert world.settler.claim_call(job_id, attempt_id)["verdict"] == "done"
    assert (world.status(job_id), world.ledger(job_id)) == ("cancelled", [0.0])


def test_cancel_after_the_call_reaches_the_provider_and_is_charged_later(world: World) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    assert _cancel(world, job_id) == "pending"
    assert world.queue.of("calls")[-1]["action"] == "cancel"
    world.settler.take(PredictionSeen(str(job_id), str(attempt_id), provider_id, "canceled", predictSeconds=1.5))
    assert (world.status(job_id), world.ledger(job_id)) == ("cancelled", [0.108])


def test_a_finished_job_is_not_cancelled_and_never_moves(world: World) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    world.settler.take(PredictionSeen(str(job_id), str(attempt_id), provider_id, "failed"))
    with pytest.raises(Conflict, match="failed already"):
        _cancel(world, job_id)
    world.settler.take(stored(job_id, attempt_id, provider_id))
    assert world.status(job_id) == "failed"


def test_another_account_finds_no_such_job(world: World) -> None:
    _, job_id, _ = world.generate()
    stranger = Caller(uuid4(), frozenset())
    with pytest.raises(NotFound):
        cancel_job(job_id, stranger, records=world.records, clock=SystemClock(), aftermath=world.aftermath)


def test_the_sweep_times_out_an_overdue_job_and_books_the_unresolved_call(world: World) -> None:
    _, job_id, attempt_id = world.generate()
    world.settler.claim_call(job_id, attempt_id)
    world.sql("UPDATE vsl.jobs SET deadline_at = %s WHERE id = %s", datetime.now(UTC) - timedelta(1), job_id)
    _sweep(world)
    assert (world.status(job_id), world.ledger(job_id)) == ("timeout", [0.108])


def test_the_sweep_sends_what_a_dead_queue_refused(world: World) -> None:
    world.queue.down = True
    with pytest.raises(IndexError):
        world.generate()
    world.queue.down = False
    _sweep(world)
    assert len(world.queue.of("calls")) >= 1


def test_the_sweep_asks_again_for_a_call_whose_message_was_lost(world: World) -> None:
    _, job_id, attempt_id = world.generate()
    world.queue.sent.clear()
    world.sql("UPDATE vsl.provider_attempts SET next_check_at = now() WHERE id = %s", attempt_id)
    _sweep(world)
    assert [body["jobId"] for body in world.queue.of("calls")] == [str(job_id)]


def test_the_sweep_takes_up_a_lapsed_lease(world: World) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    assert world.settler.claim_store(job_id, attempt_id, "one")["verdict"] == "go"
    assert world.settler.claim_store(job_id, attempt_id, "two")["verdict"] == "wait"
    world.sql("UPDATE vsl.jobs SET lease_until = now() - interval '1 second' WHERE id = %s", job_id)
    _sweep(world)
    assert [body["providerId"] for body in world.queue.of("store")] == [provider_id]
    assert world.settler.claim_store(job_id, attempt_id, "two")["verdict"] == "go"


def test_history_tells_what_happened(world: World) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    world.settler.take(stored(job_id, attempt_id, provider_id))
    with world.records.transaction() as tx:
        names = [event["name"] for event in tx.events(world.caller.account_id, job_id)]
    assert names == ["job.created", "call.accepted", "media.stored"]


def _fields(request: GenerateRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__slots__}


@contextmanager
def _elsewhere(world: World) -> Iterator[World]:
    """The same account on a connection of its own, as another execution environment has."""
    other = World(world.url, PostgresRecords(world.url), MemoryQueue(), world.caller)
    yield other
    other.records.close()


def _generated_elsewhere(world: World, request: GenerateRequest) -> Job:
    with _elsewhere(world) as other:
        return generate_media(
            request,
            other.caller,
            records=other.records,
            catalog=CATALOG,
            clock=SystemClock(),
            aftermath=other.aftermath,
        )


def _claim_elsewhere(world: World, job_id: UUID, attempt_id: UUID) -> str:
    with _elsewhere(world) as other:
        return str(other.settler.claim_call(job_id, attempt_id)["verdict"])


def _try_generate(world: World) -> bool:
    try:
        _generated_elsewhere(world, REQUEST)
    except OverBudget:
        return False
    return True


def _cancel(world: World, job_id: UUID) -> str:
    _, charge = cancel_job(job_id, world.caller, records=world.records, clock=SystemClock(), aftermath=world.aftermath)
    return charge


def _sweep(world: World) -> None:
    Sweep(world.records, SystemClock(), world.aftermath).run()
