"""What goes out after a commit, and which webhooks came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from operator import itemgetter
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.adapters.postgres.rows import Rows
from shared.domain.jobs import Job, JobRef
from shared.ports import Announcement

# Sending a batch takes less; after it the sweep sends again what was not noted as sent.
CLAIMED_SECONDS = 30

# By name, a technical table and which of its rows may go.
_OLD = {
    "outbox": ("vsl.outbox", "sent_at < now() - %(kept)s"),
    "events": ("vsl.outbox", "sent_at IS NULL AND topic = 'events' AND created_at < now() - %(kept)s"),
    "webhook_inbox": ("vsl.webhook_inbox", "received_at < now() - %(kept)s"),
    "set_back_rows": ("vsl.set_back_rows", "until < now() - %(kept)s"),
    "idempotency_keys": ("vsl.idempotency_keys", "created_at < now() - %(kept)s"),
}


class OutboxRows(Rows):
    """Statements on `vsl.outbox`, `vsl.webhook_inbox` and `vsl.storage_operations`."""

    def announce(self, job: JobRef, topic: str, body: Mapping[str, Any], delay_seconds: int = 0) -> None:
        self.run(
            "INSERT INTO vsl.outbox (account_id, job_id, topic, body, due_at) VALUES (%(account)s, %(job)s, "
            "%(topic)s, %(body)s, now() + make_interval(secs => %(delay)s))",
            {
                "account": job.account_id,
                "job": job.id,
                "topic": topic,
                "body": Jsonb(dict(body)),
                "delay": delay_seconds,
            },
        )

    def claim_unsent(self, job_id: UUID | None, topics: Sequence[str], limit: int) -> Sequence[Announcement]:
        rows = self.all(
            "UPDATE vsl.outbox o SET claimed_until = now() + make_interval(secs => %(claimed)s) FROM ("
            "SELECT id FROM vsl.outbox WHERE sent_at IS NULL AND topic <> 'events' AND topic = ANY(%(topics)s) "
            # The queue keeps the delay of what goes outside, up to its longest: the sweep's minute is too coarse.
            "AND (due_at <= now() OR topic IN ('calls', 'store', 'fetch') AND due_at <= now() + interval '900 s') "
            "AND (claimed_until IS NULL OR claimed_until < now()) AND (%(job)s::uuid IS NULL OR job_id = %(job)s) "
            "ORDER BY due_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS due WHERE o.id = due.id "
            "RETURNING o.id, topic, body, greatest(ceil(extract(epoch FROM due_at - now())), 0)::int AS delay_seconds",
            {"job": job_id, "topics": list(topics), "limit": limit, "claimed": CLAIMED_SECONDS},
        )
        return [Announcement(**row) for row in sorted(rows, key=itemgetter("id"))]

    def release_unsent(self, ids: Sequence[int]) -> None:
        self.run("UPDATE vsl.outbox SET claimed_until = NULL WHERE id = ANY(%(ids)s)", {"ids": list(ids)})

    def mark_sent(self, ids: Sequence[int]) -> None:
        self.run("UPDATE vsl.outbox SET sent_at = now() WHERE id = ANY(%(ids)s)", {"ids": list(ids)})

    def prune(self, table: str, kept_for: timedelta, limit: int) -> int:
        name, old = _OLD[table]
        return self.run(
            f"DELETE FROM {name} WHERE ctid = ANY(ARRAY("
            f"SELECT ctid FROM {name} WHERE {old} LIMIT %(limit)s FOR UPDATE SKIP LOCKED))",
            {"kept": kept_for, "limit": limit},
        )

    def record_webhook(
        self,
        provider: str,
        webhook_id: str,
        provider_id: str,
        provider_status: str,
        *,
        job_id: UUID | None,
        attempt_id: UUID | None,
        parked: bool,
    ) -> bool:
        written = self.run(
            "INSERT INTO vsl.webhook_inbox (provider, webhook_id, provider_id, provider_status, job_id, "
            "attempt_id, parked) VALUES (%(provider)s, %(webhook)s, %(id)s, %(status)s, %(job)s, %(attempt)s, "
            "%(parked)s) ON CONFLICT (provider, webhook_id) DO NOTHING",
            {
                "provider": provider,
                "webhook": webhook_id,
                "id": provider_id,
                "status": provider_status,
                "job": job_id,
                "attempt": attempt_id,
                "parked": parked,
            },
        )
        return written == 1

    def unpark(self, provider: str, provider_id: str) -> bool:
        touched = self.run(
            "UPDATE vsl.webhook_inbox SET parked = false "
            "WHERE provider = %(provider)s AND provider_id = %(id)s AND parked",
            {"provider": provider, "id": provider_id},
        )
        return touched > 0

    def log_storage(
        self, job: Job, operation: str, key: str, *, success: bool, size_bytes: int | None, duration_ms: int
    ) -> None:
        self.run(
            "INSERT INTO vsl.storage_operations (account_id, job_id, operation, bucket, key, success, "
            "size_bytes, duration_ms) VALUES (%(account)s, %(job)s, %(operation)s, %(bucket)s, %(key)s, "
            "%(success)s, %(size)s, %(duration)s)",
            {
                "account": job.account_id,
                "job": job.id,
                "operation": operation,
                "bucket": job.s3_bucket or "",
                "key": key,
                "success": success,
                "size": size_bytes,
                "duration": duration_ms,
            },
        )
