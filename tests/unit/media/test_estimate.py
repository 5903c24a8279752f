"""How long a plan takes and what it costs, by numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from shared.media.compare import ProbedClip
from shared.media.estimate import LEAST_RUNS, Estimate, Reckoning, estimate, reckon
from shared.media.plan import CompilePlan
from shared.media.target import Target
from tests.unit.media.probed import MATROSKA, h264, late, other, without_facts

MB, MIB = 10**6, 1024**2
# 640x360, 48 frames: 11,059,200 pixels, which take 0.0442368 s to decode.
A = h264()
DECODED_SECONDS = 640 * 360 * 48 / 250e6
TARGET = Target(1280, 720, Fraction(30), 44100, 2)
SPLICE = CompilePlan("splice", 0, None, (), ())


def test_a_small_splice_passes_through_memory_twice() -> None:
    found = reckon(SPLICE, [A, A], [10 * MB, 20 * MB])

    # 0.1 s to start, 0.02 s a clip, 60 MB at 60 MB/s; 60 MB are seven reads of 8 MiB.
    assert found == Reckoning(pytest.approx(0.1 + 2 * 0.02 + 1), 60 * MB, 0, 3, 2 * 3 + 7)


def test_a_large_splice_is_copied_but_for_five_mebibytes_a_clip() -> None:
    sizes = [50 * MIB, 30 * MIB, 4 * MIB]

    found = reckon(SPLICE, [A, A, A], sizes)

    copied, through = (45 + 25) * MIB, 2 * (5 + 5 + 4) * MIB
    seconds = 0.1 + 3 * 0.02 + through / 60e6 + copied / 500e6
    assert found == Reckoning(pytest.approx(seconds), through, copied, 4, 2 * 4 + 3)


@pytest.mark.parametrize(("size", "copied"), [(64 * MIB, 0), (64 * MIB + 1, 59 * MIB + 1)])
def test_up_to_64_mebibytes_nothing_is_copied(size: int, copied: int) -> None:
    assert reckon(SPLICE, [A], [size]).bytes_copied == copied


@pytest.mark.parametrize("probe", [A, without_facts(A)], ids=["facts", "index"])
def test_clips_that_were_not_decoded_before_are_decoded(probe: ProbedClip) -> None:
    proved, unproved = (reckon(SPLICE, [probe], [6 * MB], proved=known) for known in (True, False))

    assert unproved.bytes_through == proved.bytes_through + 6 * MB
    assert unproved.seconds - proved.seconds == pytest.approx(DECODED_SECONDS + 0.1)


def test_a_copy_reads_all_and_its_remuxed_clips_twice_more() -> None:
    plan = CompilePlan("copy", 0, TARGET, (), (), rewrapped=(1,))

    found = reckon(plan, [A, other(MATROSKA)], [6 * MB, 3 * MB])

    # In and out, looked through, the second one read and written, all of it decoded: 18 + 9 + 6 + 9.
    assert found.bytes_through == 42 * MB
    assert found.seconds == pytest.approx(0.1 + 3 * 0.02 + 42 / 60 + 2 * DECODED_SECONDS)
    assert (found.puts, found.gets) == (4, 2 * 4 + 5)


def test_a_single_audio_track_is_read_once_more() -> None:
    plan = CompilePlan("copy", 0, TARGET, (), ())

    own, single = (reckon(replace(plan, whole_sound=whole), [A], [6 * MB]) for whole in (False, True))

    assert (own.bytes_through, single.bytes_through) == (24 * MB, 30 * MB)


@pytest.mark.parametrize(("strategy", "encoded"), [("smart", (1,)), ("encode", (0, 1))])
def test_encoded_clips_take_as_long_as_the_frames_they_become(strategy: str, encoded: tuple[int, ...]) -> None:
    plan = CompilePlan(strategy, 0, TARGET, encoded, ())

    found = reckon(plan, [A, A], [6 * MB, 6 * MB])

    # Two seconds are 60 frames of 1280x720: 55,296,000 pixels, which take 0.9216 s each.
    clips, through = len(encoded), (24 + 12 + 12) * MB + 2 * len(encoded) * 6 * MB
    seconds = 0.1 + (2 + clips) * 0.02 + through / 60e6 + 2 * DECODED_SECONDS + clips * 0.9216
    assert (found.bytes_through, found.seconds) == (through, pytest.approx(seconds))


def test_a_held_first_frame_is_encoded_too() -> None:
    plan = CompilePlan("encode", 0, TARGET, (0,), ())

    at_once, held = (reckon(plan, [probe], [MB]).seconds for probe in (A, late(A, Fraction(1))))

    assert held - at_once == pytest.approx(0.9216 / 2)


def test_runs_are_not_learnt_from_before_there_are_enough() -> None:
    runs = [(1.0, 10.0)] * (LEAST_RUNS - 1)

    found = estimate(Reckoning(2.0, 0, 0, 0, 0), runs, 1024)

    assert found == Estimate(2.0, 0.8, 6.0, Decimal("0.000027"), LEAST_RUNS - 1)


def test_enough_runs_correct_the_seconds_and_the_band() -> None:
    # Shares 1, 1.5, 2, 2.5 and 3: the median is 2, a tenth lies below 1.2 and above 2.8.
    runs = [(2.0, 2.0), (1.0, 3.0), (2.0, 3.0), (4.0, 8.0), (2.0, 5.0)]

    found = estimate(Reckoning(10.0, 0, 0, 0, 0), runs, 1024)

    assert (found.seconds, found.low_seconds, found.high_seconds, found.runs) == (20.0, 12.0, 28.0, 5)


def test_runs_that_were_reckoned_to_take_no_time_do_not_count() -> None:
    runs = [(0.0, 5.0)] + [(1.0, 10.0)] * (LEAST_RUNS - 1)

    found = estimate(Reckoning(2.0, 0, 0, 0, 0), runs, 1024)

    assert (found.seconds, found.runs) == (2.0, LEAST_RUNS - 1)


@pytest.mark.parametrize(
    ("reckoning", "memory_mb", "cost"),
    [
        # 20 GB-seconds at 0.0000133334 are 0.000266668; 4 PUTs at 0.000005, 15 GETs at 0.0000004.
        (Reckoning(10.0, 0, 0, 0, 0), 2048, "0.000267"),
        (Reckoning(10.0, 0, 0, 4, 15), 2048, "0.000293"),
        (Reckoning(0.0, 0, 0, 4, 15), 2048, "0.000026"),
        (Reckoning(0.0, 0, 0, 0, 5), 2048, "0.000002"),
        (Reckoning(0.0, 0, 0, 0, 1), 2048, "0.000000"),
        (Reckoning(3600.0, 0, 0, 10_000, 0), 10_240, "0.530002"),
    ],
)
def test_the_cost_is_memory_by_time_and_requests_to_a_millionth(
    reckoning: Reckoning, memory_mb: int, cost: str
) -> None:
    assert estimate(reckoning, [], memory_mb).cost_usd == Decimal(cost)


def test_a_corrected_estimate_costs_what_the_corrected_seconds_do() -> None:
    found = estimate(Reckoning(10.0, 0, 0, 0, 0), [(1.0, 3.0)] * LEAST_RUNS, 1024)

    assert (found.seconds, found.cost_usd) == (30.0, Decimal("0.000400"))


def test_seconds_are_rounded_to_milliseconds() -> None:
    found = estimate(Reckoning(0.12345, 0, 0, 0, 0), [], 1024)

    assert (found.seconds, found.low_seconds, found.high_seconds) == (0.123, 0.049, 0.37)
