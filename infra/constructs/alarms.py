"""The alarms that wake somebody: few, each with a threshold in stages.py and a runbook in docs/operations.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aws_cdk import aws_cloudwatch

from infra.constructs.metrics import StageMetrics, combined, rate_percent
from infra.stages import Stage

# Callers wait for these: their failures are answers of the API. The authorizer fails for every key it does not know.
FOR_CALLERS = (
    "authorizer",
    "generate_media",
    "status",
    "review",
    "compile_videos",
    "webhook",
    "account",
    "retention",
    "settle",
)
WORKERS = ("call_provider", "store_media", "fetch_source", "inspect_media", "compile_videos", "settle")
TOPICS = ("calls", "reports", "store", "fetch", "inspect", "compile", "uploads")
# Routes on which nobody waits for a job: elsewhere a long answer is what the caller asked for.
QUICK_ROUTES = (
    ("POST", "/webhook/replicate"),
    ("GET", "/jobs"),
    ("GET", "/models"),
    ("GET", "/api/scripts/{scriptId}"),
    ("GET", "/api/section-videos"),
    ("GET", "/api/usage"),
)
# No data means that nothing happened, which is fine.
QUIET = aws_cloudwatch.TreatMissingData.NOT_BREACHING
# The sweep prints these each minute: without it nobody looks after jobs.
SILENT_IS_BAD = aws_cloudwatch.TreatMissingData.BREACHING
# AWS measures these each minute; for want of data the alarm says that it does not know.
UNKNOWN = aws_cloudwatch.TreatMissingData.MISSING
BELOW = aws_cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
REACHED = aws_cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD


@dataclass(frozen=True)
class Watch:
    """An alarm before it is one. `name` is its runbook's anchor too; `lasts`: so many of so many periods are bad."""

    name: str
    says: str
    metric: aws_cloudwatch.IMetric
    threshold: float
    lasts: tuple[int, int]
    silence: aws_cloudwatch.TreatMissingData = QUIET
    when: aws_cloudwatch.ComparisonOperator = REACHED


def watches(stage: Stage) -> Iterator[Watch]:
    """All of a stage."""
    metrics = StageMetrics(stage)
    yield from _of_calls(stage, metrics)
    yield from _of_functions(stage, metrics)
    yield from _of_queues(stage, metrics)
    yield from _of_jobs(stage, metrics)
    yield from _of_database(stage, metrics)
    yield from _of_cache(stage, metrics)


def _of_calls(stage: Stage, metrics: StageMetrics) -> Iterator[Watch]:
    numbers = stage.alarms
    yield Watch(
        "api-errors",
        f"{numbers.api_errors_percent:g} % of all calls, and {numbers.least_api_errors}, got a 5XX.",
        rate_percent(metrics.api("5XXError", "Sum"), numbers.least_api_errors),
        numbers.api_errors_percent,
        numbers.lasting,
    )
    quick = {f"route{n}": metrics.route(*route, "Latency", "p95") for n, route in enumerate(QUICK_ROUTES)}
    slowest = combined("MAX", quick)
    yield Watch(
        "api-latency",
        f"The p95 of a route that waits for nothing is over {numbers.api_seconds:g} s.",
        slowest,
        1000 * numbers.api_seconds,
        numbers.steady,
    )


def _of_functions(stage: Stage, metrics: StageMetrics) -> Iterator[Watch]:
    numbers = stage.alarms
    yield Watch(
        "worker-errors",
        "Workers of the queues fail or time out; their messages are tried again.",
        combined("SUM", {name: metrics.function(name, "Errors") for name in WORKERS}),
        numbers.worker_errors,
        numbers.lasting,
    )
    # The sweep has alarms of its own; these two run by a schedule as well, each minute and each hour.
    yield Watch(
        "retention-errors",
        "Erasures and pruning fail run after run.",
        metrics.function("retention", "Errors"),
        numbers.retention_errors,
        numbers.lasting,
    )
    yield Watch(
        "catalog-errors",
        "The models' schemas have not been read for hours.",
        StageMetrics(stage, minutes=60).function("provider_catalog", "Errors"),
        numbers.catalog_errors,
        numbers.steady,
    )
    yield Watch(
        "throttles",
        "Lambda refuses to run functions that callers wait for: no concurrency is left to them.",
        combined("SUM", {name: metrics.function(name, "Throttles") for name in FOR_CALLERS}),
        numbers.throttles,
        numbers.lasting,
    )


