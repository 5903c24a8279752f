"""Costs by every pricing unit, to the millionth of a dollar."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from shared.domain.prices import Price, Used

SEEN = Used(predict_seconds=4.1, images=3, media_seconds=2.9, tokens=1234)


def price(unit: str, usd: str = "0.1", stopped: str | None = None) -> Price:
    return Price(Decimal(usd), unit, Decimal(10), None if stopped is None else Decimal(stopped))


@pytest.mark.parametrize(
    ("unit", "usd", "parameters", "cost"),
    [
        ("run", "0.02", {}, "0.02"),
        ("second", "0.036", {"duration": 3}, "0.108"),
        ("second", "0.1", {"duration": 0.7}, "0.07"),
        ("computeSecond", "0.000975", {}, "0.00975"),
        ("image", "0.003", {"num_outputs": 4}, "0.012"),
        ("image", "0.003", {}, "0.003"),
        # 512 written, 64 of the template, 30 + 20 bytes of text.
        ("token", "0.00000025", {"max_tokens": 512, "prompt": "x" * 30, "system_prompt": "y" * 20}, "0.000157"),
        ("token", "0.00000025", {"max_tokens": 512, "prompt": "\u65e5" * 30}, "0.000167"),
    ],
)
def test_an_estimate_is_what_a_call_may_cost(unit: str, usd: str, parameters: dict[str, Any], cost: str) -> None:
    assert price(unit, usd).estimate_usd(parameters) == Decimal(cost)


@pytest.mark.parametrize(
    ("unit", "usd", "cost"),
    [
        ("run", "0.02", "0.02"),
        ("second", "0.036", "0.1044"),
        ("computeSecond", "0.000975", "0.003998"),
        ("image", "0.003", "0.009"),
        ("token", "0.00000025", "0.000309"),
    ],
)
def test_an_actual_cost_is_what_the_provider_counted(unit: str, usd: str, cost: str) -> None:
    assert price(unit, usd).actual_usd({"duration": 5, "num_outputs": 1, "max_tokens": 9}, SEEN) == Decimal(cost)


@pytest.mark.parametrize("unit", ["run", "second", "computeSecond", "image", "token"])
def test_a_price_above_zero_never_rounds_to_zero(unit: str) -> None:
    tiny, one = price(unit, "0.0000000001"), Used(predict_seconds=0.1, images=1, media_seconds=0.1, tokens=1)

    assert tiny.estimate_usd({"max_tokens": 1, "prompt": "x"}) == Decimal("0.000001")
    assert tiny.actual_usd({"max_tokens": 1, "prompt": "x"}, one) == Decimal("0.000001")


@pytest.mark.parametrize("unit", ["second", "computeSecond", "image", "token"])
def test_a_success_that_is_reported_as_no_use_costs_the_estimate(unit: str) -> None:
    none = Used(predict_seconds=0.0, images=0, media_seconds=0.0, tokens=0)

    assert price(unit).actual_usd({"duration": 5}, none) == price(unit).estimate_usd({"duration": 5}) > 0


def test_a_second_that_a_stopped_call_ran_is_rounded_up() -> None:
    assert price("computeSecond", "0.0000000001").stopped_usd({}, SEEN) == Decimal("0.000001")


@pytest.mark.parametrize("unit", ["run", "second", "computeSecond", "image", "token"])
def test_what_the_provider_does_not_count_costs_what_was_expected(unit: str) -> None:
    parameters = {"duration": 5, "num_outputs": 2, "max_tokens": 9}

    assert price(unit).actual_usd(parameters, Used()) == price(unit).estimate_usd(parameters)


@pytest.mark.parametrize(
    ("unit", "stopped", "cost"),
    [
        ("computeSecond", None, "0.41"),
        ("computeSecond", "0.0014", "0.41"),
        ("second", "0.0014", "0.00574"),
        ("image", None, "0.2"),
    ],
)
def test_a_cancelled_call_costs_the_time_it_ran(unit: str, stopped: str | None, cost: str) -> None:
    parameters = {"duration": 5, "num_outputs": 2}

    assert price(unit, stopped=stopped).stopped_usd(parameters, SEEN) == Decimal(cost)
    assert price(unit, stopped=stopped).stopped_usd(parameters, Used()) == 0


@pytest.mark.parametrize("stopped", [None, "0.0014"])
def test_an_attempts_row_keeps_its_price(stopped: str | None) -> None:
    kept = price("second", "0.1", stopped)

    assert Price.of(kept.kept()) == kept
