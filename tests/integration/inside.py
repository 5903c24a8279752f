"""The inside with a PostgreSQL of its own, driven without a stack: for tests of a job's life."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from shared.adapters.clock import SystemClock
from shared.adapters.postgres.connection import PostgresRecords
from shared.domain.catalog import parse_catalog
from shared.domain.jobs import Caller, Job
from shared.domain.messages import (
    CallAccepted,
    MediaStored,
    StoredOutput,
    WebhookReceived,
)
from shared.ports import Clock, LiveView
from shared.usecases.aftermath import Aftermath
from shared.usecases.generate_media import GenerateRequest, generate_media
from shared.usecases.settle import Settler
from shared.usecases.turns import Turns
from tests.databases import as_app
from tests.kept_connection import KeptConnection
from tests.memory import MemoryQueue, MemorySchemas, MemoryView
from tests.memory_media import MemoryMedia

CATALOG = parse_catalog(json.loads((Path(__file__).parents[2] / "config" / "models.json").read_text()))
COMPILES, INSPECTIONS = Turns("compile", 2), Turns("inspect", 5)
TURNS = (COMPILES, INSPECTIONS)
REQUEST = GenerateRequest("user", "video", "seedance-1-lite", {"prompt": "A test", "duration": 3})


@dataclass
class World:
    """The inside with its real truth and stores in memory. `master_url` is the database's, with every right."""

    master_url: str
    records: PostgresRecords
    queue: MemoryQueue
    caller: Caller
    media: MemoryMedia = field(default_factory=MemoryMedia)
    clock: Clock = field(default_factory=SystemClock)
    live: LiveView = field(default_factory=MemoryView)

    @property
    def url(self) -> str:
        """By which the product's code logs in."""
        return as_app(self.master_url)

    @cached_property
    def _database(self) -> KeptConnection:
        return KeptConnection(self.master_url)

    @property
    def aftermath(self) -> Aftermath:
        return Aftermath(records=self.records, queue=self.queue, live=self.live, cache=MemoryView())

    @property
    def settler(self) -> Settler:
        return Settler(self.records, self.clock, self.aftermath, lease_seconds=60)

    @contextmanager
    def elsewhere(self) -> Iterator[World]:
        """The same account on a connection of its own, as another execution environment has."""
        other = replace(self, records=PostgresRecords(self.url), queue=MemoryQueue())
        try:
            yield other
        finally:
            other.records.close()

    def generate(self, request: GenerateRequest = REQUEST) -> tuple[Job, UUID, UUID]:
        """A job, its id and its first attempt's."""
        job = generate_media(
            request,
            self.caller,
            records=self.records,
            catalog=CATALOG,
            schemas=MemorySchemas(),
            media=self.media,
            clock=self.clock,
            aftermath=self.aftermath,
        )
        return job, job.id, UUID(self.queue.of("calls")[-1]["attemptId"])

    def sql(self, statement: str, *values: Any) -> list[Any]:
        cursor = self._database.living().execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    def status(self, job_id: UUID) -> str:
        return str(self.sql("SELECT status FROM vsl.jobs WHERE id = %s", job_id)[0][0])

    def ledger(self, job_id: UUID) -> list[float]:
        rows = self.sql("SELECT amount_usd FROM vsl.cost_ledger WHERE entry = 'actual' AND job_id = %s", job_id)
        return [float(amount) for (amount,) in rows]

    def events(self, job_id: UUID) -> list[tuple[str, Any]]:
        """The job's history: names and details."""
        return self.sql("SELECT name, details FROM vsl.job_events WHERE job_id = %s ORDER BY id", job_id)

    def accepted(self) -> tuple[UUID, UUID, str]:
        """A job whose call the provider took."""
        _, job_id, attempt_id = self.generate()
        self.settler.claim_call(job_id, attempt_id)
        provider_id = uuid4().hex[:26]
        self.settler.take(CallAccepted(str(job_id), str(attempt_id), provider_id, "starting"))
        return job_id, attempt_id, provider_id


def stored(job_id: UUID, attempt_id: UUID, provider_id: str) -> MediaStored:
    output = StoredOutput(f"incoming/{job_id}/1/0", 10, "0" * 64, "video/mp4")
    return MediaStored(str(job_id), str(attempt_id), provider_id, (output,), None, 3.0)


def hook(job_id: UUID, attempt_id: UUID, provider_id: str, status: str = "succeeded") -> WebhookReceived:
    return WebhookReceived("replicate", uuid4().hex, provider_id, status, str(job_id), str(attempt_id))
