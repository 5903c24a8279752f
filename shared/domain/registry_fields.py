"""What a registry of models may hold: every field of an entry with what it must be, in words for who writes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain.errors import Mistake
from shared.domain.nearest_names import unknown_sentence
from shared.domain.prices import PRICING_UNITS

MEDIA_TYPES = ("image", "video", "audio", "text")
PROVIDERS = ("replicate", "runway")
SHORTEST_DEADLINE, LONGEST_DEADLINE = 5, 3600
# The type of a parameter that is an image; `sources.py` says how one is named.
IMAGE = "image"
LIMIT_TYPES = ("string", "integer", "number", "boolean", IMAGE)
LIMIT_FIELDS = ("type", "required", "minimum", "maximum", "enum", "maxLength")
_BY_PARAMETER = ("defaults", "limits", "pricingBy", "pricedUpTo")
_RATIO = re.compile(r"[1-9][0-9]{0,4}:[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an entry: whether its value is right, and what it must be."""

    is_right: Callable[[Any], bool]
    must: str
    required: bool = False


def _is_number(value: Any, least: float = 0) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value < float("inf")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_prices(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) != 1:
        return False
    (prices,) = value.values()
    return isinstance(prices, dict) and all(_is_number(usd) for usd in prices.values())


def _is_deadline(value: Any) -> bool:
    return isinstance(value, int) and _is_number(value, SHORTEST_DEADLINE) and value <= LONGEST_DEADLINE


FIELDS: Mapping[str, Field] = {
    "version": Field(_is_name, "must be the provider's name of the model, as owner/name or owner/name:version", True),
    "provider": Field(lambda value: value in PROVIDERS, f"must be one of {', '.join(PROVIDERS)}"),
    "pricing": Field(_is_number, "must be a number of 0 or more: the price in USD of one pricingUnit", True),
    "pricingUnit": Field(lambda value: value in PRICING_UNITS, f"must be one of {', '.join(PRICING_UNITS)}"),
    "pricingBy": Field(_is_prices, 'must be prices in USD by value of one parameter, as {"resolution": {"720p": 0.1}}'),
    "pricedUpTo": Field(
        lambda value: isinstance(value, dict) and all(_is_number(one) and one > 0 for one in value.values()),
        'must be numbers above 0 by parameter, as {"duration": 8}',
    ),
    "stoppedPricing": Field(_is_number, "must be a number of 0 or more: USD for each second a cancelled call had run"),
    "estimatedTime": Field(_is_number, "must be a number of 0 or more: the seconds a call usually takes", True),
    "supportedParams": Field(
        lambda value: isinstance(value, list) and all(_is_name(name) for name in value),
        "must be a list of the names of the model's parameters",
        True,
    ),
    "defaults": Field(lambda value: isinstance(value, dict), "must be an object: values by parameter"),
    "limits": Field(lambda value: isinstance(value, dict), "must be an object: limits by parameter"),
    "firstFrameParam": Field(_is_name, "must be the name of the parameter that takes the first frame"),
    "sizeTo": Field(_is_name, "must be the name of the parameter that takes an aspect ratio"),
    "deadlineSeconds": Field(_is_deadline, f"must be a whole number from {SHORTEST_DEADLINE} to {LONGEST_DEADLINE}"),
    "fallback": Field(_is_name, "must be the id of another model of this kind"),
}


def mistakes_of(registry: Any) -> list[Mistake]:
    """Everything that is wrong in a registry as its JSON was read, each by its path: `video.my-model.pricing`."""
    if not isinstance(registry, dict):
        return [Mistake("", 'must be a JSON object, as {"video": {"my-model": {...}}}')]
    return [mistake for kind, models in registry.items() for mistake in _of_kind(kind, models)]


def _of_kind(kind: str, models: Any) -> Iterator[Mistake]:
    if kind not in MEDIA_TYPES:
        yield Mistake(kind, unknown_sentence(kind, MEDIA_TYPES))
    elif not isinstance(models, dict):
        yield Mistake(kind, "must be an object: models by id")
    else:
        for model_id, entry in models.items():
            yield from _of_model(f"{kind}.{model_id}", entry)
            yield from _of_fallback(f"{kind}.{model_id}", entry, models)


