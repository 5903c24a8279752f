"""Which functions' output comes back to them, as the templates have it: queues, invocations, the bucket's events."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from tests.infra.templates import Templates

Graph = dict[str, set[str]]


def looping_functions(templates: Templates) -> set[str]:
    """Names of the functions that a chain of services Lambda follows may reach again from themselves."""
    graph = _graph(templates)
    return {name for name in templates.functions if name in _reachable(graph, graph.get(name, set()))}


def _graph(templates: Templates) -> Graph:
    graph: Graph = {}
    for start, end in (*_sources(templates), *_outputs(templates), *_told_by_environment(templates)):
        graph.setdefault(start, set()).add(end)
    return graph


def _reachable(graph: Graph, found: set[str]) -> set[str]:
    following = found.union(*(graph.get(name, set()) for name in found))
    return found if following == found else _reachable(graph, following)


def _sources(templates: Templates) -> Iterator[tuple[str, str]]:
    """From what starts functions: a queue, another function's failure, an object below a prefix."""
    for mapping in templates.all("AWS::Lambda::EventSourceMapping").values():
        yield _name(mapping["EventSourceArn"]), _name(mapping["FunctionName"])
    for config in templates.all("AWS::Lambda::EventInvokeConfig").values():
        for destination in config.get("DestinationConfig", {}).values():
            yield _name(config["FunctionName"]), _name(destination["Destination"])
    for bucket, properties in templates.all("AWS::S3::Bucket").items():
        for rule in properties.get("NotificationConfiguration", {}).get("QueueConfigurations", ()):
            prefix = next(one["Value"] for one in rule["Filter"]["S3Key"]["Rules"] if one["Name"] == "prefix")
            yield f"{bucket}/{prefix}*", _name(rule["Queue"])


def _outputs(templates: Templates) -> Iterator[tuple[str, str]]:
    """From functions to what their roles let them send to, invoke and write."""
    watched = [start for start, _ in _sources(templates) if "/" in start]
    for function, actions, resources in _rights(templates):
        if actions & {"sqs:SendMessage", "sqs:*", "lambda:InvokeFunction", "lambda:*", "*"}:
            yield from ((function, _name(resource)) for resource in resources)
        if any(fnmatchcase("s3:PutObject", action) for action in actions):
            places = [resource.replace(".Arn/", "/") for resource in resources]
            yield from ((function, one) for one in watched for place in places if _overlap(one, place))


def _rights(templates: Templates) -> Iterator[tuple[str, set[str], set[str]]]:
    for function in templates.functions:
        statements = templates.statements(function.removeprefix(f"vsl-{templates.stage}-"))
        yield from ((function, actions, resources) for actions, resources in statements)


def _told_by_environment(templates: Templates) -> Iterator[tuple[str, str]]:
    known = set(templates.all("AWS::SQS::Queue")) | set(templates.all("AWS::Lambda::Function"))
    for function, properties in templates.all("AWS::Lambda::Function").items():
        values = properties.get("Environment", {}).get("Variables", {}).values()
        yield from ((function, value) for value in values if value in known)


def _overlap(first: str, second: str) -> bool:
    """Whether a key may match both patterns, of which each has its only `*` at its end."""
    return fnmatchcase(first.rstrip("*"), second) or fnmatchcase(second.rstrip("*"), first)


def _name(arn: str) -> str:
    return arn.removesuffix(":*").removesuffix(".Arn")
