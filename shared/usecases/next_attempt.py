"""What follows a call that made nothing: the same again for a while, then the fallback model, then the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from shared.domain.errors import IMAGE_UNREADABLE, MODEL_UNAVAILABLE, PROVIDER_THROTTLED, OverBudget
from shared.domain.jobs import Attempt, Job
from shared.domain.messages import ProviderCall, body_of
from shared.ports import Clock, Transaction
from shared.usecases.ending import fail_job
from shared.usecases.generate_media import new_attempt

MOST_RETRIES = 3
# Of a 429 that does not say how long to wait; the claim has the last word.
THROTTLED_SECONDS = 10
# No failures of the job: it waits until its deadline.
UNCOUNTED = (PROVIDER_THROTTLED, IMAGE_UNREADABLE)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call made nothing. `retryable` when the same call may succeed later."""

    code: str
    message: str
    retryable: bool
    retry_after_seconds: int = 0


def after_failure(tx: Transaction, job: Job, attempt: Attempt, failure: Failure, *, clock: Clock) -> Job | None:
    """The running job with its next attempt, or the failed job. The failed attempt is closed already."""
    plan = _next_plan(job, failure)
    if plan is None:
        return fail_job(tx, job, failure.code, failure.message, clock=clock)
    again = new_attempt(job, attempt.number + 1, plan)
    try:
        tx.reserve(job, again.reserved_usd)
    except OverBudget as error:
        return fail_job(tx, job, error.code, error.sentence, clock=clock)
    tx.insert_attempt(again)
    # A call that was throttled or never made costs nothing, no try either: it neither counts nor lengthens the waits
    # between tries.
    throttled = failure.code in UNCOUNTED
    delay_seconds = failure.retry_after_seconds or (THROTTLED_SECONDS if throttled else 2 ** (job.retry_count + 1))
    tx.announce(job, "calls", body_of(ProviderCall(str(job.id), str(again.id), provider=again.provider)), delay_seconds)
    # Whoever found the failure holds the lease; the next attempt's media are for somebody else to fetch.
    free: dict[str, Any] = {"lease_owner": None, "lease_until": None}
    if plan["modelId"] == job.model_id:
        tx.add_event(job, "call.retried", {"code": failure.code, "delaySeconds": delay_seconds})
        return tx.touch_job(job, retry_count=job.retry_count + (not throttled), **free)
    tx.add_event(job, "call.fell_back", {"code": failure.code, "from": job.model_id, "to": plan["modelId"]})
    patience = timedelta(seconds=plan["patienceSeconds"])
    return tx.touch_job(
        job,
        model_id=plan["modelId"],
        retry_count=0,
        deadline_at=max(job.deadline_at, clock.now() + patience),
        estimated_seconds=Decimal(str(plan["estimatedSeconds"])),
        estimated_cost_usd=again.reserved_usd,
        **free,
    )


def _next_plan(job: Job, failure: Failure) -> Mapping[str, Any] | None:
    first, fallback = job.request["plan"], job.request.get("fallbackPlan")
    on_fallback = job.model_id != first["modelId"]
    # A provider that throttles is no failure of the job: it stays queued until its deadline.
    if failure.code in UNCOUNTED or (failure.retryable and job.retry_count < MOST_RETRIES):
        return fallback if on_fallback else first
    if fallback and not on_fallback and (failure.retryable or failure.code == MODEL_UNAVAILABLE):
        return dict(fallback)
    return None
