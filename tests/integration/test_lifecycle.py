"""The life of a job on a real PostgreSQL: calls, webhooks, ends and sweeps, with every message repeated."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.adapters.clock import SystemClock
from shared.adapters.postgres.connection import PostgresRecords
from shared.domain.errors import Conflict, DependencyDown, NotFound
from shared.domain.jobs import Caller, JobFilter, snapshot
from shared.domain.messages import (
    CallAccepted,
    CallRejected,
    PredictionSeen,
    StoreFailed,
)
from shared.usecases import reconcile
from shared.usecases.control import cancel_job
from shared.usecases.read_status import StatusReader, present
from shared.usecases.reconcile import Sweep
from tests.integration.inside import TURNS, World, hook, stored
from tests.memory import MemoryClock, MemoryQueue, MemoryView, MemoryWaiters


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


@pytest.mark.parametrize(
    "key",
    [
        "generated/a/user/2026/01/01/1/original.mp4",
        "incoming/{other}/1/0",
        "incoming/{job}/../{other}/1/0",
        "incoming/{job}/1/0/../../../../uploads/a/b.mp4",
        "incoming/{job}/1/0\n",
        "incoming/{job}/",
        "incoming/{job}0/1/0",
    ],
)
def test_a_report_of_an_object_elsewhere_is_refused(world: World, key: str) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    report = stored(job_id, attempt_id, provider_id)
    foreign = replace(report.outputs[0], key=key.format(job=job_id, other=uuid4()))

    world.settler.take(replace(report, outputs=(report.outputs[0], foreign)))

    assert (world.status(job_id), world.ledger(job_id), world.queue.of("inspect")) == ("generating", [], [])
    world.settler.take(report)
    assert (world.status(job_id), world.ledger(job_id)) == ("processing", [0.108])


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


def test_a_call_that_runs_is_asked_about_in_every_sweep_however_long_its_model_takes(world: World) -> None:
    """So that a webhook that is lost costs less than two of the sweep's minutes."""
    job_id, attempt_id, provider_id = world.accepted()
    for status in ("starting", "processing"):
        world.settler.take(PredictionSeen(str(job_id), str(attempt_id), provider_id, status))
        soon = "SELECT next_check_at <= now() + interval '30 s' FROM vsl.provider_attempts WHERE id = %s"
        assert world.sql(soon, attempt_id) == [(True,)]
        world.sql("UPDATE vsl.provider_attempts SET next_check_at = now() WHERE id = %s", attempt_id)
        world.queue.sent.clear()
        _sweep(world)
        assert [body["providerId"] for body in world.queue.of("store")] == [provider_id]


def test_one_sweep_asks_about_every_call_that_is_due(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "BATCH", 2)
    asked = [world.accepted()[2] for _ in range(5)]
    world.sql("UPDATE vsl.provider_attempts SET next_check_at = now() WHERE provider_id = ANY(%s)", asked)
    _sweep(world)
    assert sorted(body["providerId"] for body in world.queue.of("store")) == sorted(asked)


@pytest.mark.parametrize("status", ["starting", "processing", "queued-in-a-new-way", "SUCCEEDED", "{}", ""])
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
        "SELECT reserved_usd FROM vsl.budgets WHERE account_id = %s AND user_id = '' AND period = 'total'",
        world.caller.account_id,
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
    assert (world.status(job_id), world.ledger(job_id)) == ("cancelled", [0.0021])
    assert world.events(job_id)[-1] == ("charge.settled", {"amountUsd": 0.0021})
    assert world.sql("SELECT actual_cost_usd::text FROM vsl.jobs WHERE id = %s", job_id) == [("0.002100",)]


def test_a_cancel_that_was_lost_is_sent_again_when_the_call_is_seen_to_run(world: World) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    _cancel(world, job_id)
    world.queue.sent.clear()
    world.settler.take(PredictionSeen(str(job_id), str(attempt_id), provider_id, "processing"))
    _sweep(world)
    assert [(body["action"], body["providerId"]) for body in world.queue.of("calls")] == [("cancel", provider_id)]


def test_a_cancelled_call_that_made_nothing_is_told_to_cost_nothing(world: World) -> None:
    _, job_id, attempt_id = world.generate()
    world.settler.claim_call(job_id, attempt_id)
    assert _cancel(world, job_id) == "pending"
    world.settler.take(CallRejected(str(job_id), str(attempt_id), "provider_refused", "No.", retryable=False))
    assert world.events(job_id)[-1] == ("charge.settled", {"amountUsd": 0.0})


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