def _of_model(path: str, entry: Any) -> Iterator[Mistake]:
    if not isinstance(entry, dict):
        yield Mistake(path, "must be an object: the fields of a model")
        return
    yield from (Mistake(f"{path}.{name}", unknown_sentence(name, FIELDS)) for name in entry if name not in FIELDS)
    for name, field in FIELDS.items():
        if name not in entry and field.required:
            yield Mistake(f"{path}.{name}", f"is required and {field.must}")
        elif name in entry and not field.is_right(entry[name]):
            yield Mistake(f"{path}.{name}", field.must)
    yield from _of_parameters(path, entry)


def _of_parameters(path: str, entry: Mapping[str, Any]) -> Iterator[Mistake]:
    """Parameters that are named outside `supportedParams`, and what is wrong with their limits."""
    supported: Any = entry.get("supportedParams")
    limits = entry.get("limits", {})
    if not (FIELDS["supportedParams"].is_right(supported) and isinstance(limits, dict)):
        return
    by_parameter = {name: entry[name] for name in _BY_PARAMETER if isinstance(entry.get(name), dict)}
    named = [(f"{name}.{parameter}", parameter) for name, values in by_parameter.items() for parameter in values]
    named += [(name, entry[name]) for name in ("firstFrameParam", "sizeTo") if _is_name(entry.get(name))]
    for where, parameter in named:
        if parameter not in supported:
            yield Mistake(f"{path}.{where}", _unsupported(parameter, supported))
    for parameter, limit in limits.items():
        yield from _of_limit(f"{path}.limits.{parameter}", limit)
    yield from _of_scaled(path, entry, limits)


def _unsupported(parameter: str, supported: list[str]) -> str:
    return f"names {parameter!r}, which is not in supportedParams ({', '.join(supported)}): add it there"


def _of_limit(path: str, limit: Any) -> Iterator[Mistake]:
    if not isinstance(limit, dict):
        yield Mistake(path, 'must be an object, as {"type": "integer", "minimum": 1}')
        return
    yield from (
        Mistake(f"{path}.{name}", unknown_sentence(name, LIMIT_FIELDS)) for name in limit if name not in LIMIT_FIELDS
    )
    if limit.get("type", "string") not in LIMIT_TYPES:
        yield Mistake(f"{path}.type", f"must be one of {', '.join(LIMIT_TYPES)}")
    if not isinstance(limit.get("enum", []), list):
        yield Mistake(f"{path}.enum", "must be a list of the values that are taken")
    if not isinstance(limit.get("required", False), bool):
        yield Mistake(f"{path}.required", "must be true or false")
    for name in ("minimum", "maximum", "maxLength"):
        if name in limit and not _is_number(limit[name], float("-inf")):
            yield Mistake(f"{path}.{name}", "must be a number")


def _of_scaled(path: str, entry: Mapping[str, Any], limits: Mapping[str, Any]) -> Iterator[Mistake]:
    """Parameters whose limits other fields need: a price grows by a number, a size becomes one of some ratios."""

    def limit_of(parameter: Any) -> Mapping[str, Any]:
        found = limits.get(parameter)
        return found if isinstance(found, dict) else {}

    scaled = entry.get("pricedUpTo")
    for parameter in scaled if isinstance(scaled, dict) else ():
        if limit_of(parameter).get("type") not in ("integer", "number"):
            yield Mistake(f"{path}.pricedUpTo.{parameter}", "must be a parameter whose limits have a type of number")
    size_to = entry.get("sizeTo")
    ratios = limit_of(size_to).get("enum") if isinstance(size_to, str) else None
    if isinstance(size_to, str) and not (
        ratios and all(isinstance(one, str) and _RATIO.fullmatch(one) for one in ratios)
    ):
        yield Mistake(f"{path}.sizeTo", "must be a parameter whose limits have an enum of ratios, as 16:9")


def _of_fallback(path: str, entry: Any, models: Mapping[str, Any]) -> Iterator[Mistake]:
    fallback: Any = entry.get("fallback") if isinstance(entry, dict) else None
    if _is_name(fallback) and fallback not in models:
        yield Mistake(f"{path}.fallback", unknown_sentence(fallback, models))
