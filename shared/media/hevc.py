"""HEVC as far as joining needs it (ISO 23008-2, 7.3.1.2; ISO 14496-15, 8.3.3.1)."""

from __future__ import annotations

from dataclasses import dataclass

from shared.media.mp4.fields import BadMp4, Fields

FIRST_NOT_SLICE = 32
PARAMETER_SETS = (32, 33, 34)
CLOSED = (19, 20)  # IDR_W_RADL, IDR_N_LP
RANDOM_ACCESS = range(16, 24)  # IRAP pictures (7.4.2.2)


@dataclass(frozen=True, slots=True)
class HevcConfig:
    """The decoder configuration record; `sets` are the parameter set units as they stand."""

    length_bytes: int
    profile: int
    level: int
    chroma_format: int
    bit_depth_luma: int
    bit_depth_chroma: int
    sets: tuple[bytes, ...]


def kind(unit: bytes) -> int:
    """nal_unit_type; 63 for an empty unit."""
    return unit[0] >> 1 & 0x3F if unit else 63


def parse_hevc_config(data: bytes) -> HevcConfig:
    """Raises BadMp4 where it is cut off."""
    fields = Fields(memoryview(data), "hvcC")
    if fields.unsigned(1) != 1:
        raise BadMp4("mp4_bad_table", "its decoder configuration is of a version that does not exist")
    profile = fields.unsigned(1) & 31
    fields.take(10)
    level = fields.unsigned(1)
    fields.take(3)
    chroma_format, luma, chroma = fields.unsigned(1) & 3, fields.unsigned(1) & 7, fields.unsigned(1) & 7
    fields.take(2)
    length_bytes = (fields.unsigned(1) & 3) + 1
    sets: list[bytes] = []
    for _ in range(fields.unsigned(1)):
        fields.take(1)
        sets += [bytes(fields.take(fields.unsigned(2))) for _ in range(fields.unsigned(2))]
    parameter_sets = tuple(unit for unit in sets if kind(unit) in PARAMETER_SETS)
    return HevcConfig(length_bytes, profile, level, chroma_format, 8 + luma, 8 + chroma, parameter_sets)
