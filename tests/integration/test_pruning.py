"""Tables that only machines read are pruned, and nothing else is."""

from __future__ import annotations

import pytest

from shared.usecases.prune import BATCH, KEPT_FOR, prune
from tests.integration.inside import World, hook

AGE = "now() - interval '%s days'"
TABLES = {
    "outbox": ("vsl.outbox", "topic = 'calls'", "sent_at = now() - interval '{days} days'"),
    "events": ("vsl.outbox", "topic = 'events'", "sent_at = NULL, created_at = now() - interval '{days} days'"),
    "webhook_inbox": ("vsl.webhook_inbox", "true", "received_at = now() - interval '{days} days'"),
    "idempotency_keys": ("vsl.idempotency_keys", "true", "created_at = now() - interval '{days} days'"),
    "set_back_rows": ("vsl.set_back_rows", "true", "until = now() - interval '{days} days'"),
}


def _filled(world: World) -> None:
    """A row in each table, and none besides."""
    for table in ("outbox", "webhook_inbox", "idempotency_keys", "set_back_rows"):
        world.sql(f"DELETE FROM vsl.{table}")
    job_id, attempt_id, provider_id = world.accepted()
    world.settler.take(hook(job_id, attempt_id, provider_id))
    world.sql("DELETE FROM vsl.outbox WHERE topic <> 'calls'")
    world.sql(
        "INSERT INTO vsl.outbox (account_id, job_id, topic, body) VALUES (%s, %s, 'events', '{}')",
        world.caller.account_id,
        job_id,
    )
    with world.records.transaction() as tx:
        assert tx.take_key(world.caller.account_id, "r", "once", "hash")
        tx.set_back("row", 10)


@pytest.mark.parametrize("name", KEPT_FOR)
def test_rows_go_when_nothing_can_ask_for_them_any_more(world: World, name: str) -> None:
    _filled(world)
    table, these, aged = TABLES[name]
    days = KEPT_FOR[name].days
    for age, left in ((days - 1, 1), (days + 1, 0)):
        world.sql(f"UPDATE {table} SET {aged.format(days=age)} WHERE {these}")
        removed = prune(world.records, world.clock, 10)
        assert world.sql(f"SELECT count(*) FROM {table} WHERE {these}") == [(left,)]
    assert removed == {**dict.fromkeys(KEPT_FOR, 0), name: 1}


def test_many_rows_go_in_short_steps(world: World) -> None:
    _filled(world)
    world.sql(
        "INSERT INTO vsl.webhook_inbox (provider, webhook_id, provider_id, provider_status, received_at) "
        "SELECT 'replicate', 'old ' || n, 'x', 'x', now() - interval '40 days' FROM generate_series(1, %s) AS n",
        2 * BATCH + 1,
    )
    assert prune(world.records, world.clock, 30)["webhook_inbox"] == 2 * BATCH + 1


def test_unsent_events_are_in_no_index_that_the_sweep_walks(world: World) -> None:
    _filled(world)
    world.sql("SET enable_seqscan = off")
    statement = "EXPLAIN SELECT id FROM vsl.outbox WHERE sent_at IS NULL AND topic <> 'events' ORDER BY due_at, id"
    plan = " ".join(line for (line,) in world.sql(statement))
    world.sql("RESET enable_seqscan")
    ((condition,),) = world.sql("SELECT indexdef FROM pg_indexes WHERE indexname = 'outbox_due'")

    assert "outbox_due" in plan
    assert "topic <> 'events'" in condition
