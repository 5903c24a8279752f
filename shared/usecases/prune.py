"""Removes rows that only machines read, once nothing can ask for them any more."""

from __future__ import annotations

from datetime import timedelta

from shared.ports import Clock, Records

BATCH = 2000
# By table, how long its rows are kept. A webhook's id is known for longer than its provider sends it again, and an
# event for longer than its receiver may be down.
KEPT_FOR = {
    "outbox": timedelta(days=7),
    "events": timedelta(days=30),
    "webhook_inbox": timedelta(days=30),
    "idempotency_keys": timedelta(days=7),
    "set_back_rows": timedelta(days=1),
}


def prune(records: Records, clock: Clock, seconds: float) -> dict[str, int]:
    """How many rows were removed, by table; what is left when the time is over is left to the next call."""
    until = clock.monotonic_seconds() + seconds
    return {table: _prune(table, records, clock, until) for table in KEPT_FOR}


def _prune(table: str, records: Records, clock: Clock, until: float) -> int:
    removed = 0
    while clock.monotonic_seconds() < until:
        with records.transaction() as tx:
            removed += (last := tx.prune(table, KEPT_FOR[table], BATCH))
        if last < BATCH:
            break
    return removed
