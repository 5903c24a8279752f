"""What a stage's dashboard, alarms and metric filters ask CloudWatch for, as plain data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.infra.templates import Properties, Templates

_SEARCHED = re.compile(r"SEARCH\('\{([^,}]+),([^}]+)\} MetricName=\"(\w+)\" stage=\"(\w+)\"'")
# Of a widget, a metric is a list: namespace, name, and dimensions as name and value in turn; options come last.
_NAMES = 2


@dataclass(frozen=True)
class Watched:
    """One metric by its full name. A dimension that is searched for has any value: None."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str | None]]

    @property
    def shape(self) -> tuple[str, str, frozenset[str]]:
        """Namespace, name and names of the dimensions."""
        return self.namespace, self.name, frozenset(name for name, _ in self.dimensions)

    def value(self, dimension: str) -> str | None:
        return dict(self.dimensions).get(dimension)


def alarms(templates: Templates) -> dict[str, Properties]:
    """By name without the stage's prefix."""
    found = templates.all("AWS::CloudWatch::Alarm").values()
    return {alarm["AlarmName"].removeprefix(f"vsl-{templates.stage}-"): alarm for alarm in found}


def of_alarm(alarm: Properties) -> set[Watched]:
    """The metrics that an alarm compares or computes with."""
    if "MetricName" in alarm:
        return {_watched(alarm)}
    return {_watched(query["MetricStat"]["Metric"]) for query in alarm["Metrics"] if "MetricStat" in query}


def of_dashboard(templates: Templates) -> set[Watched]:
    return {metric for metrics in widgets(templates).values() for metric, _ in metrics}


def widgets(templates: Templates) -> dict[str, list[tuple[Watched, str]]]:
    """By title of each graph, its metrics with their statistics."""
    (dashboard,) = templates.all("AWS::CloudWatch::Dashboard").values()
    body = re.sub(r"AWS::\w+|<[^>]*>", "x", dashboard["DashboardBody"])
    graphs = (widget["properties"] for widget in json.loads(body)["widgets"] if widget["type"] == "metric")
    return {graph["title"]: list(_of_graph(graph)) for graph in graphs}


def of_filters(templates: Templates) -> set[Watched]:
    """What metric filters make of log lines, if there are any."""
    filters = templates.all("AWS::Logs::MetricFilter").values()
    found = (made for one in filters for made in one["MetricTransformations"])
    return {Watched(made["MetricNamespace"], made["MetricName"], frozenset()) for made in found}


def _watched(metric: Mapping[str, Any]) -> Watched:
    dimensions = frozenset((one["Name"], one["Value"]) for one in metric.get("Dimensions", ()))
    return Watched(metric["Namespace"], metric["MetricName"], dimensions)


def _of_graph(graph: Mapping[str, Any]) -> Iterator[tuple[Watched, str]]:
    for row in graph["metrics"]:
        options = row[-1] if isinstance(row[-1], dict) else {}
        if "expression" in options:
            namespace, names, name, stage = _searched(options["expression"])
            values = dict.fromkeys(names.split(",")) | {"stage": stage}
            yield Watched(namespace, name, frozenset(values.items())), options["expression"].split("'")[3]
        else:
            names = [part for part in row if not isinstance(part, dict)]
            pairs = zip(names[_NAMES::2], names[_NAMES + 1 :: 2], strict=True)
            yield Watched(names[0], names[1], frozenset(pairs)), options.get("stat", "Average")


def _searched(expression: str) -> tuple[str, str, str, str]:
    found = _SEARCHED.match(expression)
    assert found, f"no search that this reads: {expression}"
    return found[1], found[2], found[3], found[4]
