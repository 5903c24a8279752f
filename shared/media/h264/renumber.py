"""Other ids for parameter sets, without touching a single macroblock.

An Exp-Golomb code of n bits becomes one of n + 8 (id 0 takes 15 to 30), so that all that follows moves by a whole
byte: slice data, CABAC alignment and trailing bits stay as they are (ISO 14496-10, 7.3.3 and 9.1).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from shared.media.bits import BadBits, Bits
from shared.media.h264 import nal

GROWTH_BITS = 8
_BUFFERING_PERIOD = 0
# Data partitions, extensions of scalable and multiview coding, auxiliary pictures.
_NOT_REWRITTEN = {2, 3, 4, 13, 14, 15, 19, 20, 21}
_SLICE_PREFIX_BYTES = 16


class CannotRenumber(Exception):
    """Why a clip's ids cannot be changed; `reason` is stable."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Renumbering:
    """New ids by old; with `strip` the parameter sets inside samples are taken out."""

    sps: Mapping[int, int]
    pps: Mapping[int, int]
    strip: bool = False

    @property
    def is_identity(self) -> bool:
        """Whether every byte stays as it is."""
        same = (old == new for ids in (self.sps, self.pps) for old, new in ids.items())
        return not self.strip and all(same)


def longer_id(old: int, taken: Collection[int], limit: int) -> int:
    """The lowest free id whose code is eight bits longer than that of `old`. Raises CannotRenumber."""
    width = (old + 1).bit_length() + GROWTH_BITS // 2
    candidates = range((1 << (width - 1)) - 1, min((1 << width) - 1, limit + 1))
    found = next((one for one in candidates if one not in taken), None)
    if found is None:
        raise CannotRenumber("parameter_set_ids_exhausted")
    return found


def renumbered_sample(sample: bytes, length_bytes: int, change: Renumbering) -> bytes:
    """A sample with its units' ids changed. Raises CannotRenumber."""
    try:
        changed = [renumbered_unit(unit, change) for unit in nal.units(sample, length_bytes)]
    except ValueError:
        raise CannotRenumber("unit_leaves_its_sample") from None
    except BadBits:
        raise CannotRenumber("damaged_slice_header") from None
    kept = [unit for unit in changed if unit]
    if any(len(unit) >> (8 * length_bytes) for unit in kept):
        raise CannotRenumber("unit_too_long_for_its_length")
    return b"".join(len(unit).to_bytes(length_bytes, "big") + unit for unit in kept)


def renumbered_unit(unit: bytes, change: Renumbering) -> bytes:
    """One NAL unit; empty where it is taken out. Raises CannotRenumber."""
    kind = nal.kind(unit)
    if kind in nal.SLICES:
        return _slice(unit, change.pps)
    if kind in _NOT_REWRITTEN:
        raise CannotRenumber(f"nal_type_{kind}")
    if kind in (nal.SPS, nal.PPS):
        return b"" if change.strip else renumbered_set(unit, change)
    if kind == nal.SEI:
        return _sei(unit, change.sps)
    return unit


def renumbered_set(unit: bytes, change: Renumbering) -> bytes:
    """A sequence or picture parameter set."""
    raw = nal.unescaped(unit)
    if nal.kind(unit) == nal.SPS:
        return nal.escaped(_replaced(raw, 32, change.sps))
    bits = Bits(raw, "picture parameter set", at=8)
    bits.ue()
    # The later field first, so that the earlier one's position still holds.
    return nal.escaped(_replaced(_replaced(raw, bits.at, change.sps), 8, change.pps))


def _slice(unit: bytes, ids: Mapping[int, int]) -> bytes:
    at = pps_id_position(unit)
    raw = nal.unescaped(unit)
    changed = _replaced(raw, at, ids)
    return unit if changed is raw else nal.escaped(changed)


def pps_id_position(unit: bytes) -> int:
    """Where, in bits of the unescaped unit, a slice names its picture parameter set. Raises BadBits."""
    bits = Bits(nal.unescaped(unit[:_SLICE_PREFIX_BYTES]), "slice header", at=8)
    bits.ue()
    bits.ue()
    return bits.at


def slice_pps_id(unit: bytes) -> int:
    """The picture parameter set a slice names. Raises BadBits."""
    return Bits(nal.unescaped(unit[:_SLICE_PREFIX_BYTES]), "slice header", at=pps_id_position(unit)).ue()


def _replaced(raw: bytes, at: int, ids: Mapping[int, int]) -> bytes:
    """`raw` with the code at bit `at` replaced; the very same object where the id stays."""
    bits = Bits(raw, "parameter set id", at=at)
    old = bits.ue()
    if old not in ids:
        raise CannotRenumber("unknown_parameter_set")
    if ids[old] == old:
        return raw
    head_bytes = -(-bits.at // 8)
    behind_bits = head_bytes * 8 - bits.at
    head = int.from_bytes(raw[:head_bytes], "big")
    before, behind = head >> (head_bytes * 8 - at), head & ((1 << behind_bits) - 1)
    width = bits.at - at + GROWTH_BITS
    changed = (((before << width) | (ids[old] + 1)) << behind_bits) | behind
    return changed.to_bytes(head_bytes + 1, "big") + raw[head_bytes:]


def _sei(unit: bytes, ids: Mapping[int, int]) -> bytes:
    """Buffering periods name a sequence parameter set first of all (D.1.2); other messages name none."""
    raw = nal.unescaped(unit)
    messages, at = [raw[:1]], 1
    while at + 2 < len(raw):
        kind, at = _growing_number(raw, at)
        size, at = _growing_number(raw, at)
        payload = raw[at : at + size]
        if len(payload) < size:
            raise CannotRenumber("damaged_sei")
        at += size
        if kind == _BUFFERING_PERIOD:
            payload = _replaced(payload, 0, ids)
        messages.append(_as_growing_number(kind) + _as_growing_number(len(payload)) + payload)
    changed = b"".join(messages) + raw[at:]
    return unit if changed == raw else nal.escaped(changed)


def _growing_number(raw: bytes, at: int) -> tuple[int, int]:
    """Bytes of 255 and a last one, added up (7.3.2.3.1), and the position behind them."""
    value = 0
    while at < len(raw) and raw[at] == 0xFF:
        value, at = value + 255, at + 1
    if at >= len(raw):
        raise CannotRenumber("damaged_sei")
    return value + raw[at], at + 1


def _as_growing_number(value: int) -> bytes:
    return b"\xff" * (value // 255) + bytes([value % 255])
