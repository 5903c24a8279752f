"""One request, one job: what an Idempotency-Key has made before is found again, and only by the same body."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from shared.domain.errors import Conflict
from shared.domain.jobs import Job
from shared.ports import Transaction


def hash_of(request: Mapping[str, Any], retry_of: UUID | None = None) -> str:
    """SHA-256 of a request's canonical JSON; of a retry, with the job it repeats."""
    asked = request if retry_of is None else {**request, "retryOf": retry_of}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def earlier_job(tx: Transaction, account_id: UUID, route: str, key: str | None, request_hash: str) -> Job | None:
    """The job of an earlier call under the same key. Raises Conflict when that had another body."""
    earlier = tx.job_by_key(account_id, route, key) if key is not None else None
    if earlier is not None:
        refuse_other_body(earlier.request_hash, request_hash)
    return earlier


def refuse_other_body(earlier_hash: str, request_hash: str) -> None:
    """Raises Conflict when a key that was used before comes with another body."""
    if earlier_hash != request_hash:
        raise Conflict(
            "This Idempotency-Key was used for another body: send a new key for a new request.",
            code="idempotency_conflict",
        )
