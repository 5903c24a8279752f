"""NAL units (ISO 14496-10, 7.3.1 and 7.4.1): kinds, and bytes that keep start codes out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from shared.media.bits import Bits

SLICE, IDR_SLICE, SEI, SPS, PPS, ACCESS_UNIT_DELIMITER = 1, 5, 6, 7, 8, 9
SLICES = (SLICE, IDR_SLICE)
_SLICE_PREFIX_BYTES = 16
_INTRA_TYPES = (2, 4)
_RECOVERY_POINT = 6
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


def is_intra_slice(unit: bytes) -> bool:
    """Whether a slice refers to no other picture: of an IDR picture, or of type I or SI (7.4.3). Raises BadBits."""
    if kind(unit) == IDR_SLICE:
        return True
    bits = Bits(unescaped(unit[:_SLICE_PREFIX_BYTES]), "slice header", at=8)
    bits.ue()
    return bits.ue() % 5 in _INTRA_TYPES


def is_recovery_point(unit: bytes) -> bool:
    """Whether a unit is supplemental information that decoding recovers at its picture at once (D.1.8)."""
    return kind(unit) == SEI and any(
        message == _RECOVERY_POINT and payload[:1] >= b"\x80" for message, payload in _messages(unescaped(unit))
    )


def _messages(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and payload of each message, as far as the bytes go (7.3.2.3.1)."""
    at = 1
    while at + 2 < len(raw):
        message, at = _sum_of_bytes(raw, at)
        size, at = _sum_of_bytes(raw, at)
        yield message, raw[at : at + size]
        at += size


def _sum_of_bytes(raw: bytes, at: int) -> tuple[int, int]:
    """Bytes of 255 and a last one, added up, and the position behind them."""
    value = 0
    while raw[at : at + 1] == b"\xff":
        value, at = value + 255, at + 1
    return value + int.from_bytes(raw[at : at + 1], "big"), at + 1
