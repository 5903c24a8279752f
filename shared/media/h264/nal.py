"""NAL units (ISO 14496-10, 7.3.1 and 7.4.1): kinds, and bytes that keep start codes out."""

from __future__ import annotations

import re
from collections.abc import Iterator

SLICE, IDR_SLICE, SEI, SPS, PPS, ACCESS_UNIT_DELIMITER = 1, 5, 6, 7, 8, 9
SLICES = (SLICE, IDR_SLICE)
_START_CODE_LIKE = re.compile(rb"\0\0(?=[\0-\3]|\Z)")


def kind(unit: bytes) -> int:
    """nal_unit_type; 0 for an empty unit."""
    return unit[0] & 0x1F if unit else 0


def unescaped(unit: bytes) -> bytes:
    """The unit without its emulation prevention bytes."""
    return unit.replace(b"\0\0\3", b"\0\0")


def escaped(raw: bytes) -> bytes:
    """The unit with them; one that ends in two zero bytes gets a last one."""
    return _START_CODE_LIKE.sub(b"\0\0\3", raw)


def units(sample: bytes, length_bytes: int) -> Iterator[bytes]:
    """The units of a sample whose lengths stand before them. Raises ValueError for one that leaves the sample."""
    at = 0
    while at < len(sample):
        start = at + length_bytes
        end = start + int.from_bytes(sample[at:start], "big")
        if start > len(sample) or end > len(sample):
            raise ValueError("a unit leaves its sample")
        yield sample[start:end]
        at = end
