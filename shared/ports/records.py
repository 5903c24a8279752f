"""The truth: one transaction over jobs, attempts, outbox, money, scripts and accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from shared.domain.budgets import FullestBudget
from shared.domain.jobs import (
    Attempt,
    AttemptState,
    Job,
    JobFilter,
    JobRef,
    JobStatus,
    KeptKey,
    Lane,
    LeanJob,
)
from shared.domain.pace import Pace
from shared.domain.uploads import Upload
from shared.ports.erasures import Erasures
from shared.ports.fetches import Fetches
from shared.ports.scripts import Scripts
from shared.ports.tending import Tending


@dataclass(frozen=True, slots=True)
class Announcement:
    """An outbox row: `body` goes to the queue named `topic`, to be delivered so much later."""

    id: int
    topic: str
    body: Mapping[str, Any]
    delay_seconds: int


class Transaction(Erasures, Fetches, Scripts, Tending, Protocol):
    """One transaction over the truth. All of it is committed or none. Raises DependencyDown."""

    # jobs
    def insert_job(self, job: Job) -> Job | None:
        """Writes the job; None when its idempotency key is taken in this account and route."""

    def job_by_key(self, account_id: UUID, route: str, key: str) -> Job | None:
        """The job that took this idempotency key."""

    def take_key(self, account_id: UUID, route: str, key: str, request_hash: str) -> bool:
        """Takes an idempotency key for a call that makes no job; False when an earlier call has it."""

    def set_made(self, account_id: UUID, route: str, key: str, made: str) -> None:
        """Names the row that was made under a key that was taken."""

    def kept_key(self, account_id: UUID, route: str, key: str) -> KeptKey | None:
        """What was made under a key that was taken."""

    def prune(self, table: str, kept_for: timedelta, limit: int) -> int:
        """Removes rows of a technical table that are older, so many at most; how many."""

    def job(self, account_id: UUID, job_id: UUID) -> Job | None:
        """The account's job."""

    def decoded_of(self, account_id: UUID, job_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any] | None]:
        """The decoded facts of the clips that these jobs of the account made."""

    def compile_runs(self, strategy: str, limit: int) -> Sequence[tuple[float, float]]:
        """Seconds reckoned and seconds taken of the stage's last compiles, newest first."""

    def lock_job(self, job_id: UUID, *, wait: bool = True) -> Job | None:
        """The job of any account, locked until the end; for workers, never for callers. Without waiting, None also
        when another transaction has it.
        """

    def jobs(self, account_id: UUID, narrow: JobFilter) -> Sequence[Job]:
        """A page of the account's jobs, newest first."""

    def move_job(self, job: Job, to: JobStatus, **changes: Any) -> Job | None:
        """Moves a job where that is legal and its version unchanged; None when it is not."""

    def touch_job(self, job: Job, **changes: Any) -> Job | None:
        """Changes columns of an unfinished job without moving it; None when it is finished."""

    def add_cost(self, job: Job, amount_usd: Decimal) -> Job:
        """Adds what a call has cost to a locked job, finished or not; the row as it is then."""

    def take_lease(self, job_id: UUID, owner: str, seconds: int) -> Job | None:
        """Leases an unfinished job by the database's clock; None while another owner holds it."""

    def renew_lease(self, job_id: UUID, owner: str, seconds: int) -> bool:
        """Prolongs the owner's lease; False when it was lost or the job has finished."""

    def give_up_lease(self, job_id: UUID, owner: str, check_in_seconds: int) -> Job | None:
        """Frees an unfinished job that the owner holds, for the sweep after so many seconds; None of any other."""

    def add_event(self, job: JobRef, name: str, details: Mapping[str, Any] | None = None) -> None:
        """Adds to the job's history."""

    def events(self, account_id: UUID, job_id: UUID) -> Sequence[Mapping[str, Any]]:
        """The job's history, oldest first."""

    # attempts
    def insert_attempt(self, attempt: Attempt) -> None:
        """Writes an attempt before its call."""

    def lock_attempt(self, attempt_id: UUID) -> Attempt | None:
        """The attempt, locked until the end."""

    def attempts(self, job_id: UUID) -> Sequence[Attempt]:
        """The job's attempts, first to last."""

    def attempt_by_provider_id(self, provider: str, provider_id: str) -> Attempt | None:
        """The attempt that made this prediction."""

    def change_attempt(self, attempt: Attempt, to: AttemptState, **changes: Any) -> None:
        """Sets an attempt's state and columns."""

    # outbox and inbox
    def announce(self, job: JobRef, topic: str, body: Mapping[str, Any], delay_seconds: int = 0) -> None:
        """Writes an outbox row: it goes out after the commit, or with the sweep."""

    def claim_unsent(self, job_id: UUID | None, topics: Sequence[str], limit: int) -> Sequence[Announcement]:
        """Rows of these topics that are due and unsent, of one job or of all, oldest first. For half a minute they
        are the caller's to send: nobody else is given them, and no transaction need stay open for it.
        """

    def release_unsent(self, ids: Sequence[int]) -> None:
        """Claimed rows that could not be sent are anybody's to send again."""

    def mark_sent(self, ids: Sequence[int]) -> None:
        """The rows have been handed to their queues."""

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
        """Notes a delivery; False when this webhook id was recorded before."""

    def unpark(self, provider: str, provider_id: str) -> bool:
        """True when a terminal webhook of this prediction was parked; it no longer is."""

    # money
    def reserve(self, job: Job, amount_usd: Decimal) -> None:
        """Reserves against the budgets of the job's account and user. Raises OverBudget; nothing is written then."""

    def settle_cost(self, job: Job, attempt: Attempt | None, actual_usd: Decimal) -> None:
        """Turns a reservation into what was spent, once an attempt."""

    def add_estimate(self, job: Job, attempt: Attempt | None, amount_usd: Decimal) -> None:
        """Ledger entry of what was expected."""

    def usage(self, account_id: UUID, start: datetime, end: datetime, group_by: str) -> Sequence[Mapping[str, Any]]:
        """Of the ledger from `start` to before `end`, by day, model, user or kind: key, jobs, estimated_usd,
        actual_usd."""

    def budgets(self, account_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Rows of user_id ('' for the account), period, limit_usd, reserved_usd, spent_usd."""

    def set_budget(self, account_id: UUID, user_id: str, periods: Sequence[str], limit_usd: Decimal | None) -> None:
        """Sets the limit of these periods, making rows that are missing."""

    # pace
    def lock_pace(self, provider: str, now: datetime) -> Pace:
        """The provider's pace, locked; a fresh one at its first call."""

    def save_pace(self, pace: Pace) -> None:
        """Writes a locked pace back."""

    def written_calls(self, provider: str, account_id: UUID) -> int:
        """How many attempts of an account wait to be claimed."""

    def accounts_asking(self, provider: str, within_seconds: int) -> Set[UUID]:
        """Accounts with an attempt that waits and whose message comes so soon, or is on its way."""

    def recent_claims(self, provider: str, since: datetime) -> Mapping[UUID, int]:
        """How many calls of each account were claimed since then."""

    def running_calls(self, account_id: UUID) -> int:
        """How many calls of an account are claimed or accepted and not finished."""

    def unfinished_jobs(self, account_id: UUID) -> int:
        """How many jobs of an account have not ended."""

    def account_setting(self, account_id: UUID, name: str) -> int | None:
        """A number the operator has set for the account, else None."""

    # uploads
    def insert_upload(self, upload: Upload) -> bool:
        """Writes forms that are given out; False when their idempotency key is taken in this account."""

    def open_uploads(self, account_id: UUID, now: datetime) -> tuple[int, int, datetime | None]:
        """How many files and bytes the account's forms that are still good take, and when the first of them expires."""

    def upload_by_key(self, account_id: UUID, key: str) -> Upload | None:
        """The forms that took this idempotency key."""

    # accounts
    def insert_account(self, account_id: UUID, name: str, usage_plan_key: str, usage_plan_key_id: str) -> None:
        """Makes an account. Raises Conflict when the name is taken."""

    def insert_key(self, key_id: UUID, account_id: UUID, key_hash: str, scopes: Sequence[str]) -> None:
        """Makes a key. Raises NotFound without such an account."""

    def revoke_key(self, key_id: UUID) -> bool:
        """Revokes; False when there is no such key. Again is the same."""

    def keys(self, account_id: UUID | None = None) -> Sequence[Mapping[str, Any]]:
        """Keys with their account's usage plan key, oldest first."""

    def accounts(self) -> Sequence[Mapping[str, Any]]:
        """All accounts, oldest first."""

    # turns
    def lock_account(self, account_id: UUID) -> None:
        """Until the end nobody else makes a job or gives out a form in the account; after the locks of jobs and
        budgets."""

    def lock_turns(self, account_id: UUID, lane: Lane) -> None:
        """Until the end nobody else takes or leaves a turn of the account; after the locks of jobs and budgets."""

    def at_work(self, account_id: UUID, lane: Lane) -> int:
        """How many jobs of the account a worker of this lane has under a live lease."""

    def wait_for_turn(self, job: JobRef, lane: Lane) -> None:
        """The job waits in its row, without a message, until `next_in_turn`."""

    def next_in_turn(self, account_id: UUID, lane: Lane, limit: int) -> Sequence[LeanJob]:
        """The account's jobs that have waited longest, those whose media were paid for first; they wait no more."""

    def accounts_waiting(self, lane: Lane) -> Sequence[UUID]:
        """Accounts with jobs that wait for their turn."""

    # sweeps
    def savepoint(self) -> AbstractContextManager[None]:
        """A savepoint: an error undoes the statements inside it and no others."""

    def due_jobs(self, limit: int) -> Sequence[UUID]:
        """Unfinished jobs whose lease has expired, or whose message may be lost."""

    def lock_due_job(self, job_id: UUID) -> LeanJob | None:
        """One of them, locked; None when it is not due any more, or another sweep holds it."""

    def requeue(self, job_id: UUID) -> None:
        """Takes the lease away; the sweep looks again, each time twice as late."""

    def overdue(self, limit: int) -> Sequence[UUID]:
        """Unfinished jobs past their deadline."""

    def lock_overdue(self, job_id: UUID) -> Job | None:
        """One of them, locked; None when it is no more, or another sweep holds it."""

    def oldest_overdue_seconds(self) -> float:
        """For how long the unfinished job that is the longest past its deadline is so; 0 when there is none."""

    def fullest_budget(self, at: datetime) -> FullestBudget | None:
        """The share of whole accounts, for all time or the month of `at`; None while no account has a limit over 0."""

    def set_back(self, row_id: str, seconds: int) -> None:
        """The sweep finds the row no more for so long; nothing of the row itself is changed."""

    def attempts_to_check(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        """Jobs and their attempts whose next check is due."""

    def due_fetches(self, limit: int) -> Sequence[tuple[UUID, int]]:
        """Jobs and the numbers of their fetches that the sweep should ask for, longest due first."""

    def unpublished(self, limit: int) -> Sequence[UUID]:
        """Jobs whose live view is behind by more than a few seconds."""

    def job_of_any_account(self, job_id: UUID) -> Job | None:
        """The job, unlocked; for workers, never for callers."""

    def mark_published(self, job_id: UUID, version: int) -> None:
        """The live view holds this version."""

    def jobs_to_show(self, after: UUID | None, limit: int) -> Sequence[Job]:
        """Jobs of all accounts that are unfinished or ended within a week, by id, behind the given one."""

    def jobs_by_id(self, job_ids: Sequence[UUID]) -> Sequence[Job]:
        """These jobs of any account, in no order."""

    def named_keys(self, keys: Sequence[str]) -> Set[str]:
        """Those of the keys that a storage operation or a job names."""

    def unfinished(self, job_ids: Sequence[UUID]) -> Set[UUID]:
        """Those of the jobs that have not ended."""

    def ended_in_vain(self, job_ids: Sequence[UUID]) -> Set[UUID]:
        """Those of the jobs that failed, were cancelled or ran out of time."""

    def log_removals(self, bucket: str, keys: Sequence[str]) -> None:
        """Notes that orphans were removed, with the job and account that their keys tell of."""

    def sweep_position(self, sweep: str) -> str:
        """How far a sweep has come; '' at the start."""

    def set_sweep_position(self, sweep: str, position: str) -> None:
        """Keeps how far a sweep has come."""

    def log_storage(
        self, job: Job, operation: str, key: str, *, success: bool, size_bytes: int | None, duration_ms: int
    ) -> None:
        """Notes an operation on S3."""


class Records(Protocol):
    """The truth."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Opens a transaction; commits when left without an error. Raises DependencyDown."""

    def slot(self, account_id: UUID, name: str, most: int) -> AbstractContextManager[bool]:
        """Whether the account had fewer than so many slots of this name taken; while open, one more is.

        A slot goes with the process that took it. Raises DependencyDown.
        """

    def ping(self) -> None:
        """Raises DependencyDown when the truth does not answer."""
