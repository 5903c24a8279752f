"""Work that raises gives up what it holds: its message comes again within seconds and finds the work free.

Without that it would be taken for another worker's, and the message for a second delivery that nobody needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from shared.domain.errors import DependencyDown, ProductError
from shared.domain.jobs import JobRef
from shared.domain.messages import HIDDEN_AT_MOST_SECONDS
from shared.ports import Inside, Records, Transaction

# The sweep leaves a job to the message that comes again, as long as it may take to come.
LEFT_TO_ITS_MESSAGE_SECONDS = HIDDEN_AT_MOST_SECONDS + 60
BROKEN_OFF = "job.broken_off"


@contextmanager
def lease_given_up(records: Records, job_id: UUID, owner: str, check_in_seconds: int) -> Iterator[None]:
    """For the block, which may take a lease on the job. What cannot be given up runs out, and the sweep finds it."""
    try:
        yield
    except Exception as error:
        with suppress(DependencyDown), records.transaction() as tx:
            give_up_lease(tx, job_id, owner, reason_of(error), check_in_seconds)
        raise


@contextmanager
def claim_given_up(inside: Inside, claim: Mapping[str, Any]) -> Iterator[None]:
    """The same outside, where the inside is asked to: `claim` says whose, and which `action` gives it up."""
    try:
        yield
    except Exception as error:
        with suppress(DependencyDown):
            inside.ask({**claim, "reason": reason_of(error)})
        raise


def give_up_lease(tx: Transaction, job_id: UUID, owner: str, reason: str, check_in_seconds: int) -> bool:
    """False, and nothing is changed, where the owner has lost it meanwhile."""
    job = tx.give_up_lease(job_id, owner, check_in_seconds)
    if job is not None:
        note_broken_off(tx, job, reason)
    return job is not None


def note_broken_off(tx: Transaction, job: JobRef, reason: str) -> None:
    """In the job's history."""
    tx.add_event(job, BROKEN_OFF, {"reason": reason})


def reason_of(error: Exception) -> str:
    """A code: what an exception says may hold what its reader is not to see."""
    return error.code if isinstance(error, ProductError) else "internal"


def why_broken_off(tx: Transaction, account_id: UUID, job_id: UUID) -> str | None:
    """The sentence about its workers for the caller of a late job; None where none broke off."""
    reasons = [event["details"]["reason"] for event in tx.events(account_id, job_id) if event["name"] == BROKEN_OFF]
    if not reasons:
        return None
    return (
        f"The work was broken off before its end {len(reasons)} times, at last by {reasons[-1]}, until the job's "
        "deadline had come: that is our failure. POST /jobs/{jobId}/retry."
    )
