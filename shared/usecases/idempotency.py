"""One request, one effect: what an Idempotency-Key has made before is found again, and only by the same body.

A key belongs to an account and a route. Jobs and forms keep it in their own rows; what else a call makes is found by
a row of `vsl.idempotency_keys`. A repeat is looked up before anything is checked against the world of now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.domain.errors import Conflict
from shared.domain.jobs import Caller, Job
from shared.ports import Records, Transaction


@dataclass(frozen=True, slots=True)
class Once:
    """A request that is to have one effect; without a key each one is the first."""

    route: str
    key: str | None
    request_hash: str


def hash_of(request: Mapping[str, Any], retry_of: UUID | None = None) -> str:
    """SHA-256 of a request's canonical JSON; of a retry, with the job it repeats."""
    asked = request if retry_of is None else {**request, "retryOf": retry_of}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def earlier_job(tx: Transaction, account_id: UUID, route: str, key: str | None, request_hash: str) -> Job | None:
    """The job of an earlier call under the same key. Raises Conflict when that had another body."""
    if key is None:
        return None
    earlier, kept = tx.job_by_key(account_id, route, key), tx.kept_key(account_id, route, key)
    if kept is not None:
        refuse_other_body(kept.request_hash, request_hash)
    if earlier is not None:
        refuse_other_body(earlier.request_hash, request_hash)
    return earlier


def is_repeated(tx: Transaction, caller: Caller, once: Once) -> tuple[bool, str | None]:
    """Whether an earlier call had this key, and what it made; the key is taken otherwise. Raises Conflict."""
    if once.key is None or tx.take_key(caller.account_id, once.route, once.key, once.request_hash):
        return False, None
    kept = tx.kept_key(caller.account_id, once.route, once.key)
    assert kept is not None
    refuse_other_body(kept.request_hash, once.request_hash)
    return True, kept.made


def refuse_used_key(once: Once, caller: Caller, *, records: Records) -> None:
    """Raises Conflict when an earlier call had this key and another body. Takes nothing."""
    with records.transaction() as tx:
        earlier_job(tx, caller.account_id, once.route, once.key, once.request_hash)


def keep_key(once: Once, caller: Caller, *, records: Records) -> None:
    """Takes the key of a call that made nothing and will be answered anew. Raises Conflict as `is_repeated`."""
    with records.transaction() as tx:
        is_repeated(tx, caller, once)


def set_made(tx: Transaction, caller: Caller, once: Once, made: object) -> None:
    """Keeps the id of what the first call under the key made."""
    if once.key is not None:
        tx.set_made(caller.account_id, once.route, once.key, str(made))


def refuse_other_body(earlier_hash: str, request_hash: str) -> None:
    """Raises Conflict when a key that was used before comes with another body."""
    if earlier_hash != request_hash:
        raise Conflict(
            "This Idempotency-Key was used for another body: send a new key for a new request.",
            code="idempotency_conflict",
        )
