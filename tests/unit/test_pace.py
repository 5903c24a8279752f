"""The pace of a provider: a bucket that learns from its answers, and a breaker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.pace import FAILURES_TO_OPEN, OPEN_FOR, SLOWEST_PER_SECOND, Pace

START = datetime(2026, 1, 1, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def leave(pace: Pace, calls: int, now: datetime) -> Pace:
    for _ in range(calls):
        assert pace.wait_seconds(now) == 0
        pace = pace.taken(now)
    return pace


def test_a_rested_bucket_gives_its_burst_and_then_its_rate() -> None:
    pace = leave(Pace.fresh("replicate", START), 20, START)

    assert pace.wait_seconds(START) == pytest.approx(0.1)
    assert leave(pace, 10, after(1)).wait_seconds(after(1)) > 0


def test_in_a_minute_no_more_calls_leave_than_replicate_allows() -> None:
    pace, left, now = leave(Pace.fresh("replicate", START), 20, START), 0, START
    while now < after(60):
        now += timedelta(seconds=max(pace.wait_seconds(now), 0.001))
        pace, left = (pace.taken(now), left + 1) if pace.wait_seconds(now) == 0 else (pace, left)

    assert 590 <= left <= 600


def test_after_a_429_nobody_calls_before_the_time_the_provider_gave() -> None:
    pace = Pace.fresh("replicate", START).throttled(START, 30)

    assert pace.wait_seconds(after(29)) == pytest.approx(1)
    assert pace.wait_seconds(after(31)) == 0
    assert pace.rate_per_second == 5


def test_the_rate_never_falls_to_nothing_and_comes_back_with_answers() -> None:
    pace = Pace.fresh("replicate", START)
    for _ in range(20):
        pace = pace.throttled(START, 1)
    assert pace.rate_per_second == SLOWEST_PER_SECOND

    for _ in range(200):
        pace = pace.answered(START)

    assert pace.rate_per_second == 10


def test_failures_in_a_row_open_the_breaker_and_one_call_tries_it() -> None:
    pace = Pace.fresh("replicate", START)
    for _ in range(FAILURES_TO_OPEN):
        assert pace.wait_seconds(START) == 0
        pace = pace.failed(START)

    assert pace.wait_seconds(START) == OPEN_FOR.total_seconds()
    trial = pace.taken(START + OPEN_FOR)
    assert trial.wait_seconds(START + OPEN_FOR) > 0
    assert trial.answered(START + OPEN_FOR).wait_seconds(START + OPEN_FOR) == 0
    assert trial.failed(START + OPEN_FOR).wait_seconds(START + OPEN_FOR) == OPEN_FOR.total_seconds()


def test_one_answer_between_failures_keeps_the_breaker_closed() -> None:
    pace = Pace.fresh("replicate", START)
    for _ in range(3 * FAILURES_TO_OPEN):
        pace = pace.failed(START).answered(START)

    assert pace.wait_seconds(START) == 0


def test_the_rate_is_what_the_provider_says_is_left() -> None:
    pace = Pace.fresh("replicate", START)

    assert pace.told(START, 30, 60).rate_per_second == 0.5
    assert leave(pace.told(START, 3, 60), 3, START).wait_seconds(START) > 0
    assert pace.told(START, 599, 1).rate_per_second == 10
    assert pace.throttled(START, 0).told(START, 599, 60).rate_per_second == pytest.approx(599 / 60)


def test_with_nothing_left_everybody_waits_for_the_reset() -> None:
    pace = Pace.fresh("replicate", START).told(START, 0, 25)

    assert pace.wait_seconds(after(24)) >= 1
    assert pace.wait_seconds(after(26)) == 0


def test_a_clock_that_is_behind_takes_no_tokens_away() -> None:
    pace = Pace.fresh("replicate", after(600)).taken(after(600))

    assert pace.wait_seconds(START) == 0
    assert leave(pace, 5, START).tokens > 10