def test_nobody_waits_for_a_queue_with_rows_locked(world: World) -> None:
    """While a message is on its way no transaction is open, and nobody else sends it."""
    seen: list[tuple[int, int]] = []

    class Slow(MemoryQueue):
        def send(self, topic: str, messages: Any) -> Any:
            locks = "SELECT count(*) FROM pg_locks JOIN pg_class c ON c.oid = relation WHERE c.relname = 'outbox'"
            seen.append((world.sql(locks)[0][0], world.aftermath.send()))
            return super().send(topic, messages)

    slow = replace(world, queue=Slow())
    slow.generate()

    assert seen == [(0, 0)]
    assert len(slow.queue.of("calls")) == 1


def test_one_queue_that_is_down_keeps_nothing_from_the_others(world: World) -> None:
    class CallsDown(MemoryQueue):
        def send(self, topic: str, messages: Any) -> Any:
            if topic == "calls":
                raise DependencyDown("The queue does not answer.")
            return super().send(topic, messages)

    job_id, attempt_id, _ = world.accepted()
    half = replace(world, queue=CallsDown())
    with world.records.transaction() as tx:
        job = tx.job(world.caller.account_id, job_id)
        assert job is not None
        for topic in ("calls", "store"):
            tx.announce(job, topic, {"jobId": str(job_id), "attemptId": str(attempt_id)})

    with pytest.raises(DependencyDown):
        half.aftermath.send(job_id)
    assert (len(half.queue.of("store")), half.queue.of("calls")) == (1, [])
    world.queue.sent.clear()
    assert world.aftermath.send(job_id) == 1
    assert len(world.queue.of("calls")) == 1


def test_the_sweep_sends_what_a_dead_queue_refused(world: World) -> None:
    world.queue.down = True
    with pytest.raises(IndexError):
        world.generate()
    world.queue.down = False
    _sweep(world)
    assert len(world.queue.of("calls")) >= 1


def test_what_a_function_may_not_send_is_left_to_the_sweep(world: World) -> None:
    """Such as a cancel the queue refused, when `status`, which has no queues, finds the job next."""
    world.queue.down = True
    with pytest.raises(IndexError):
        world.generate()
    world.queue.down, world.queue.topics = False, ()
    with world.records.transaction() as tx:
        (job,) = tx.jobs(world.caller.account_id, JobFilter())
    world.aftermath.of(job)
    assert world.sql("SELECT published_version = version FROM vsl.jobs WHERE id = %s", job.id) == [(True,)]
    world.queue.topics = ("calls", "store", "inspect", "compile")
    _sweep(world)
    assert [body["jobId"] for body in world.queue.of("calls")] == [str(job.id)]


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


def _cancel(world: World, job_id: UUID) -> str:
    _, charge = cancel_job(job_id, world.caller, records=world.records, clock=SystemClock(), aftermath=world.aftermath)
    return charge


def _sweep(world: World) -> None:
    Sweep(world.records, SystemClock(), world.aftermath, TURNS).run()


def test_how_long_a_job_still_takes_is_the_same_wherever_it_is_read(world: World) -> None:
    job_id, _, _ = world.accepted()
    world.sql("UPDATE vsl.jobs SET progress = 25, started_at = now() - interval '30 seconds' WHERE id = %s", job_id)
    views = [MemoryView(), MemoryView()]
    places = {"live": views[0], "cache": views[1]}
    reader = StatusReader(
        records=world.records,
        aftermath=world.aftermath,
        clock=world.clock,
        waiters=MemoryWaiters(most_of_account=1, most_of_stage=1),
        **places,
    )

    from_truth = reader.read(job_id, world.caller)
    views[0].put(from_truth)
    views[1].remove(job_id)
    from_live_view, from_cache = (reader.read(job_id, world.caller) for _ in range(2))

    now = datetime.fromisoformat(from_truth["startedAt"]) + timedelta(seconds=30)
    told = [present(view, world.media, now)["etaSeconds"] for view in (from_truth, from_live_view, from_cache)]
    assert told == [90, 90, 90]


def test_a_long_poll_asks_the_database_for_nothing_that_the_live_view_has(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its looks came to PostgreSQL while the cache was down or had forgotten the job."""
    job, job_id, _ = world.generate()
    live, clock = MemoryView(), MemoryClock(world.clock.now())
    live.put(snapshot(job))
    reader = StatusReader(
        records=world.records,
        aftermath=world.aftermath,
        clock=clock,
        live=live,
        cache=_NoCache(),
        waiters=MemoryWaiters(most_of_account=1, most_of_stage=1),
    )
    asked: list[str] = []
    monkeypatch.setattr(PostgresRecords, "transaction", lambda _self: asked.append("transaction"))

    view = reader.wait(job_id, world.caller, 25)

    assert (view["status"], asked) == ("pending", [])


class _NoCache(MemoryView):
    def get(self, job_id: UUID) -> None:
        return None
