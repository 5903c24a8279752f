"""Which messages a job's changes send to the outside, and what its history tells of the provider."""

from __future__ import annotations

from shared.domain.jobs import Attempt, AttemptState, Job
from shared.domain.messages import PredictionSeen, ProviderCall, StoreMedia, body_of
from shared.ports import Transaction

CLAIM_CHECK_SECONDS = 30


def tell(tx: Transaction, job: Job, report: PredictionSeen) -> None:
    """The provider's own words in the job's history."""
    if report.logs or report.progress is not None:
        details = {"status": report.providerStatus, "progress": report.progress, "logs": report.logs}
        tx.add_event(job, "provider.reported", details)


def ask_later(tx: Transaction, job: Job, attempt: Attempt, wait_seconds: int) -> None:
    """The attempt waits for its turn: a new message comes then, and the sweep looks a little later."""
    tx.change_attempt(attempt, AttemptState.WRITTEN, check_in_seconds=wait_seconds + CLAIM_CHECK_SECONDS)
    call = ProviderCall(str(job.id), str(attempt.id), provider=attempt.provider)
    tx.announce(job, "calls", body_of(call), wait_seconds)


def announce_store(tx: Transaction, job: Job, attempt: Attempt, provider_id: str, delay_seconds: int = 0) -> None:
    """The outside is to look what became of the prediction, and to fetch what it made."""
    message = StoreMedia(str(job.id), str(attempt.id), attempt.number, provider_id, attempt.provider)
    tx.announce(job, "store", body_of(message), delay_seconds)


def announce_cancel(tx: Transaction, job: Job, attempt: Attempt, provider_id: str) -> None:
    """The provider is to stop."""
    message = ProviderCall(str(job.id), str(attempt.id), "cancel", provider_id, attempt.provider)
    tx.announce(job, "calls", body_of(message))
