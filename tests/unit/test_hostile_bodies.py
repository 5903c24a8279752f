"""Bodies that are large, deep or wrong everywhere: refused in time and memory of their size, by a bounded answer."""

from __future__ import annotations

import json
import time
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from pydantic import Field

from shared.domain.errors import LONGEST_MESSAGE, LONGEST_PATH, MOST_MISTAKES, InvalidRequest, Mistake
from shared.domain.json_text import parse_json
from shared.http import PAGE_BYTES, page_of
from shared.wire import DEEPEST_NESTING, Query, Serial, Wire, validated
from tests.integration.inside import CATALOG


class Body(Wire):
    number: Serial = 1
    things: dict[str, Any] = Field(default_factory=dict)


class Asked(Query):
    number: Serial = 1


def refused(given: Any, model: Any = Body) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refusal:
        validated(model, given)
    assert len(json.dumps([[m.path, m.message] for m in refusal.value.details])) < 1_000_000
    return refusal.value


def nested(depth: int, of: str = "[") -> Any:
    pair = {"[": ("[", "]"), "{": ('{"a": ', "}")}[of]
    return parse_json(pair[0] * depth + "1" + pair[1] * depth)


def test_of_a_body_wrong_everywhere_the_first_hundred_mistakes_are_named() -> None:
    began = time.monotonic()
    details = refused({f"field{number}": 1 for number in range(95_000)}).details

    assert len(details) == MOST_MISTAKES
    assert details[0].path == "field0"
    assert time.monotonic() - began < 5


def test_of_parameters_wrong_everywhere_the_first_hundred_are_named() -> None:
    began = time.monotonic()
    with pytest.raises(InvalidRequest) as refusal:
        CATALOG.model("image", "flux-schnell").resolve({"prompt": "x"} | {f"field{n}": 1 for n in range(95_000)})

    assert len(refusal.value.details) == MOST_MISTAKES
    assert time.monotonic() - began < 5


def test_texts_of_a_mistake_are_cut() -> None:
    (mistake,) = InvalidRequest("No.", details=[Mistake("p" * 10_000, "m" * 10_000)]).details

    assert (len(mistake.path), len(mistake.message)) == (LONGEST_PATH, LONGEST_MESSAGE)


@pytest.mark.parametrize("of", ["[", "{"])
@pytest.mark.parametrize("depth", [DEEPEST_NESTING, 300, 700])
def test_what_is_nested_deeper_than_anything_can_keep_is_refused(of: str, depth: int) -> None:
    (mistake,) = refused({"things": {"a": nested(depth, of)}}).details

    assert mistake.message == f"must be nested less than {DEEPEST_NESTING} deep"
    assert mistake.path.startswith("things.a")


def test_what_is_not_as_deep_is_taken() -> None:
    body = validated(Body, {"things": {"a": nested(DEEPEST_NESTING - 3)}})

    assert body.things


LONG = "k" * 50_000
LARGE = {
    "a long name over many": {"things": {LONG: [[]] * 15_000}},
    "a long name over many names": {"things": {LONG: {str(n): "v" for n in range(5_000)}}},
    "long names inside one another": {"things": {LONG: {LONG: {"a": {"b": "\0"}}}}},
}


@pytest.mark.parametrize("given", LARGE.values(), ids=LARGE)
def test_looking_through_a_body_takes_memory_of_its_own_size(given: dict[str, Any]) -> None:
    size = len(json.dumps(given))
    tracemalloc.start()
    with suppress(InvalidRequest):
        validated(Body, given)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 60 * size


@pytest.mark.parametrize("digits", [401, 4_300, 5_000])
def test_a_number_of_many_digits_in_a_query_is_refused(digits: int) -> None:
    (mistake,) = refused({"number": "1" * digits}, Asked).details

    assert mistake.path == "number"


def test_a_page_ends_before_its_answer_is_too_large() -> None:
    item = {"content": '\u00e9\n"' * 100_000}
    page = page_of([item] * 14)

    assert 0 < len(page) < 14
    assert len(json.dumps(json.dumps(page))) <= PAGE_BYTES + 100
    assert len(page_of([item] * 14, beside={"x": "y" * 3_000_000})) < len(page)
    assert page_of([{"content": "x" * PAGE_BYTES}]) != []
    assert page_of([{"a": 1}] * 500) == [{"a": 1}] * 500
