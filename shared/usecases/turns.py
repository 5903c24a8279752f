"""Whose job is next in the queues of long work: an account has a share of their workers, and the rest in its turn.

A job that is claimed while its account's share is at work waits in its row, without a message. Each job that ends
calls the account's next one, and the minute sweep calls those whose caller was killed.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from shared.domain.jobs import Job, JobRef, Lane, lane_of
from shared.domain.messages import JobMessage, body_of
from shared.ports import Transaction


@dataclass(frozen=True, slots=True)
class Turns:
    """One queue and how many of its workers one account may have at once."""

    lane: Lane
    share: int

    def claim(self, tx: Transaction, job_id: UUID, owner: str, lease_seconds: int) -> Job | None:
        """The job, leased; None when it has ended, another worker has it, or it waits for its turn from now on."""
        job = tx.lock_job(job_id)
        if job is None or job.status.finished:
            return None
        tx.lock_turns(job.account_id, self.lane)
        if tx.at_work(job.account_id, self.lane) < self.share:
            return tx.take_lease(job_id, owner, lease_seconds)
        if job.lease_owner is None:
            tx.wait_for_turn(job, self.lane)
        return None

    def fill(self, tx: Transaction, account_id: UUID) -> int:
        """Calls as many of the account's waiting jobs as it has workers free; how many."""
        tx.lock_turns(account_id, self.lane)
        free = max(self.share - tx.at_work(account_id, self.lane), 0)
        called = tx.next_in_turn(account_id, self.lane, free)
        for job in called:
            announce_work(tx, job, self.lane)
        return len(called)


def call_next(tx: Transaction, ended: Job) -> None:
    """A job has ended: the account's next one in its lane is called."""
    lane = lane_of(ended.kind)
    tx.lock_turns(ended.account_id, lane)
    for job in tx.next_in_turn(ended.account_id, lane, 1):
        # Among the announcements of the job that ended, with which it is sent.
        tx.announce(ended, lane, body_of(JobMessage(str(job.id))))


def announce_work(tx: Transaction, job: JobRef, lane: Lane) -> None:
    """A worker of the lane is to take the job."""
    tx.announce(job, lane, body_of(JobMessage(str(job.id))))
