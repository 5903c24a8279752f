"""What is wrong with a field is said in our words, whatever pydantic calls it."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from shared import wire
from shared.domain.errors import InvalidRequest

OURS = re.compile(r"must |is required|is not what this field takes|unknown field|has [0-9]+ clips")
WRONG: list[Any] = [
    None,
    True,
    1,
    1.5,
    -1,
    0,
    10**30,
    math.nan,
    math.inf,
    "",
    "x",
    "1.5",
    "x" * 600_000,
    "9" * 5_000,
    "9" * 401,
    [],
    [None],
    [[]],
    [{}],
    [1.5],
    ["x"] * 201,
    [{"a": 1}],
    {},
    {"a": 1},
    "2026-13-01",
    "0001-01-01T00:00:00+14:00",
    "https://[x",
    "\ud800",
]


def models() -> Iterator[type[BaseModel]]:
    for file in sorted((Path(__file__).parents[2] / "functions").glob("*/handler.py")):
        importlib.import_module(f"functions.{file.parent.name}.handler")
    left = [*wire.Wire.__subclasses__(), *wire.Query.__subclasses__()]
    while left:
        model = left.pop()
        left += model.__subclasses__()
        if model.__module__.startswith("functions."):
            yield model


MODELS = sorted(models(), key=str)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_objection_to_every_field_is_in_our_words(model: type[BaseModel]) -> None:
    fields = {field.alias or name for name, field in model.model_fields.items()}
    for given in [{}, {"unknown": 1}, *({name: value} for name in fields for value in WRONG)]:
        for mistake in objections(model, given):
            assert OURS.match(mistake), (given, mistake)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_kind_of_objection_has_its_words(model: type[BaseModel]) -> None:
    known = wire.WORDS.keys() | {"extra_forbidden", "value_error"}
    fields = {field.alias or name for name, field in model.model_fields.items()}

    assert {kind for name in fields for value in WRONG for kind in kinds(model, {name: value})} <= known


def test_words_need_nothing_that_pydantic_does_not_say() -> None:
    class Model(wire.Wire):
        name: str = "x"

    assert objections(Model, {"name": 5}) == ["must be text"]
    for words in wire.WORDS.values():
        assert OURS.match(words), words


def objections(model: type[BaseModel], given: dict[str, Any]) -> list[str]:
    try:
        wire.validated(model, given)
    except InvalidRequest as refusal:
        return [mistake.message for mistake in refusal.details]
    return []


def kinds(model: type[BaseModel], given: dict[str, Any]) -> set[str]:
    try:
        model.model_validate(given)
    except ValidationError as error:
        return {str(one["type"]) for one in error.errors()}
    return set()
