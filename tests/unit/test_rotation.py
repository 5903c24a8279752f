"""Which values of a rotated secret are accepted and which one signs, by the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from operate import secrets as command
from shared.domain.rotation import CACHED_SECONDS, OVERLAP, SIGNS_AFTER, RotatedSecret

ROTATED_AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
ROTATED = RotatedSecret("new", "old", ROTATED_AT)


def test_both_values_are_accepted_for_a_day_and_one_after_it() -> None:
    assert ROTATED.accepted(ROTATED_AT) == ("new", "old")
    assert ROTATED.accepted(ROTATED_AT + OVERLAP - timedelta(seconds=1)) == ("new", "old")
    assert ROTATED.accepted(ROTATED_AT + OVERLAP) == ("new",)


def test_the_new_value_signs_once_no_function_can_know_the_old_one_alone() -> None:
    assert ROTATED.signing(ROTATED_AT) == "old"
    assert ROTATED.signing(ROTATED_AT + timedelta(seconds=CACHED_SECONDS + 5)) == "old"
    assert ROTATED.signing(ROTATED_AT + SIGNS_AFTER) == "new"


@pytest.mark.parametrize("signed", range(-60, 300, 10))
def test_a_signature_of_any_moment_is_accepted_by_a_function_that_read_the_secret_within_a_minute(signed: int) -> None:
    signature = known_at(signed).signing(after(signed))

    refused = [
        (came, kept)
        for came in range(signed, 300, 10)
        for kept in range(0, CACHED_SECONDS + 1, 5)
        if signature not in known_at(came - kept).accepted(after(came))
    ]

    assert refused == []


def known_at(seconds: int) -> RotatedSecret:
    """What a function reads so many seconds after the rotation."""
    return ROTATED if seconds >= 0 else RotatedSecret("old")


def after(seconds: int) -> datetime:
    return ROTATED_AT + timedelta(seconds=seconds)


def test_a_value_that_replaced_none_signs_and_is_accepted_at_once() -> None:
    alone = RotatedSecret("new", None, ROTATED_AT)

    assert alone.signing(ROTATED_AT) == "new"
    assert alone.accepted(ROTATED_AT) == ("new",)


def test_values_are_in_no_text_of_a_secret() -> None:
    assert "new" not in f"{ROTATED!r} {ROTATED}"


def test_the_operators_command_and_the_functions_mean_the_same_day() -> None:
    assert command.OVERLAP == OVERLAP