def _of_queues(stage: Stage, metrics: StageMetrics) -> Iterator[Watch]:
    numbers = stage.alarms
    visible = "ApproximateNumberOfMessagesVisible"
    yield Watch(
        "waiting-dead-letters",
        "A message has failed so often that nobody tries it any more.",
        combined("SUM", {f"{topic}_dlq": metrics.queue(f"{topic}-dlq", visible) for topic in TOPICS}),
        numbers.dead_letters,
        numbers.at_once,
    )
    # In every other queue a job may lawfully wait: for its provider's pace, its account's turn or its upload.
    age = "ApproximateAgeOfOldestMessage"
    yield Watch(
        "old-reports",
        f"A report has waited {numbers.oldest_report_seconds} s for `settle`: jobs stand still.",
        metrics.queue("reports", age),
        numbers.oldest_report_seconds,
        numbers.at_once,
    )
    yield Watch(
        "old-outputs",
        f"Paid media have waited {numbers.oldest_output_seconds} s; the provider deletes them soon.",
        metrics.queue("store", age),
        numbers.oldest_output_seconds,
        numbers.at_once,
    )


def _of_jobs(stage: Stage, metrics: StageMetrics) -> Iterator[Watch]:
    numbers, each_minute = stage.alarms, StageMetrics(stage, minutes=1)
    yield Watch(
        "overdue-jobs",
        f"A job is {numbers.overdue_seconds} s past its deadline, or the sweep does not run.",
        each_minute.product("OldestOverdueJob", "Maximum"),
        numbers.overdue_seconds,
        numbers.sweeps,
        SILENT_IS_BAD,
    )
    yield Watch(
        "sweep-failures",
        "The sweep cannot handle a row, and has set it back.",
        metrics.product("SweepFailures", "Sum"),
        numbers.sweep_failures,
        numbers.at_once,
    )
    yield Watch(
        "job-failures",
        f"{numbers.job_failures_percent:g} % of the jobs that ended have failed or timed out.",
        rate_percent(metrics.product("JobsFailed", "Sum"), numbers.least_job_failures),
        numbers.job_failures_percent,
        numbers.lasting,
    )
    yield Watch(
        "provider-failures",
        f"{numbers.provider_failures_percent:g} % of a provider's answers were its own failures.",
        rate_percent(metrics.product("ProviderFailures", "Sum"), numbers.least_provider_failures),
        numbers.provider_failures_percent,
        numbers.lasting,
    )
    yield Watch(
        "budget",
        f"An account has used {numbers.budget_percent:g} % of a budget; at 100 % its calls are refused.",
        metrics.product("BudgetUsed", "Maximum"),
        numbers.budget_percent,
        numbers.at_once,
        silence=aws_cloudwatch.TreatMissingData.IGNORE,
    )


def _of_database(stage: Stage, metrics: StageMetrics) -> Iterator[Watch]:
    numbers = stage.alarms
    yield Watch(
        "database-cpu",
        f"The database's CPU is over {numbers.database_cpu_percent:g} %.",
        metrics.database("CPUUtilization", "Average"),
        numbers.database_cpu_percent,
        numbers.steady,
        UNKNOWN,
    )
    yield Watch(
        "database-capacity",
        f"The database runs at {numbers.database_capacity_percent:g} % of its largest capacity.",
        metrics.database("ACUUtilization", "Average"),
        numbers.database_capacity_percent,
        numbers.steady,
        UNKNOWN,
    )
    yield Watch(
        "database-connections",
        f"{numbers.database_connections} sessions are open, four fifths of what is allowed.",
        metrics.database("DatabaseConnections", "Maximum"),
        numbers.database_connections,
        numbers.lasting,
        UNKNOWN,
    )
    yield Watch(
        "database-memory",
        f"Less than {numbers.database_memory_bytes // 1024**2} MiB of the largest capacity is free.",
        metrics.database("FreeableMemory", "Minimum"),
        numbers.database_memory_bytes,
        numbers.lasting,
        UNKNOWN,
        BELOW,
    )


def _of_cache(stage: Stage, metrics: StageMetrics) -> Iterator[Watch]:
    numbers = stage.alarms
    yield Watch(
        "cache-failures",
        "Functions do not reach the cache: answers are right, but slower, and long polls unlimited.",
        metrics.product("CacheFailures", "Sum"),
        numbers.cache_failures,
        numbers.lasting,
    )
    yield Watch(
        "cache-throttles",
        "The cache refuses commands: more come than it may serve.",
        metrics.cache("ThrottledCmds", "Sum"),
        numbers.cache_throttles,
        numbers.lasting,
    )
