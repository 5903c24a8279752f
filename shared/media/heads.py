"""What stands before the first slice of a sample: parameter sets in band, and whether it begins anew."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from shared.media import hevc
from shared.media.bits import BadBits
from shared.media.h264 import nal
from shared.media.h264.renumber import slice_pps_id
from shared.media.mp4.boxes import ByteSource, PrefetchingSource, Window
from shared.media.mp4.fields import BadMp4
from shared.media.mp4.tables import SampleTables

MOST_HEADS = 64
MOST_UNITS = 64
LARGEST_SET_BYTES = 16 * 1024
HEAD_BYTES = 4096
# All samples of a clip are looked at where it does not say truly which are key frames, and it is no longer than this.
LARGEST_SEARCHED_BYTES = 64 * 1024**2
MOST_KEYS_KEPT = 2048
_SLICE_BYTES, _MESSAGE_BYTES = 16, 256
_SEARCH_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class Syntax:
    """How one codec marks its units: parameter sets, slices that refer to nothing before them, and those of key frames
    (ISO 14496-15, 5.4.5 and 8.4.3).
    """

    kind: Callable[[bytes], int]
    sets: Sequence[int]
    closed: Sequence[int]
    keys: Sequence[int]
    is_slice: Callable[[int], bool]


H264 = Syntax(nal.kind, (nal.SPS, nal.PPS), (nal.IDR_SLICE,), (nal.IDR_SLICE,), lambda kind: 1 <= kind <= nal.IDR_SLICE)
HEVC = Syntax(hevc.kind, hevc.PARAMETER_SETS, hevc.CLOSED, hevc.RANDOM_ACCESS, lambda kind: kind < hevc.FIRST_NOT_SLICE)


@dataclass(frozen=True, slots=True)
class SampleHead:
    """Parameter sets in band, and the first slice's kind and first bytes."""

    sets: tuple[bytes, ...]
    slice_kind: int
    slice_start: bytes


@dataclass(frozen=True, slots=True)
class SyncScan:
    """Of the sync samples looked at: how many, how many had sets in band, which sets, which PPS ids slices name.

    `closed` of them refer to nothing before them; `closed_start`: the first picture is such a sync sample. `keys`:
    the numbers of the key frames, from 1, where the file's own marks are missing or wrong; None where they hold.
    """

    scanned: int
    with_sets: int
    sets: frozenset[bytes]
    pps_ids: frozenset[int]
    closed: int
    closed_start: bool
    keys: tuple[int, ...] | None = None

    def kept(self) -> dict[str, Any]:
        """For a row: whoever reads the same bytes again need not look."""
        return {
            "scanned": self.scanned,
            "withSets": self.with_sets,
            "sets": sorted(unit.hex() for unit in self.sets),
            "ppsIds": sorted(self.pps_ids),
            "closed": self.closed,
            "closedStart": self.closed_start,
            "keys": None if self.keys is None else list(self.keys),
        }

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> SyncScan:
        """What a row has kept."""
        return cls(
            kept["scanned"],
            kept["withSets"],
            frozenset(bytes.fromhex(unit) for unit in kept["sets"]),
            frozenset(kept["ppsIds"]),
            kept["closed"],
            kept["closedStart"],
            None if kept["keys"] is None else tuple(kept["keys"]),
        )


def head_ranges(tables: SampleTables) -> list[tuple[int, int]]:
    """Offset and length of each sync sample to look at.

    At most MOST_HEADS, evenly spread, the first and the last among them; where all are said to be key frames, the
    second and third too.
    """
    if tables.sync is None:
        numbers = sorted({*range(1, min(tables.sizes.count, 3) + 1), *_spread(range(1, tables.sizes.count + 1))})
    else:
        numbers = _spread([*tables.sync])
    if not numbers or numbers[0] != 1:
        numbers = [1, *numbers]
    return list(_located(numbers, tables))


def scan_heads(source: ByteSource, tables: SampleTables, length_bytes: int, syntax: Syntax) -> SyncScan:
    """Reads the head of each sync sample; of all samples where one of those is no key frame.

    Raises BadMp4 where a unit leaves its sample or the clip is too long to be searched, BadBits for a bad slice.
    """
    window = Window(source, HEAD_BYTES)
    ranges = head_ranges(tables)
    if isinstance(source, PrefetchingSource):
        end = source.size_bytes
        source.prefetch([(offset, min(HEAD_BYTES, end - offset)) for offset, _ in ranges if offset < end])
    heads = [_head(window, offset, size, length_bytes, syntax) for offset, size in ranges]
    closed_start = heads[0].slice_kind in syntax.closed
    marked = heads if begins_with_sync(tables) or closed_start else heads[1:]
    if all(head.slice_kind in syntax.keys for head in marked):
        keys_and_first = (1, *(tables.sync or ())) if closed_start and not begins_with_sync(tables) else None
        return _scan(heads, syntax, closed_start, keys_and_first)
    keys = _search(source, tables, length_bytes, syntax)
    found = [head for _, head in keys] or heads[:1]
    return _scan(found, syntax, closed_start, tuple(number for number, _ in keys))


