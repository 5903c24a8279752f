"""The only logger and metrics, and every metric's name."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

NAMESPACE = "VSL/MediaGeneration"
JOBS_STARTED = "JobsStarted"
JOBS_COMPLETED = "JobsCompleted"
JOBS_FAILED = "JobsFailed"
PROCESSING_TIME = "ProcessingTime"
WEBHOOK_LATENCY = "WebhookLatency"
CACHE_HIT_RATE = "CacheHitRate"
COMPILE_STRATEGY = "CompileStrategy"
SWEEP_FAILURES = "SweepFailures"

logger = Logger(service="vsl", use_rfc3339=True, utc=True)
metrics = Metrics(namespace=NAMESPACE, service="vsl")


def count(name: str, value: float = 1, **dimensions: str) -> None:
    """Adds to a counter; goes out as EMF in the log."""
    _emit(name, MetricUnit.Count, value, dimensions)


def seconds(name: str, value: float, **dimensions: str) -> None:
    """Notes a duration in seconds."""
    _emit(name, MetricUnit.Seconds, value, dimensions)


def job_fields(job: Any) -> dict[str, Any]:
    """What every log line about a job carries."""
    return {
        "jobId": str(job.id),
        "userId": job.user_id,
        "mediaType": job.media_type,
        "modelId": job.model_id,
        "status": job.status.value,
    }


def _emit(name: str, unit: MetricUnit, value: float, dimensions: dict[str, str]) -> None:
    from aws_lambda_powertools.metrics import single_metric

    with single_metric(name=name, unit=unit, value=value, namespace=NAMESPACE) as metric:
        for key, text in dimensions.items():
            metric.add_dimension(name=key, value=text)
