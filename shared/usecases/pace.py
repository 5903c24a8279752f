"""Who may call a provider now: not faster than it allows, and no account before the others have had their share."""

from __future__ import annotations

import math
import random
from collections.abc import Set
from datetime import timedelta
from uuid import UUID

from shared.domain.errors import (
    IMAGE_MISSING,
    IMAGE_UNREADABLE,
    PROVIDER_ERROR,
    PROVIDER_THROTTLED,
    RateLimited,
)
from shared.domain.jobs import Attempt, AttemptState, Job
from shared.domain.messages import CallAccepted, CallRejected, CallUnresolved, Report
from shared.ports import Clock, Transaction

ANSWERS = (CallAccepted, CallRejected, CallUnresolved)
MOST_UNFINISHED_JOBS = 2000
MOST_RUNNING_CALLS = 100
SHARE_WINDOW = timedelta(seconds=10)
ASKING_SECONDS = 2
MOST_AHEAD = 3
FULL_WAIT_SECONDS = 5
FULL_RETRY_SECONDS = 30
LONGEST_WAIT_SECONDS = 600


def check_account(tx: Transaction, job: Job) -> None:
    """Raises RateLimited when the account has too much unfinished, the new job with it.

    Comes after the locks of jobs and budgets; until the end nobody else makes a job in the account.
    """
    tx.lock_account(job.account_id)
    most = tx.account_setting(job.account_id, "maxUnfinishedJobs") or MOST_UNFINISHED_JOBS
    if tx.unfinished_jobs(job.account_id) > most:
        raise RateLimited(
            f"This account has {most} unfinished jobs, the most it may have: wait for some to end.",
            retry_after_seconds=FULL_RETRY_SECONDS,
        )


def seconds_to_wait(tx: Transaction, job: Job, attempt: Attempt, *, clock: Clock) -> int:
    """0 when the attempt may be called, and then its token is taken; else when to ask again."""
    most = tx.account_setting(job.account_id, "maxRunningCalls") or MOST_RUNNING_CALLS
    if tx.running_calls(job.account_id) >= most:
        return _between(1, FULL_WAIT_SECONDS)
    now = clock.now()
    pace = tx.lock_pace(attempt.provider, now)
    others = tx.accounts_asking(attempt.provider, ASKING_SECONDS) - {job.account_id}
    wait_seconds = pace.wait_seconds(now)
    if wait_seconds == 0 and not _is_ahead(tx, job, attempt, others, clock=clock):
        tx.save_pace(pace.taken(now))
        return 0
    # All of this account's calls ask again: spread over the time that its part of the rate needs for them.
    own_rate = pace.rate_per_second / (len(others) + 1)
    return _between(wait_seconds, tx.written_calls(attempt.provider, job.account_id) / own_rate)


def learn(tx: Transaction, attempt: Attempt, report: Report, *, clock: Clock) -> None:
    """What the answer to a claimed call, or the want of one, says about its provider."""
    if attempt.state is not AttemptState.CLAIMED or not isinstance(report, ANSWERS):
        return
    now = clock.now()
    pace = tx.lock_pace(attempt.provider, now)
    if isinstance(report, CallAccepted):
        pace = pace.answered(now)
        if report.rateRemaining is not None and report.rateResetSeconds is not None:
            pace = pace.told(now, report.rateRemaining, report.rateResetSeconds)
        tx.save_pace(pace)
    elif isinstance(report, CallUnresolved):
        tx.save_pace(pace.failed(now))
    elif report.code in (PROVIDER_ERROR, IMAGE_UNREADABLE, IMAGE_MISSING):
        return  # learnt when the provider gave that answer; or it was never asked
    elif report.code == PROVIDER_THROTTLED:
        tx.save_pace(pace.throttled(now, report.retryAfterSeconds))
    else:
        tx.save_pace(pace.failed(now) if report.retryable else pace.answered(now))


def _is_ahead(tx: Transaction, job: Job, attempt: Attempt, others: Set[UUID], *, clock: Clock) -> bool:
    """Whether an account that asks as well has had less of late."""
    if not others:
        return False
    recent = tx.recent_claims(attempt.provider, clock.now() - SHARE_WINDOW)
    return recent.get(job.account_id, 0) >= min(recent.get(other, 0) for other in others) + MOST_AHEAD


def _between(least_seconds: float, most_seconds: float) -> int:
    least = min(max(least_seconds, 1.0), LONGEST_WAIT_SECONDS)
    return math.ceil(random.uniform(least, min(max(most_seconds, least), LONGEST_WAIT_SECONDS)))