def scan_keys(source: ByteSource, tables: SampleTables, is_key: Callable[[bytes], bool]) -> SyncScan:
    """As `scan_heads`, of a codec that is not looked into further. Raises BadMp4."""
    window = Window(source, HEAD_BYTES)
    heads = [is_key(window.read(offset, min(size, _MESSAGE_BYTES))) for offset, size in head_ranges(tables)]
    marked = heads if begins_with_sync(tables) else heads[1:]
    keys = None
    if not all(marked):
        numbers = _searched(tables)
        window = Window(source, _SEARCH_BYTES)
        places = zip(numbers, _located(numbers, tables), strict=True)
        keys = tuple(n for n, (at, size) in places if is_key(window.read(at, min(size, _MESSAGE_BYTES))))
    closed = begins_with_sync(tables) if keys is None else keys[:1] == (1,)
    return SyncScan(0, 0, frozenset(), frozenset(), 0, closed_start=closed, keys=keys)


def _searched(tables: SampleTables) -> Sequence[int]:
    """The samples among which key frames are looked for: all of a short clip, those marked of a longer one."""
    if tables.sizes.total <= LARGEST_SEARCHED_BYTES:
        return range(1, tables.sizes.count + 1)
    if tables.sync is None or len(tables.sync) > MOST_KEYS_KEPT:
        raise BadMp4("mp4_no_key_marks", "it does not say which of its frames are key frames")
    return tables.sync


def _search(
    source: ByteSource, tables: SampleTables, length_bytes: int, syntax: Syntax
) -> list[tuple[int, SampleHead]]:
    """The key frames that are found, by number."""
    numbers = _searched(tables)
    window = Window(source, _SEARCH_BYTES if len(numbers) == tables.sizes.count else HEAD_BYTES)
    heads = (_head(window, offset, size, length_bytes, syntax) for offset, size in _located(numbers, tables))
    return [(number, head) for number, head in zip(numbers, heads, strict=True) if head.slice_kind in syntax.keys]


def _scan(heads: Sequence[SampleHead], syntax: Syntax, closed_start: bool, keys: tuple[int, ...] | None) -> SyncScan:
    return SyncScan(
        scanned=len(heads),
        with_sets=sum(bool(head.sets) for head in heads),
        sets=frozenset(unit for head in heads for unit in head.sets),
        pps_ids=frozenset(slice_pps_id(head.slice_start) for head in heads) if syntax is H264 else frozenset(),
        closed=sum(head.slice_kind in syntax.closed for head in heads),
        closed_start=closed_start,
        keys=keys,
    )


def begins_with_sync(tables: SampleTables) -> bool:
    """Whether the first sample is one to seek to."""
    return tables.sync is None or tables.sync[:1] == array("I", [1])


def _spread(numbers: Sequence[int]) -> list[int]:
    if len(numbers) <= MOST_HEADS:
        return list(numbers)
    step = (len(numbers) - 1) / (MOST_HEADS - 1)
    return [numbers[round(place * step)] for place in range(MOST_HEADS)]


def _located(numbers: Sequence[int], tables: SampleTables) -> Iterator[tuple[int, int]]:
    """Walks the chunks along with the ascending sample numbers."""
    sizes = tables.sizes.expanded()
    bytes_before = array("Q", accumulate(sizes, initial=0))
    firsts = array("Q", accumulate(tables.chunk_samples, initial=0))
    chunk = 0
    for number in numbers:
        if not 1 <= number <= len(sizes) or number - 1 < firsts[chunk]:
            raise BadMp4("mp4_bad_table", "its sync samples are out of order")
        while firsts[chunk + 1] < number:
            chunk += 1
        offset = tables.chunk_offsets[chunk] + bytes_before[number - 1] - bytes_before[firsts[chunk]]
        yield offset, sizes[number - 1]


def _head(window: Window, offset: int, size: int, length_bytes: int, syntax: Syntax) -> SampleHead:
    at, end = offset, offset + size
    sets: list[bytes] = []
    for _ in range(MOST_UNITS):
        start = at + length_bytes
        if start >= end:
            raise BadMp4("mp4_bad_sample", "a key picture holds no picture")
        length = int.from_bytes(window.read(at, length_bytes), "big")
        if start + length > end:
            raise BadMp4("mp4_bad_sample", "a unit leaves its picture")
        unit = window.read(start, min(length, _SLICE_BYTES))
        kind = syntax.kind(unit)
        if unit and syntax.is_slice(kind):
            return SampleHead(tuple(sets), kind, unit)
        if kind in syntax.sets:
            sets.append(_whole(window, start, length))
        at = start + length
    raise BadMp4("mp4_bad_sample", "a key picture begins with too many units")


def _whole(window: Window, start: int, length: int) -> bytes:
    if length > LARGEST_SET_BYTES:
        raise BadBits("parameter set in band")
    return window.read(start, length)
