"""A track's sample tables (ISO 14496-12, 8.6 to 8.8), kept as arrays: 4 to 20 bytes a sample, no objects."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, compress, islice, pairwise, repeat
from operator import add, ne, sub

from shared.media.mp4.boxes import Box
from shared.media.mp4.fields import BadMp4

MOST_SAMPLES = 2_000_000
LARGEST_OFFSET = 2**60
LARGEST_TICKS = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Runs:
    """A run-length coded column: `counts[i]` samples in a row have `values[i]`."""

    counts: array[int]
    values: array[int]

    @property
    def samples(self) -> int:
        """How many samples it covers."""
        return sum(self.counts)

    @property
    def total(self) -> int:
        """Sum of the values of all samples."""
        return sum(count * value for count, value in zip(self.counts, self.values, strict=True))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.counts, self.values, strict=True)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of each sample: all `constant`, or one by one in `each`."""

    count: int
    constant: int
    each: array[int]

    @property
    def total(self) -> int:
        """Bytes of all samples."""
        return self.constant * self.count if self.constant else sum(self.each)

    def expanded(self) -> array[int]:
        """One by one. Raises BadMp4 for a constant size of too many samples."""
        if not self.constant:
            return self.each
        if self.count > MOST_SAMPLES:
            raise BadMp4("mp4_too_many_samples", f"a track has more than {MOST_SAMPLES} samples")
        return array("I", [self.constant]) * self.count


@dataclass(frozen=True, slots=True)
class SampleTables:
    """Where and when each sample is. Times in the track's timescale, `sync` numbers from 1 (None: all are).

    `chunk_ends` are the bytes after each chunk's last, `first_decoded` the tick the first sample is decoded at, which
    only fragments make another than 0.
    """

    deltas: Runs
    shifts: Runs | None
    sync: array[int] | None
    sizes: Sizes
    chunk_offsets: array[int]
    chunk_ends: array[int]
    chunk_samples: array[int]
    descriptions_used: frozenset[int]
    first_decoded: int = 0


def without_empty_samples(tables: SampleTables) -> SampleTables:
    """The tables without samples of no bytes: nothing is decoded of them, the sample before one lasts through it.

    Some writers store a dropped frame so (ISO 14496-12, 8.7.3 allows a size of zero). Of tables whose columns have one
    entry a sample. Raises BadMp4 where a sample would last beyond 32 bits.
    """
    sizes = tables.sizes.each
    if tables.sizes.constant or 0 not in sizes:
        return tables
    kept = [size > 0 for size in sizes]
    lead, deltas = _merged_deltas(tables.deltas, kept)
    numbers = array("I", accumulate(kept))
    firsts = array("Q", accumulate(tables.chunk_samples, initial=0))
    counts = array("I", (sum(kept[first:end]) for first, end in pairwise(firsts)))
    return replace(
        tables,
        deltas=deltas,
        shifts=_kept_shifts(tables.shifts, kept),
        sync=_kept_numbers(tables.sync, kept, numbers),
        sizes=Sizes(sum(kept), 0, array("I", compress(sizes, kept))),
        chunk_offsets=array("Q", compress(tables.chunk_offsets, counts)),
        chunk_ends=array("Q", compress(tables.chunk_ends, counts)),
        chunk_samples=array("I", filter(None, counts)),
        first_decoded=tables.first_decoded + lead,
    )


def _merged_deltas(deltas: Runs, kept: Sequence[bool]) -> tuple[int, Runs]:
    """The time before the first sample that is kept, and each kept one's with that of those left out behind it."""
    values: list[int] = []
    lead = 0
    for value, keep in zip(expanded(deltas), kept, strict=True):
        if keep:
            values.append(value)
        elif values:
            values[-1] += value
        else:
            lead += value
    if max(values, default=0) > LARGEST_TICKS:
        raise BadMp4("mp4_bad_table", "a sample lasts too long")
    return lead, run_length(array("I", values))


def _kept_shifts(shifts: Runs | None, kept: Sequence[bool]) -> Runs | None:
    return None if shifts is None else run_length(array(shifts.values.typecode, compress(expanded(shifts), kept)))


def _kept_numbers(sync: array[int] | None, kept: Sequence[bool], numbers: array[int]) -> array[int] | None:
    if sync is None:
        return None
    return array("I", (numbers[one - 1] for one in sync if 0 < one <= len(kept) and kept[one - 1]))


def expanded(runs: Runs) -> Iterator[int]:
    """Each sample's value."""
    return chain.from_iterable(repeat(value, count) for count, value in runs)


def run_length(values: array[int]) -> Runs:
    """A column of one value a sample, run-length coded."""
    borders = array("I", compress(range(1, len(values)), map(ne, islice(values, 1, None), values)))
    starts, ends = array("I", [0] if values else []) + borders, borders + array("I", [len(values)] if values else [])
    return Runs(array("I", map(sub, ends, starts)), array(values.typecode, map(values.__getitem__, starts)))


