"""One kind of number in JSON: 2, 2.0 and 2e0 are the same, whatever is made of them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from shared.domain.errors import InvalidRequest
from shared.domain.json_text import MOST_INTEGER, parse_json
from shared.wire import Serial, Wire, validated


class Body(Wire):
    number: Serial
    named: int | str = 1
    shares: float = 1


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", 2), ("2.0", 2), ("2e0", 2), ("20E-1", 2), ("-3.0", -3), ("-0.0", 0), ("1e17", 10**17), ("[[2.0]]", [[2]])],
)
def test_an_integral_number_is_read_as_an_integer(text: str, value: Any) -> None:
    read = parse_json(text)

    assert (read, str(read)) == (value, str(value))


@pytest.mark.parametrize("text", ["2.5", "1e-3", "2.0e30", "9223372036854775808.0", "1.7e308"])
def test_other_numbers_stay_floats(text: str) -> None:
    read = parse_json(text)

    assert (type(read), read) == (float, float(text))


@pytest.mark.parametrize("text", ["1e400", "1" + "0" * 400, "9" * 309, "9" * 5000])
def test_a_number_beyond_a_double_is_infinite_however_it_is_written(text: str) -> None:
    assert (parse_json(text), parse_json(f"-{text}")) == (math.inf, -math.inf)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "2.", ".5", "0x2", "2.0.0"])
def test_what_is_no_json_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (json's own, and ours)
        parse_json(text)


@pytest.mark.parametrize("text", ["7.0", "7e0", "70e-1", "2e9", "2147483647.0"])
def test_an_integer_field_takes_it_in_every_spelling(text: str) -> None:
    body = validated(Body, parse_json(f'{{"number": {text}, "named": {text}, "shares": {text}}}'))

    assert (body.number, body.named, body.shares) == (int(float(text)), int(float(text)), float(text))
    assert (type(body.number), type(body.named)) == (int, int)


@pytest.mark.parametrize(
    ("field", "text", "problem"),
    [
        ("number", "7.5", "must be a valid integer"),
        ("number", "true", "must be a valid integer"),
        ("number", "2147483648.0", "must be less than or equal to 2147483647"),
        ("number", "2.0e30", f"must be an integer between -9223372036854775808 and {MOST_INTEGER}"),
        ("number", "1e400", "must be a finite number"),
        ("number", "1" + "0" * 400, "must be a finite number"),
        ("named", "7.5", "must be a valid integer"),
        ("named", "true", "must be a valid integer"),
        ("shares", "false", "must be a valid number"),
    ],
)
def test_what_is_no_integer_is_named_by_its_field(field: str, text: str, problem: str) -> None:
    given = parse_json(f'{{"number": 1, "{field}": {text}}}')

    with pytest.raises(InvalidRequest) as refused:
        validated(Body, given)

    assert [(mistake.path, mistake.message) for mistake in refused.value.details] == [(field, problem)]
