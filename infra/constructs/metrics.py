"""A stage's metrics by the names of the things they measure, so that who watches needs nothing of their stacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Duration, aws_cloudwatch

from infra.stages import Stage

# As shared/observability.py prints them.
NAMESPACE = "VSL/MediaGeneration"
SERVICE = "vsl"


@dataclass(frozen=True)
class StageMetrics:
    """Metrics over `minutes`, by statistic: `Sum`, `Average`, `Maximum`, `p95` and so on."""

    stage: Stage
    minutes: int = 5

    def product(self, name: str, statistic: str) -> aws_cloudwatch.Metric:
        """A metric that the functions print, over the whole stage."""
        return self._metric(NAMESPACE, name, statistic, {"stage": self.stage.name, "service": SERVICE})

    def product_by(self, detail: str, name: str, statistic: str) -> aws_cloudwatch.MathExpression:
        """The same by each value of a dimension. For graphs alone: no alarm may search."""
        searched = f'{{{NAMESPACE},stage,service,{detail}}} MetricName="{name}" stage="{self.stage.name}"'
        return aws_cloudwatch.MathExpression(
            expression=f"SEARCH('{searched}', '{statistic}', {60 * self.minutes})",
            using_metrics={},
            label="",
            period=Duration.minutes(self.minutes),
        )

    def function(self, folder: str, name: str, statistic: str = "Sum") -> aws_cloudwatch.Metric:
        """A metric of the function in `functions/<folder>`."""
        full_name = f"vsl-{self.stage.name}-{folder.replace('_', '-')}"
        return self._metric("AWS/Lambda", name, statistic, {"FunctionName": full_name}, label=folder)

    def queue(self, topic: str, name: str, statistic: str = "Maximum") -> aws_cloudwatch.Metric:
        """A metric of a topic's queue; its dead letters are the topic `<topic>-dlq`."""
        dimensions = {"QueueName": f"vsl-{self.stage.name}-{topic}"}
        return self._metric("AWS/SQS", name, statistic, dimensions, label=topic)

    def api(self, name: str, statistic: str) -> aws_cloudwatch.Metric:
        """The sum over all routes."""
        return self._metric("AWS/ApiGateway", name, statistic, self._of_api)

    def route(self, method: str, path: str, name: str, statistic: str) -> aws_cloudwatch.Metric:
        """A metric of one route: the API's stage has detailed metrics."""
        dimensions = {**self._of_api, "Method": method, "Resource": path}
        return self._metric("AWS/ApiGateway", name, statistic, dimensions, label=f"{method} {path}")

    def database(self, name: str, statistic: str) -> aws_cloudwatch.Metric:
        """A metric of the database cluster."""
        return self._metric("AWS/RDS", name, statistic, {"DBClusterIdentifier": self.stage.cluster_name})

    def cache(self, name: str, statistic: str) -> aws_cloudwatch.Metric:
        """A metric of the serverless cache."""
        return self._metric("AWS/ElastiCache", name, statistic, {"clusterId": self.stage.cache_name})

    @property
    def _of_api(self) -> dict[str, str]:
        return {"ApiName": f"vsl-{self.stage.name}", "Stage": self.stage.name}

    def _metric(
        self, namespace: str, name: str, statistic: str, dimensions: Mapping[str, str], label: str | None = None
    ) -> aws_cloudwatch.Metric:
        return aws_cloudwatch.Metric(
            namespace=namespace,
            metric_name=name,
            statistic=statistic,
            dimensions_map=dimensions,
            period=Duration.minutes(self.minutes),
            label=label,
        )


def combined(function: str, metrics: Mapping[str, aws_cloudwatch.Metric]) -> aws_cloudwatch.MathExpression:
    """Their `SUM` or `MAX`, in which a metric without data counts as 0. An alarm takes ten of them."""
    parts = ", ".join(f"FILL({name}, 0)" for name in metrics)
    return aws_cloudwatch.MathExpression(expression=f"{function}([{parts}])", using_metrics={**metrics}, label=function)


def rate_percent(metric: aws_cloudwatch.Metric, least: int) -> aws_cloudwatch.MathExpression:
    """The share of ones, in percent, of a metric that is 1 or 0; 0 while there are fewer than `least` ones."""
    using = {"rate": metric.with_(statistic="Average"), "ones": metric.with_(statistic="Sum")}
    return aws_cloudwatch.MathExpression(
        expression=f"IF(ones >= {least}, 100 * rate, 0)", using_metrics=using, label="percent"
    )
