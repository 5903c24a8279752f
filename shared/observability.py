"""The only logger and metrics, every metric's name, and what a log line carries.

A metric's dimensions are part of its name: `infra/` asks for `stage` and `service`, or for these and one detail, and
tests/integration/test_metrics.py holds both sides together.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

Event = TypeVar("Event")
Answer = TypeVar("Answer")

NAMESPACE = "VSL/MediaGeneration"
# All functions together are one service; a log line names the function.
SERVICE = "vsl"
# By kind of job.
JOBS_STARTED = "JobsStarted"
JOBS_COMPLETED = "JobsCompleted"
# 1 for a job that failed or timed out, 0 for one that completed: the average is the rate of failures.
JOBS_FAILED = "JobsFailed"
JOBS_TIMED_OUT = "JobsTimedOut"
JOBS_CANCELLED = "JobsCancelled"
# Seconds from the request to the end of a job that completed.
PROCESSING_TIME = "ProcessingTime"
# 1 for an answer of a provider that was a failure of its own, 0 for any other: the average is the rate of failures.
PROVIDER_FAILURES = "ProviderFailures"
# USD that calls have cost, by model.
PROVIDER_COST = "ProviderCost"
# By strategy of a film.
COMPILE_STRATEGY = "CompileStrategy"
# Seconds between a webhook's sending and its arrival.
WEBHOOK_LATENCY = "WebhookLatency"
# 1 for a request whose job was found in the cache, 0 for any other: the average is the rate of hits.
CACHE_HIT_RATE = "CacheHitRate"
CACHE_FAILURES = "CacheFailures"
SWEEP_FAILURES = "SweepFailures"
# Of the unfinished job that is the longest past its deadline, in seconds; 0 when there is none. Each sweep prints it.
OLDEST_OVERDUE_JOB = "OldestOverdueJob"
# Percent of the fullest account's budget that is spent or reserved. Each sweep prints it.
BUDGET_USED = "BudgetUsed"
# Fields of the log that metric lines have as well.
_OF_THE_INVOCATION = ("function_name", "function_request_id")

logger = Logger(service=SERVICE, use_rfc3339=True, utc=True)


class Refused(Exception):
    """An invocation that has to fail to say no: nobody's mistake here."""


class MessagesFailed(Exception):
    """All messages of a batch failed, so that the invocation has to; each was logged for what it is."""


def observed(handler: Callable[[Event, Any], Answer]) -> Callable[[Event, Any], Answer]:
    """A Lambda handler whose log lines carry the function's name and the invocation's id, and nothing of the last one.

    What it raises is logged before Lambda sees it, which prints a traceback that no query finds.
    """

    @wraps(handler)
    def handle(event: Event, context: Any) -> Answer:
        try:
            return handler(event, context)
        except Refused:
            logger.info("invocation_refused")
            raise
        except MessagesFailed:
            raise
        except Exception:
            logger.exception("invocation_failed")
            raise

    decorated: Callable[[Event, Any], Answer] = logger.inject_lambda_context(handle, clear_state=True)
    return decorated


def observed_record(work: Callable[[Any], Answer]) -> Callable[[Any], Answer]:
    """Work on one message of a batch: what it raises is logged, as the batch goes on without a word of it."""

    @wraps(work)
    def handle(record: Any) -> Answer:
        try:
            return work(record)
        except Exception as error:
            logger.exception("message_failed", extra={"messageId": record.message_id, "reason": type(error).__name__})
            raise

    return handle


def count(name: str, value: float = 1, **detail: str) -> None:
    """Adds to a counter; goes out as EMF in the log."""
    _emit(name, MetricUnit.Count, value, detail)


def seconds(name: str, value: float, **detail: str) -> None:
    """Notes a duration in seconds."""
    _emit(name, MetricUnit.Seconds, value, detail)


def percent(name: str, value: float) -> None:
    """Notes a share, 100 for the whole."""
    _emit(name, MetricUnit.Percent, value, {})


def usd(name: str, value: float, **detail: str) -> None:
    """Adds to an amount of money."""
    _emit(name, MetricUnit.NoUnit, value, detail)


def job_fields(job: Any) -> dict[str, Any]:
    """What every log line about a job carries."""
    return {
        "jobId": str(job.id),
        "accountId": str(job.account_id),
        "userId": job.user_id,
        "kind": job.kind,
        "mediaType": job.media_type,
        "modelId": job.model_id,
        "status": job.status.value,
    }


def _emit(name: str, unit: MetricUnit, value: float, detail: dict[str, str]) -> None:
    """Prints one line: the sum over the stage, and the same by its detail."""
    line = EphemeralMetrics(namespace=NAMESPACE, service=SERVICE)
    line.set_default_dimensions(stage=os.environ.get("STAGE") or "unknown", service=SERVICE)
    line.add_metric(name, unit, value)
    if detail:
        line.add_dimensions(**detail)
    current = logger.get_current_keys()
    for key in _OF_THE_INVOCATION:
        if key in current:
            line.add_metadata(key, current[key])
    line.flush_metrics()
