"""Samples of no bytes: nothing is decoded of them, and the frame before each lasts through it."""

from __future__ import annotations

from array import array
from dataclasses import replace

import pytest

from shared.media.mp4.fields import BadMp4
from shared.media.mp4.tables import SampleTables, Sizes, expanded, without_empty_samples
from tests.unit.media.built import one_by_one, tables_of

LARGEST = 2**32 - 1


def tables(
    sizes: list[int],
    *,
    deltas: list[int] | None = None,
    shifts: list[int] | None = None,
    sync: list[int] | None = None,
    chunks: list[int] | None = None,
) -> SampleTables:
    """Samples that last 10 ticks each unless it is said, in chunks of so many samples, a thousand bytes apart."""
    samples = chunks or [len(sizes)]
    offsets = array("Q", range(1000, 1000 * (len(samples) + 1), 1000))
    return replace(
        tables_of(one_by_one(deltas or [10] * len(sizes)), 1, 0, sync),
        shifts=None if shifts is None else one_by_one(shifts, "i"),
        sizes=Sizes(len(sizes), 0, array("I", sizes)),
        chunk_offsets=offsets,
        chunk_ends=array("Q", (offset + 100 for offset in offsets)),
        chunk_samples=array("I", samples),
    )


@pytest.mark.parametrize(
    ("sizes", "deltas", "first_decoded"),
    [
        ([5, 0, 6], [20, 10], 0),
        ([5, 0, 0, 0, 6, 7], [40, 10, 10], 0),
        ([5, 6, 0], [10, 20], 0),
        ([0, 5, 6], [10, 10], 10),
        ([0, 0, 5, 0], [20], 20),
        ([0, 0], [], 20),
    ],
)
def test_the_frame_before_an_empty_sample_lasts_through_it(
    sizes: list[int], deltas: list[int], first_decoded: int
) -> None:
    found = without_empty_samples(tables(sizes))

    assert list(expanded(found.deltas)) == deltas
    assert found.first_decoded == first_decoded
    assert list(found.sizes.expanded()) == [size for size in sizes if size]
    assert found.sizes.count == len(deltas)


def test_a_fragmented_clips_first_time_is_added_to() -> None:
    found = without_empty_samples(replace(tables([0, 5]), first_decoded=7))

    assert found.first_decoded == 17


def test_lengths_of_its_own_are_added_to_each_frame() -> None:
    found = without_empty_samples(tables([5, 0, 6, 0], deltas=[1, 2, 4, 8]))

    assert list(expanded(found.deltas)) == [3, 12]


def test_composition_offsets_stay_with_their_frames() -> None:
    found = without_empty_samples(tables([5, 0, 6, 7], shifts=[1, -2, 3, -4]))

    assert found.shifts is not None
    assert list(expanded(found.shifts)) == [1, 3, -4]


@pytest.mark.parametrize(("sync", "expected"), [([1, 3, 5], [1, 2, 4]), ([2, 4], [3]), ([1, 9], [1]), ([], [])])
def test_key_frames_are_numbered_anew(sync: list[int], expected: list[int]) -> None:
    found = without_empty_samples(tables([5, 0, 6, 7, 8], sync=sync))

    assert found.sync is not None
    assert list(found.sync) == expected


def test_frames_that_are_all_key_frames_stay_so() -> None:
    assert without_empty_samples(tables([5, 0, 6])).sync is None


def test_chunks_of_nothing_but_empty_samples_are_gone() -> None:
    found = without_empty_samples(tables([5, 0, 0, 0, 6, 7], chunks=[2, 2, 1, 1]))

    assert list(found.chunk_samples) == [1, 1, 1]
    assert list(found.chunk_offsets) == [1000, 3000, 4000]
    assert list(found.chunk_ends) == [1100, 3100, 4100]


@pytest.mark.parametrize("sizes", [[5, 6, 7], []])
def test_tables_without_empty_samples_stay_as_they_are(sizes: list[int]) -> None:
    one = tables(sizes)

    assert without_empty_samples(one) is one


def test_samples_of_one_size_are_not_empty() -> None:
    one = tables_of(one_by_one([10, 10]), 1, 0)

    assert without_empty_samples(one) is one


def test_a_frame_may_last_32_bits_and_no_longer() -> None:
    longest = without_empty_samples(tables([5, 0], deltas=[LARGEST - 1, 1]))
    assert list(expanded(longest.deltas)) == [LARGEST]

    with pytest.raises(BadMp4) as refused:
        without_empty_samples(tables([5, 0], deltas=[LARGEST, 1]))

    assert refused.value.code == "mp4_bad_table"