def parse_tables(stbl: Box) -> SampleTables:
    """The tables of a track. Raises BadMp4 for one that is missing, cut off or names what is not there."""
    boxes = {box.kind: box for box in stbl.children()}
    sizes = _sizes(boxes)
    offsets = _offsets(boxes)
    chunk_samples, used = _chunks(_needed(boxes, "stsc"), len(offsets), sizes.count)
    return SampleTables(
        deltas=_runs(_needed(boxes, "stts"), "I"),
        shifts=_shifts(boxes.get("ctts")),
        sync=_numbers(boxes.get("stss")),
        sizes=sizes,
        chunk_offsets=offsets,
        chunk_ends=_chunk_ends(offsets, chunk_samples, sizes),
        chunk_samples=chunk_samples,
        descriptions_used=used,
    )


def _needed(boxes: dict[str, Box], kind: str) -> Box:
    if kind not in boxes:
        raise BadMp4("mp4_table_missing", f"a track has no table {kind}")
    return boxes[kind]


def _count(value: int) -> int:
    if value > MOST_SAMPLES:
        raise BadMp4("mp4_too_many_samples", f"a track has more than {MOST_SAMPLES} samples")
    return value


def _runs(box: Box, typecode: str) -> Runs:
    """Pairs of a count and a value; the values are signed where the typecode says so."""
    fields = box.fields()
    fields.version()
    pairs = fields.table(_count(fields.unsigned(4)) * 2, "I")
    values = pairs[1::2]
    return Runs(pairs[::2], values if typecode == "I" else array("i", values.tobytes()))


def _shifts(box: Box | None) -> Runs | None:
    """Composition offsets; version 0 is unsigned by the book, but negative ones are met in it too (8.6.1.3)."""
    return _runs(box, "i") if box else None


def _numbers(box: Box | None) -> array[int] | None:
    if box is None:
        return None
    fields = box.fields()
    fields.version()
    return fields.table(_count(fields.unsigned(4)), "I")


def _sizes(boxes: dict[str, Box]) -> Sizes:
    if "stz2" in boxes and "stsz" not in boxes:
        return _compact_sizes(boxes["stz2"])
    fields = _needed(boxes, "stsz").fields()
    fields.version()
    constant, count = fields.unsigned(4), fields.unsigned(4)
    if constant:
        return Sizes(count, constant, array("I"))
    return Sizes(count, 0, fields.table(_count(count), "I"))


def _compact_sizes(box: Box) -> Sizes:
    """Sizes of 4, 8 or 16 bits (8.7.3.3)."""
    fields = box.fields()
    fields.version()
    fields.take(3)
    width, count = fields.unsigned(1), _count(fields.unsigned(4))
    if width == 16:
        return Sizes(count, 0, array("I", fields.table(count, "H")))
    if width == 8:
        return Sizes(count, 0, array("I", bytes(fields.take(count))))
    if width != 4:
        raise BadMp4("mp4_bad_table", "its sample sizes have a width that does not exist")
    halves = (half for byte in fields.take((count + 1) // 2) for half in (byte >> 4, byte & 15))
    return Sizes(count, 0, array("I", list(halves)[:count]))


def _offsets(boxes: dict[str, Box]) -> array[int]:
    box = boxes.get("co64") or _needed(boxes, "stco")
    fields = box.fields()
    fields.version()
    count = _count(fields.unsigned(4))
    return fields.table(count, "Q") if box.kind == "co64" else array("Q", fields.table(count, "I"))


def _chunks(box: Box, chunks: int, samples: int) -> tuple[array[int], frozenset[int]]:
    """Samples of each chunk, and the descriptions used. Raises BadMp4 unless they add up to all samples."""
    fields = box.fields()
    fields.version()
    rows = fields.table(_count(fields.unsigned(4)) * 3, "I")
    firsts, counts = rows[::3], rows[1::3]
    if not chunks and not samples:
        return array("I"), frozenset(rows[2::3])
    if not firsts or firsts[0] != 1:
        raise BadMp4("mp4_bad_table", "its samples are in no chunks")
    expanded = array("I")
    for first, after, count in zip(firsts, firsts[1:] + array("I", [chunks + 1]), counts, strict=True):
        if not first < after <= chunks + 1:
            raise BadMp4("mp4_bad_table", "its chunks are out of order")
        expanded.extend(array("I", [count]) * (after - first))
    if sum(expanded) != samples:
        raise BadMp4("mp4_bad_table", "its chunks hold another number of samples than there are")
    return expanded, frozenset(rows[2::3])


def _chunk_ends(offsets: array[int], chunk_samples: array[int], sizes: Sizes) -> array[int]:
    """Raises BadMp4 for an offset no file has."""
    if max(offsets, default=0) > LARGEST_OFFSET:
        raise BadMp4("mp4_bad_table", "a chunk lies beyond any file's end")
    if sizes.constant:
        return array("Q", map(add, offsets, map(sizes.constant.__mul__, chunk_samples)))
    before = array("Q", accumulate(sizes.each, initial=0))
    firsts = array("Q", accumulate(chunk_samples, initial=0))
    starts = list(map(before.__getitem__, firsts))
    return array("Q", map(add, offsets, map(sub, islice(starts, 1, None), starts)))
