"""The rate of a film: what most of it has, within what is shown as a film at all."""

from __future__ import annotations

from fractions import Fraction

import pytest

from shared.media.target import HIGHEST_RATE, LOWEST_RATE, film_rate


@pytest.mark.parametrize("usual", ["10", "12", "24", "30000/1001", "60", "120"])
def test_a_film_has_the_usual_rate_of_its_clips(usual: str) -> None:
    assert film_rate([Fraction(24), Fraction(usual)], Fraction(usual)) == Fraction(usual)


@pytest.mark.parametrize("slow", ["1/3", "1", "5", "9", "0"])
def test_a_slide_show_takes_the_rate_of_the_fastest_clip(slow: str) -> None:
    rates = [Fraction(slow), Fraction(24), Fraction(30000, 1001), Fraction(12)]
    assert film_rate(rates, Fraction(slow)) == Fraction(30000, 1001)


@pytest.mark.parametrize(("rate", "expected"), [("1/3", 10), ("4", 12), ("7", 14), ("5/2", 10), ("1/7", 10), ("9", 18)])
def test_slide_shows_alone_get_a_whole_multiple_of_their_rate(rate: str, expected: int) -> None:
    assert film_rate([Fraction(1, 9), Fraction(rate)], Fraction(1, 9)) == expected


@pytest.mark.parametrize(
    ("rate", "expected"), [("240", "120"), ("144", "72"), ("1000", "1000/9"), ("90000", "120"), ("121", "121/2")]
)
def test_a_rate_no_screen_shows_is_divided_by_a_whole_number(rate: str, expected: str) -> None:
    assert film_rate([Fraction(rate)], Fraction(rate)) == Fraction(expected)


@pytest.mark.parametrize("rate", ["599/10", "59.9", "23.97"])
def test_an_average_near_a_usual_rate_is_that_rate(rate: str) -> None:
    assert film_rate([Fraction(rate)], Fraction(rate)) in (Fraction(60000, 1001), Fraction(24000, 1001))


def test_clips_without_any_rate_get_one() -> None:
    assert LOWEST_RATE <= film_rate([Fraction(0)], Fraction(0)) <= HIGHEST_RATE
