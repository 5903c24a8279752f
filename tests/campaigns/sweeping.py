"""The minute sweep over 10,000 jobs, one of them poisoned: its memory, its time, and what it left undone.

`python -m tests.campaigns.sweeping URL` runs one sweep in a process of its own, so that the memory is its own.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from tests.databases import as_app
from tests.memory import MemoryQueue, MemoryView

ROOT = Path(__file__).resolve().parents[2]
MOST_MB, MOST_SECONDS = 200, 60
LARGE_ROWS, LARGE_BYTES = 200, 200_000
# What is due, and the statements that raise for the poisoned row.
KINDS = {
    "requeued": ("check_at = now() - interval '1 s'", ("UPDATE ON vsl.jobs", "INSERT ON vsl.outbox")),
    "overdue": ("deadline_at = now() - interval '1 s'", ("UPDATE ON vsl.jobs", "INSERT ON vsl.job_events")),
    "unpublished": (
        "published_version = 0, updated_at = now() - interval '1 minute', check_at = now() + interval '1 hour'",
        ("UPDATE ON vsl.jobs",),
    ),
}


def run(url: str, seed: int, jobs: int) -> tuple[int, int, str]:
    """Jobs, violations, and the figure: memory and time of the worst sweep."""
    dice = random.Random(seed)
    kind = list(KINDS)[seed % len(KINDS)]
    due, statements = KINDS[kind]
    with psycopg.connect(url, autocommit=True) as database:
        _clear(database)
        ids = _written(database, jobs, due)
        _poison(database, dice.choice(ids), dice.choice(statements))
        found = [_sweep(url)]
        while found[-1]["found"][kind] and sum(one["found"][kind] for one in found) < jobs:
            found.append(_sweep(url))
        _clear(database)
    violations = _violations(kind, jobs, found)
    worst_mb, worst_seconds = (max(one[name] for one in found) for name in ("memoryMb", "seconds"))
    figure = f"{worst_mb:.0f} MB, {worst_seconds:.0f} s a sweep, {len(found)} sweeps, one {kind} row poisoned"
    return jobs, violations, figure


def _violations(kind: str, jobs: int, found: list[dict[str, Any]]) -> int:
    """Sweeps over their limits, rows that were not handled, and a poisoned one that was not counted."""
    over = sum(one["memoryMb"] > MOST_MB or one["seconds"] > MOST_SECONDS for one in found)
    left = jobs - sum(one["found"][kind] for one in found)
    failed = sum(one["found"]["failed"] for one in found)
    for message in (["over the limits", over], ["not handled", max(left, 0)], ["failures", failed]):
        print(kind, *message, file=sys.stderr)
    return over + max(left, 0) + (failed != 1)


def _written(database: psycopg.Connection[Any], jobs: int, due: str) -> list[UUID]:
    """Films of one account that wait; some have rows as large as the database takes."""
    account = uuid4()
    database.execute(
        "INSERT INTO vsl.accounts (id, name, usage_plan_key) VALUES (%s, %s, %s)", (account, str(account), str(account))
    )
    rows = database.execute(
        "INSERT INTO vsl.jobs (id, account_id, user_id, kind, route, request_hash, request, output_format, deadline_at,"
        " published_version) SELECT gen_random_uuid(), %s, 'user', 'compile', 'r', '', "
        "CASE WHEN n <= %s THEN jsonb_build_object('x', repeat('x', %s)) ELSE '{}' END, 'mp4', "
        "now() + interval '30 minutes', 1 FROM generate_series(1, %s) AS n RETURNING id",
        (account, LARGE_ROWS, LARGE_BYTES, jobs),
    ).fetchall()
    database.execute(f"UPDATE vsl.jobs SET {due} WHERE account_id = %s", (account,))  # type: ignore[arg-type]
    return [job_id for (job_id,) in rows]


def _poison(database: psycopg.Connection[Any], job_id: UUID, statement: str) -> None:
    """From now on this statement raises for this job."""
    column = "id" if statement.endswith("vsl.jobs") else "job_id"
    database.execute(
        "CREATE OR REPLACE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'poisoned row'; END $$"
    )
    database.execute(
        f"CREATE TRIGGER poison BEFORE {statement} FOR EACH ROW WHEN (NEW.{column} = '{job_id}') "  # type: ignore[arg-type]
        "EXECUTE FUNCTION poison()"
    )


def _clear(database: psycopg.Connection[Any]) -> None:
    for table in ("jobs", "outbox", "job_events"):
        database.execute(f"DROP TRIGGER IF EXISTS poison ON vsl.{table}")  # type: ignore[arg-type]
    database.execute("DELETE FROM vsl.set_back_rows")
    database.execute("DELETE FROM vsl.outbox")
    database.execute("DELETE FROM vsl.jobs")


def _sweep(url: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaigns.sweeping", url], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(url: str) -> None:
    """One sweep as the function runs it, on queues and views in memory; its figures as JSON."""
    from shared.adapters.postgres.connection import PostgresRecords
    from shared.usecases.aftermath import Aftermath
    from shared.usecases.reconcile import Sweep
    from shared.usecases.turns import Turns

    records = PostgresRecords(as_app(url))
    aftermath = Aftermath(records=records, queue=MemoryQueue(), live=MemoryView(), cache=MemoryView())
    began = time.monotonic()
    found = Sweep(records, records.clock, aftermath, [Turns("compile", 2), Turns("inspect", 5)]).run()
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"found": found, "memoryMb": memory_mb, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main(sys.argv[1])
