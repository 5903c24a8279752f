"""The registry of models: what each takes, what it costs and how long it takes. Data decides, not code."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

from shared.domain.errors import MOST_MISTAKES, BrokenRegistry, InvalidRequest, Mistake, NotFound
from shared.domain.json_text import LEAST_INTEGER, MOST_INTEGER, parse_json, whole_number
from shared.domain.nearest_names import nearest, unknown_sentence
from shared.domain.prices import Price, PricedBy, PricedUpTo
from shared.domain.registry_fields import IMAGE, LONGEST_DEADLINE, mistakes_of
from shared.domain.sources import FIRST_FRAME, image_problem

DEADLINE_FACTOR = 10
# Of a model whose entry names none.
SHORTEST_DEADLINE_SECONDS = 300
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_INTEGERS: Mapping[str, Any] = {"minimum": LEAST_INTEGER, "maximum": MOST_INTEGER}


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of the registry. Prices in USD a `pricing_unit`; times in seconds."""

    media_type: str
    model_id: str
    version: str
    provider: str
    price_usd: Decimal
    pricing_unit: str
    estimated_seconds: Decimal
    supported: tuple[str, ...]
    defaults: Mapping[str, Any]
    limits: Mapping[str, Mapping[str, Any]]
    first_frame_param: str | None = None
    size_to: str | None = None
    deadline_seconds: int | None = None
    fallback: str | None = None
    priced_by: PricedBy | None = None
    priced_up_to: PricedUpTo | None = None
    stopped_second_usd: Decimal | None = None

    def price(self, parameters: Mapping[str, Any]) -> Price:
        """The price of a call with these resolved parameters."""
        unit_usd = self.priced_by.usd(parameters) if self.priced_by else None
        price = Price(
            self.price_usd if unit_usd is None else unit_usd,
            self.pricing_unit,
            self.estimated_seconds,
            self.stopped_second_usd,
        )
        return self.priced_up_to.scaled(price, parameters) if self.priced_up_to else price

    @property
    def image_fields(self) -> frozenset[str]:
        """Its parameters that are pictures."""
        named = {name for name, limit in self.limits.items() if limit.get("type") == IMAGE}
        return frozenset(named if self.first_frame_param is None else named | {self.first_frame_param})

    @property
    def patience_seconds(self) -> int:
        """From the request to the job's deadline: the registry's, else a multiple of the usual time."""
        usual = int(self.estimated_seconds * DEADLINE_FACTOR)
        return self.deadline_seconds or min(max(usual, SHORTEST_DEADLINE_SECONDS), LONGEST_DEADLINE)

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters to send: given over defaults. Raises InvalidRequest naming every mistake."""
        framed, mistakes = self._framed({name: whole_number(value) for name, value in given.items()})
        parameters, wrong_size = self._sized(framed)
        mistakes += wrong_size + [
            Mistake(f"parameters.{name}", unknown_sentence(name, self._known))
            for name in islice((name for name in parameters if name not in self.supported), MOST_MISTAKES)
        ]
        resolved = {**self.defaults, **{name: value for name, value in parameters.items() if value is not None}}
        mistakes += [
            Mistake(f"parameters.{self._as_given(name, given)}", problem)
            for name, limit in self._limits.items()
            if (problem := _problem(resolved.get(name), limit))
        ]
        if mistakes:
            raise InvalidRequest(f"Some parameters do not fit {self.model_id}; `details` names each.", details=mistakes)
        return resolved

    def resolve_for(self, model: Model, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters to send, of those given for another model only what this one knows. Raises as `resolve`."""
        common = {FIRST_FRAME if name == model.first_frame_param else name: value for name, value in given.items()}
        return self.resolve({name: value for name, value in common.items() if name in self._known})

    @property
    def _known(self) -> tuple[str, ...]:
        frame = () if self.first_frame_param is None else (FIRST_FRAME,)
        return (*self.supported, *frame, *(("width", "height") if self.size_to else ()))

    @property
    def _limits(self) -> Mapping[str, Mapping[str, Any]]:
        """With the first frame as a picture, also where the registry says nothing of that field."""
        return {**self.limits, **{name: {**self.limits.get(name, {}), "type": IMAGE} for name in self.image_fields}}

    def _as_given(self, name: str, given: Mapping[str, Any]) -> str:
        return FIRST_FRAME if name == self.first_frame_param and FIRST_FRAME in given else name

    def _framed(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Mistake]]:
        """The first frame under the name the model has for it."""
        parameters, own = dict(given), self.first_frame_param
        if own is None or FIRST_FRAME not in parameters:
            return parameters, []
        if parameters.get(own) is not None:
            return parameters, [Mistake(f"parameters.{FIRST_FRAME}", f"is {own} of this model: give only one of them")]
        parameters[own] = parameters.pop(FIRST_FRAME)
        return parameters, []

    def _sized(self, parameters: dict[str, Any]) -> tuple[dict[str, Any], list[Mistake]]:
        """Width and height become the nearest ratio where the model knows only ratios."""
        if self.size_to is None or not {"width", "height"} & parameters.keys():
            return parameters, []
        width, height = parameters.pop("width", 1024), parameters.pop("height", 1024)
        if not (_is_size(width) and _is_size(height)):
            return parameters, [Mistake("parameters.width", "width and height must be whole numbers above 0")]
        ratios = self.limits[self.size_to]["enum"]
        parameters.setdefault(self.size_to, min(ratios, key=lambda ratio: _distance(ratio, width / height)))
        return parameters, []


