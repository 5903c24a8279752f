"""Reads what the gateway needs out of synthesized CloudFormation templates."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Properties = Mapping[str, Any]


class TemplateMistake(ValueError):
    """The templates lack something the gateway cannot do without."""


@dataclass(frozen=True)
class Resource:
    """`home` is the number of its template, for references stay within one."""

    home: int
    logical_id: str
    kind: str
    properties: Properties


class Templates:
    """All resources of some templates, which may import from each other by export name."""

    def __init__(self, documents: Iterable[Mapping[str, Any]]) -> None:
        self._resources: dict[tuple[int, str], Resource] = {}
        self._exports: dict[str, tuple[int, Any]] = {}
        for home, document in enumerate(documents):
            self._take(home, document)

    @classmethod
    def read(cls, files: Iterable[Path]) -> "Templates":
        return cls(json.loads(file.read_bytes()) for file in files)

    def of_kind(self, kind: str) -> list[Resource]:
        return [resource for resource in self._resources.values() if resource.kind == kind]

    def referred(self, home: int, value: Any) -> Iterator[Resource]:
        """Resources a value names by Ref, Fn::GetAtt or Fn::ImportValue, in reading order."""
        if isinstance(value, list):
            for item in value:
                yield from self.referred(home, item)
        if not isinstance(value, dict):
            return
        for name, argument in value.items():
            yield from self._reference(home, name, argument)

    def function_name(self, home: int, value: Any) -> str | None:
        """The explicit name of the function whose ARN is in a value, also by version or alias."""
        for resource in self.referred(home, value):
            properties = resource.properties
            if resource.kind == "AWS::Lambda::Function":
                return _explicit_name(resource)
            if resource.kind in ("AWS::Lambda::Version", "AWS::Lambda::Alias"):
                return self.function_name(resource.home, properties["FunctionName"])
        return None

    def _take(self, home: int, document: Mapping[str, Any]) -> None:
        for logical_id, body in document.get("Resources", {}).items():
            resource = Resource(home, logical_id, body["Type"], body.get("Properties", {}))
            self._resources[home, logical_id] = resource
        for output in document.get("Outputs", {}).values():
            name = output.get("Export", {}).get("Name")
            if isinstance(name, str):
                self._exports[name] = home, output["Value"]

    def _reference(self, home: int, name: str, argument: Any) -> Iterator[Resource]:
        if name == "Fn::ImportValue" and argument in self._exports:
            yield from self.referred(*self._exports[argument])
            return
        logical_id = argument[0] if name == "Fn::GetAtt" and isinstance(argument, list) else argument
        if name in ("Ref", "Fn::GetAtt"):
            resource = self._resources.get((home, logical_id))
            yield from (resource,) if resource else ()
            return
        yield from self.referred(home, argument)


def _explicit_name(function: Resource) -> str:
    name = function.properties.get("FunctionName")
    if not isinstance(name, str):
        raise TemplateMistake(f"{function.logical_id} has no explicit FunctionName")
    return name
