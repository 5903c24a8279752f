"""The dashboard of a stage: what callers see first, then jobs and money, then what they run on."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch
from aws_cdk.aws_cloudwatch import GraphWidget, IMetric, IWidget, TextWidget
from constructs import Construct

from infra.constructs.alarms import TOPICS
from infra.constructs.metrics import StageMetrics
from infra.stages import Stage

WIDTH = 24
DAY = 24 * 60


def add_dashboard(
    scope: Construct, stage: Stage, functions: tuple[str, ...], alarms: Sequence[aws_cloudwatch.Alarm]
) -> None:
    """Adds `vsl-{stage}`, with a row a subject."""
    dashboard = aws_cloudwatch.Dashboard(scope, "dashboard", dashboard_name=f"vsl-{stage.name}")
    metrics, by_day = StageMetrics(stage), StageMetrics(stage, minutes=DAY)
    dashboard.add_widgets(aws_cloudwatch.AlarmStatusWidget(title="Alarms", width=WIDTH, height=4, alarms=[*alarms]))
    for title, row in (
        ("Calls", _calls(metrics)),
        ("Jobs", _jobs(metrics)),
        ("Providers and cost", _money(metrics, by_day)),
        ("Queues", _queues(metrics)),
        ("Functions", _functions(metrics, functions)),
        ("Database and cache", _stores(metrics)),
    ):
        dashboard.add_widgets(TextWidget(markdown=f"## {title}", width=WIDTH, height=1))
        dashboard.add_widgets(*row)


def _graph(title: str, left: Sequence[IMetric], right: Sequence[IMetric] = (), *, of: int) -> GraphWidget:
    """`of`: how many share the row."""
    return GraphWidget(title=title, left=[*left], right=[*right], width=WIDTH // of, height=6)


def _calls(metrics: StageMetrics) -> list[IWidget]:
    latencies = [metrics.api("Latency", statistic) for statistic in ("p50", "p95")]
    answers = [metrics.api(name, "Sum") for name in ("Count", "4XXError", "5XXError")]
    hooks = [metrics.product("WebhookLatency", statistic) for statistic in ("p50", "p95")]
    return [
        _graph("Calls", answers, of=3),
        _graph("Time to the answer in ms (long polls wait on purpose)", latencies, of=3),
        _graph("Webhooks on their way, in s", hooks, of=3),
    ]


def _jobs(metrics: StageMetrics) -> list[IWidget]:
    names = ("JobsStarted", "JobsCompleted", "JobsFailed", "JobsTimedOut", "JobsCancelled")
    times = [metrics.product_by("kind", "ProcessingTime", statistic) for statistic in ("p50", "p95")]
    late = [metrics.product("OldestOverdueJob", "Maximum"), metrics.product("SweepFailures", "Sum")]
    return [
        _graph("Jobs", [metrics.product(name, "Sum") for name in names], of=3),
        _graph("From request to result in s, p50 and p95", times, of=3),
        _graph("Oldest overdue job in s; rows the sweep fails at", late[:1], late[1:], of=3),
        _graph("Jobs started, by kind", [metrics.product_by("kind", "JobsStarted", "Sum")], of=3),
        _graph("Jobs failed, by kind", [metrics.product_by("kind", "JobsFailed", "Sum")], of=3),
        _graph("Films, by strategy", [metrics.product_by("strategy", "CompileStrategy", "Sum")], of=3),
    ]


def _money(metrics: StageMetrics, by_day: StageMetrics) -> list[IWidget]:
    failing = [metrics.product_by("provider", "ProviderFailures", "Average")]
    return [
        _graph("Providers' failures, as a share of their answers", failing, of=3),
        _graph("USD a day, by model", [by_day.product_by("modelId", "ProviderCost", "Sum")], of=3),
        _graph(
            "USD; fullest budget in percent",
            [metrics.product("ProviderCost", "Sum")],
            [metrics.product("BudgetUsed", "Maximum")],
            of=3,
        ),
    ]


def _queues(metrics: StageMetrics) -> list[IWidget]:
    waiting = [metrics.queue(topic, "ApproximateNumberOfMessagesVisible") for topic in TOPICS]
    ages = [metrics.queue(topic, "ApproximateAgeOfOldestMessage") for topic in TOPICS]
    dead = [metrics.queue(f"{topic}-dlq", "ApproximateNumberOfMessagesVisible") for topic in TOPICS]
    return [
        _graph("Messages that wait", waiting, of=3),
        _graph("Age of the oldest in s", ages, of=3),
        _graph("Dead letters", dead, of=3),
    ]


def _functions(metrics: StageMetrics, names: tuple[str, ...]) -> list[IWidget]:
    def of_all(metric: str, statistic: str) -> list[IMetric]:
        return [metrics.function(name, metric, statistic) for name in names]

    return [
        _graph("Errors (of the authorizer: every unknown key)", of_all("Errors", "Sum"), of=4),
        _graph("Throttles", of_all("Throttles", "Sum"), of=4),
        _graph("Environments at work", of_all("ConcurrentExecutions", "Maximum"), of=4),
        _graph("Duration in ms, p95", of_all("Duration", "p95"), of=4),
    ]


def _stores(metrics: StageMetrics) -> list[IWidget]:
    load = [metrics.database(name, "Average") for name in ("CPUUtilization", "ACUUtilization")]
    sessions = [metrics.database("DatabaseConnections", "Maximum")]
    memory = [metrics.database("FreeableMemory", "Minimum")]
    used = [metrics.cache(name, "Maximum") for name in ("BytesUsedForCache",)]
    spent = [metrics.cache(name, "Sum") for name in ("ElastiCacheProcessingUnits", "ThrottledCmds")]
    hits = [metrics.product("CacheHitRate", "Average")]
    return [
        _graph("Database: CPU and capacity in percent", load, of=4),
        _graph("Database: sessions; free memory", sessions, memory, of=4),
        _graph("Cache: commands refused and units; bytes", spent, used, of=4),
        _graph("Cache: rate of hits; failures", hits, [metrics.product("CacheFailures", "Sum")], of=4),
    ]
