"""Alarms on what wakes somebody up, one dashboard, saved queries."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, Stack, aws_cloudwatch, aws_logs
from constructs import Construct

from infra.stacks.service import ServiceStack
from infra.stages import Stage

NAMESPACE = "VSL/MediaGeneration"


class ObservabilityStack(Stack):
    """Watches the service from outside of it."""

    def __init__(self, scope: Construct, construct_id: str, stage: Stage, service: ServiceStack, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        dashboard = aws_cloudwatch.Dashboard(self, "dashboard", dashboard_name=f"vsl-{stage.name}")
        errors = [f.metric_errors(period=Duration.minutes(5)) for f in service.functions.values()]
        dashboard.add_widgets(aws_cloudwatch.GraphWidget(title="Errors", left=errors, width=24))
        names = ("JobsStarted", "JobsCompleted", "JobsFailed")
        jobs = [aws_cloudwatch.Metric(namespace=NAMESPACE, metric_name=name, statistic="Sum") for name in names]
        dashboard.add_widgets(aws_cloudwatch.GraphWidget(title="Jobs", left=jobs, width=24))
        for name, function in service.functions.items():
            self._alarm(f"{name}-errors", function.metric_errors(period=Duration.minutes(5)), 5)
        sweep = aws_cloudwatch.Metric(namespace=NAMESPACE, metric_name="SweepFailures", statistic="Sum")
        self._alarm("sweep-failures", sweep.with_(period=Duration.minutes(5)), 1)
        for topic, queue in service.queues.items():
            assert queue.dead_letter_queue is not None
            dead = queue.dead_letter_queue.queue
            self._alarm(f"{topic}-dead", dead.metric_approximate_number_of_messages_visible(), 1)
            self._alarm(f"{topic}-age", queue.metric_approximate_age_of_oldest_message(), 600)
        aws_logs.QueryDefinition(
            self, "errors-by-model", query_definition_name=f"vsl-{stage.name}/errors-by-model",
            query_string=aws_logs.QueryString(
                fields=["@timestamp", "jobId", "modelId", "message"], filter_statements=['level = "ERROR"'],
                stats_statements=["count() by modelId"],
            ),
        )  # fmt: skip

    def _alarm(self, name: str, metric: aws_cloudwatch.IMetric, threshold: float) -> None:
        aws_cloudwatch.Alarm(
            self, name, metric=metric, threshold=threshold, evaluation_periods=1,
            treat_missing_data=aws_cloudwatch.TreatMissingData.NOT_BREACHING,
        )  # fmt: skip