@dataclass(frozen=True, slots=True)
class Catalog:
    """All models by media type and id."""

    models: Mapping[str, Mapping[str, Model]]

    def model(self, media_type: str, model_id: str) -> Model:
        """The model that a body names.

        Raises InvalidRequest: `unknown_model` with the nearest known name, or `wrong_media_type` with the right one.
        """
        of_type = self.models.get(media_type, {})
        if model_id in of_type:
            return of_type[model_id]
        elsewhere = [kind for kind, models in self.models.items() if model_id in models]
        if elsewhere:
            sentence = f"{model_id} makes {elsewhere[0]}, not {media_type}: send mediaType {elsewhere[0]}."
            raise InvalidRequest(sentence, code="wrong_media_type", details=[Mistake("mediaType", sentence)])
        sentence = f"There is no {media_type} model {model_id!r}" + nearest(model_id, of_type) + "."
        raise InvalidRequest(sentence, code="unknown_model", details=[Mistake("modelId", sentence)])

    def find(self, media_type: str, model_id: str) -> Model:
        """The model that a path names. Raises NotFound (`unknown_model`)."""
        try:
            return self.models[media_type][model_id]
        except KeyError:
            raise NotFound(
                f"There is no {media_type} model {model_id!r}: GET /models lists them.", code="unknown_model"
            ) from None


def read_catalog(text: str, source: str) -> Catalog:
    """The registry from its JSON text. Raises BrokenRegistry, which names the source and every bad field."""
    try:
        config = parse_json(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BrokenRegistry(source, [Mistake(where, f"is no JSON: {error.msg}")]) from None
    except (ValueError, RecursionError) as error:
        raise BrokenRegistry(source, [Mistake("", f"is no JSON: {error}")]) from None
    return parse_catalog(config, source)


def parse_catalog(config: Any, source: str = "MODELS_CONFIG") -> Catalog:
    """The registry from its JSON form (`registry_fields.py`). Raises BrokenRegistry naming every bad field."""
    mistakes = mistakes_of(config)
    if mistakes:
        raise BrokenRegistry(source, mistakes)
    return Catalog(
        {
            media_type: {model_id: _model(media_type, model_id, entry) for model_id, entry in entries.items()}
            for media_type, entries in config.items()
        }
    )


def _model(media_type: str, model_id: str, entry: Mapping[str, Any]) -> Model:
    return Model(
        media_type=media_type,
        model_id=model_id,
        version=entry["version"],
        provider=entry.get("provider", "replicate"),
        price_usd=Decimal(str(entry["pricing"])),
        pricing_unit=entry.get("pricingUnit", "run"),
        estimated_seconds=Decimal(str(entry["estimatedTime"])),
        supported=tuple(entry["supportedParams"]),
        defaults=dict(entry.get("defaults", {})),
        limits=dict(entry.get("limits", {})),
        first_frame_param=entry.get("firstFrameParam"),
        size_to=entry.get("sizeTo"),
        deadline_seconds=entry.get("deadlineSeconds"),
        fallback=entry.get("fallback"),
        priced_by=_priced_by(entry.get("pricingBy")),
        priced_up_to=_priced_up_to(entry.get("pricedUpTo", {})),
        stopped_second_usd=Decimal(str(entry["stoppedPricing"])) if "stoppedPricing" in entry else None,
    )


def _priced_by(entry: Mapping[str, Mapping[str, Any]] | None) -> PricedBy | None:
    if entry is None:
        return None
    ((parameter, prices),) = entry.items()
    return PricedBy(parameter, {str(value): Decimal(str(usd)) for value, usd in prices.items()})


def _priced_up_to(entry: Mapping[str, Any]) -> PricedUpTo | None:
    values = {name: Decimal(str(value)) for name, value in entry.items()}
    return PricedUpTo(values) if values else None


def _problem(value: Any, limit: Mapping[str, Any]) -> str | None:
    if value is None:
        return "is required" if limit.get("required") else None
    kind = limit.get("type", "string")
    if kind == IMAGE:
        return image_problem(value)
    if not _is_of_type(value, kind):
        return f"must be of type {kind}"
    if "enum" in limit and value not in limit["enum"]:
        return f"must be one of {', '.join(map(str, limit['enum']))}"
    if isinstance(value, str):
        return _text_problem(value, limit)
    return _range_problem(value, {**_INTEGERS, **limit} if kind == "integer" else limit)


def _is_of_type(value: Any, kind: str) -> bool:
    """An integer by its value: one that 64 bits do not hold comes as a float, and is out of range."""
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, float) and value.is_integer())


def _text_problem(value: str, limit: Mapping[str, Any]) -> str | None:
    if limit.get("required") and not value.strip():
        return "must not be empty"
    longest = limit.get("maxLength", 100_000)
    return f"must have at most {longest} characters" if len(value) > longest else None


def _range_problem(value: Any, limit: Mapping[str, Any]) -> str | None:
    # Not math.isfinite, which fails on integers beyond the range of a double.
    if not -math.inf < value < math.inf:
        return "must be a finite number"
    if value < limit.get("minimum", -math.inf) or value > limit.get("maximum", math.inf):
        return f"must be between {limit.get('minimum', '-')} and {limit.get('maximum', '-')}"
    return None


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 65536


def _distance(ratio: str, wanted: float) -> float:
    across, down = ratio.split(":")
    return abs(math.log(int(across) / int(down) / wanted))
