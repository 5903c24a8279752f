"""The templates of one stage as plain data: references replaced by the names of what they point at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

NAMES = ("FunctionName", "QueueName", "TableName")
Properties = dict[str, Any]


@dataclass(frozen=True)
class Templates:
    """All stacks of a stage. `by_stack` has each stack's template as CloudFormation gets it."""

    stage: str
    by_stack: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, stage: str, assembly: Path) -> Templates:
        files = assembly.glob("*.template.json")
        return cls(stage, {file.name.removesuffix(".template.json"): json.loads(file.read_text()) for file in files})

    def all(self, resource_type: str) -> dict[str, Properties]:
        """By name (or logical id), the properties of every resource of the type."""
        return {name: properties for kind, name, properties in self._resources if kind == resource_type}

    @property
    def functions(self) -> dict[str, Properties]:
        """The product's own by name, without those of the CDK's framework."""
        found = self.all("AWS::Lambda::Function").items()
        return {name: properties for name, properties in found if name.startswith(f"vsl-{self.stage}-")}

    def function(self, name: str) -> Properties:
        return self.all("AWS::Lambda::Function")[self.function_name(name)]

    def function_name(self, name: str) -> str:
        return f"vsl-{self.stage}-{name.replace('_', '-')}"

    def environment(self, name: str) -> dict[str, str]:
        variables: dict[str, str] = self.function(name)["Environment"]["Variables"]
        return variables

    def statements(self, name: str) -> list[tuple[set[str], set[str]]]:
        """Actions and resources of each statement of the function's role."""
        role = self.function(name)["Role"].removesuffix(".Arn")
        policies = [p for p in self.all("AWS::IAM::Policy").values() if role in p["Roles"]]
        found = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
        return [(listed(statement["Action"]), listed(statement["Resource"])) for statement in found]

    @cached_property
    def _resources(self) -> list[tuple[str, str, Properties]]:
        return list(self._read_resources())

    def _read_resources(self) -> Iterator[tuple[str, str, Properties]]:
        for stack, template in self.by_stack.items():
            for logical_id, resource in template["Resources"].items():
                properties = self._plain(resource.get("Properties", {}), stack)
                yield resource["Type"], self._name(logical_id, stack), properties

    def _plain(self, value: Any, stack: str) -> Any:
        if isinstance(value, list):
            return [self._plain(item, stack) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::")):
            return self._text(*next(iter(value.items())), stack)
        return {key: self._plain(item, stack) for key, item in value.items()}

    def _text(self, intrinsic: str, value: Any, stack: str) -> str:
        if intrinsic == "Ref":
            return self._name(value, stack)
        if intrinsic == "Fn::GetAtt":
            return f"{self._name(value[0], stack)}.{value[1]}"
        if intrinsic == "Fn::ImportValue":
            return str(self._exports[value])
        if intrinsic == "Fn::Join":
            return str(value[0]).join(str(self._plain(part, stack)) for part in value[1])
        return f"<{intrinsic} {value}>"

    @cached_property
    def _exports(self) -> dict[str, str]:
        outputs = [(stack, o) for stack, t in self.by_stack.items() for o in t.get("Outputs", {}).values()]
        return {o["Export"]["Name"]: self._plain(o["Value"], stack) for stack, o in outputs if "Export" in o}

    def _name(self, logical_id: str, stack: str) -> str:
        template = self.by_stack[stack]
        parameter = template.get("Parameters", {}).get(logical_id, {})
        if parameter.get("Type") == "AWS::SSM::Parameter::Value<String>":
            return f"{{{{resolve:ssm:{parameter['Default']}}}}}"
        properties = template["Resources"].get(logical_id, {}).get("Properties", {})
        if "BucketName" in properties:
            # It ends with its account and region.
            return self._plain(properties["BucketName"], stack).removesuffix("-AWS::AccountId-AWS::Region")
        return next((name for key in NAMES if isinstance(name := properties.get(key), str)), logical_id)


def listed(value: str | list[str]) -> set[str]:
    """IAM writes one thing without a list."""
    return {value} if isinstance(value, str) else set(value)
