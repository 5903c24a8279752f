"""What a model accepts: its openapi_schema and the check of an input against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.provider.models import Model, Parameter

_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


@dataclass(frozen=True)
class InvalidField:
    """One broken rule; `type` names the rule, `field` is dotted from `input`."""

    type: str
    field: str
    description: str


def input_problems(model: Model, values: Mapping[str, Any]) -> list[InvalidField]:
    """Broken rules in order of the model's parameters. Unknown inputs are ignored, as cog ignores them."""
    return [problem for parameter in model.parameters if (problem := _problem(parameter, values))]


def _problem(parameter: Parameter, values: Mapping[str, Any]) -> InvalidField | None:
    value, where = values.get(parameter.name), f"input.{parameter.name}"
    if value is None:
        missing = InvalidField("required", "input", f"{parameter.name} is required")
        return missing if parameter.required else None
    if not _has_type(parameter, value):
        given = {bool: "boolean", int: "integer", float: "number", str: "string"}.get(type(value), "object")
        return InvalidField("invalid_type", where, f"Invalid type. Expected: {parameter.type}, given: {given}")
    if parameter.choices and value not in parameter.choices:
        listed = ", ".join(f'"{choice}"' for choice in parameter.choices)
        return InvalidField("enum", where, f"{where} must be one of the following: {listed}")
    return _range_problem(parameter, value, where)


def _range_problem(parameter: Parameter, value: Any, where: str) -> InvalidField | None:
    if parameter.minimum is not None and value < parameter.minimum:
        return InvalidField("number_gte", where, f"Must be greater than or equal to {parameter.minimum:g}")
    if parameter.maximum is not None and value > parameter.maximum:
        return InvalidField("number_lte", where, f"Must be less than or equal to {parameter.maximum:g}")
    return None


def _has_type(parameter: Parameter, value: Any) -> bool:
    if isinstance(value, bool):
        return parameter.type == "boolean"
    if isinstance(value, float) and value.is_integer() and parameter.type == "integer":
        return True
    return isinstance(value, _PYTHON_TYPES[parameter.type])


def with_defaults(model: Model, values: Mapping[str, Any]) -> dict[str, Any]:
    """The input as the model sees it: its defaults, then what the caller gave."""
    defaults = {parameter.name: parameter.default for parameter in model.parameters}
    return defaults | {name: value for name, value in values.items() if value is not None}


def openapi_schema(model: Model) -> dict[str, Any]:
    """The part of cog's OpenAPI document that clients read: components.schemas.Input and Output."""
    enums = {
        p.name: {"title": p.name, "description": "An enumeration.", "type": p.type, "enum": list(p.choices)}
        for p in model.parameters
        if p.choices
    }
    required = [p.name for p in model.parameters if p.required]
    properties = {p.name: _property(p, order) for order, p in enumerate(model.parameters)}
    given: dict[str, Any] = {"type": "object", "title": "Input", "properties": properties}
    schemas = enums | {"Input": given | ({"required": required} if required else {}), "Output": _output(model)}
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": {},
        "components": {"schemas": schemas},
    }


def _property(parameter: Parameter, order: int) -> dict[str, Any]:
    facts: dict[str, Any] = {"x-order": order, "description": parameter.description}
    if parameter.default is not None:
        facts["default"] = parameter.default
    if parameter.choices:
        return facts | {"allOf": [{"$ref": f"#/components/schemas/{parameter.name}"}]}
    facts |= {"type": parameter.type, "title": parameter.name.replace("_", " ").title()}
    limits = {"minimum": parameter.minimum, "maximum": parameter.maximum}
    facts |= {name: value for name, value in limits.items() if value is not None}
    return facts | ({"format": "uri"} if parameter.is_uri else {})


def _output(model: Model) -> dict[str, Any]:
    if model.kind == "text":
        return {
            "type": "array",
            "items": {"type": "string"},
            "title": "Output",
            "x-cog-array-type": "iterator",
            "x-cog-array-display": "concatenate",
        }
    link = {"type": "string", "format": "uri"}
    return {"type": "array", "items": link, "title": "Output"} if model.many_outputs else link | {"title": "Output"}
