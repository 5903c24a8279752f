"""AVCDecoderConfigurationRecord (ISO 14496-15, 5.3.3.1): the parameter sets of a track."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.media.bits import BadBits, Bits
from shared.media.h264 import nal
from shared.media.h264.sps import HIGH_PROFILES, LARGEST_ID, Sps, parse_sps
from shared.media.mp4.fields import Fields

MOST_SPS, MOST_PPS = 31, 255
_WHAT = "decoder configuration"


@dataclass(frozen=True, slots=True)
class AvcConfig:
    """The sets as NAL units by their id, and how many bytes a unit's length has in the samples."""

    length_bytes: int
    sps: Mapping[int, bytes]
    pps: Mapping[int, bytes]
    parsed: Mapping[int, Sps]

    @property
    def main(self) -> Sps:
        """The set with the lowest id. Raises BadBits where there is none."""
        if not self.parsed:
            raise BadBits(_WHAT)
        return self.parsed[min(self.parsed)]


def pps_ids(unit: bytes) -> tuple[int, int]:
    """Id of a picture parameter set and of the sequence parameter set it names (7.3.2.2). Raises BadBits."""
    bits = Bits(nal.unescaped(unit[:32]), "picture parameter set", at=8)
    return bits.at_most(255), bits.at_most(LARGEST_ID)


def parse_avc_config(data: bytes) -> AvcConfig:
    """Raises BadMp4, BadBits: cut off, two sets of one id, a picture set without its sequence set, an extension."""
    fields = Fields(memoryview(data), "avcC")
    if fields.unsigned(1) != 1:
        raise BadBits(_WHAT)
    fields.take(3)
    length_bytes = (fields.unsigned(1) & 3) + 1
    sps_units = _units(fields, fields.unsigned(1) & 31)
    pps_units = _units(fields, fields.unsigned(1))
    if length_bytes == 3 or _has_extension(fields):
        raise BadBits(_WHAT)
    return config_of_sets(length_bytes, (*sps_units, *pps_units))


def config_of_sets(length_bytes: int, units: Iterable[bytes]) -> AvcConfig:
    """The configuration of sets that stand in samples. Raises BadBits as `parse_avc_config` does."""
    ordered = sorted(units)
    sps_units = [unit for unit in ordered if nal.kind(unit) == nal.SPS]
    pps_units = [unit for unit in ordered if nal.kind(unit) == nal.PPS]
    parsed = [parse_sps(unit) for unit in sps_units]
    sps = _by_id([one.id for one in parsed], sps_units)
    ids = [pps_ids(unit) for unit in pps_units]
    pps = _by_id([pps_id for pps_id, _ in ids], pps_units)
    if len(sps_units) + len(pps_units) < len(ordered) or any(sps_id not in sps for _, sps_id in ids):
        raise BadBits(_WHAT)
    return AvcConfig(length_bytes, sps, pps, {one.id: one for one in parsed})


def build_avc_config(config: AvcConfig) -> bytes:
    """The record, truthful for every set in it: highest profile and level, flags that all sets share."""
    every = list(config.parsed.values())
    profile = max((one.profile for one in every), key=lambda one: (one in HIGH_PROFILES, one))
    compatibility = every[0].compatibility
    for one in every:
        compatibility &= one.compatibility
    level = max(one.level for one in every)
    head = bytes([1, profile, compatibility, level, 0xFC | (config.length_bytes - 1), 0xE0 | len(config.sps)])
    record = head + _joined(config.sps) + bytes([len(config.pps)]) + _joined(config.pps)
    if profile not in HIGH_PROFILES:
        return record
    main = config.main
    depths = (main.bit_depth_luma - 8, main.bit_depth_chroma - 8)
    return record + bytes([0xFC | main.chroma_format, 0xF8 | depths[0], 0xF8 | depths[1], 0])


def _units(fields: Fields, count: int) -> list[bytes]:
    return [bytes(fields.take(fields.unsigned(2))) for _ in range(count)]


def _by_id(ids: list[int], units: list[bytes]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for one, unit in zip(ids, units, strict=True):
        if found.setdefault(one, unit) != unit:
            raise BadBits(_WHAT)
    return found


def _has_extension(fields: Fields) -> bool:
    """Whether sets for auxiliary pictures follow the chroma format and bit depths."""
    if fields.left < 4:
        return False
    fields.take(3)
    return fields.unsigned(1) > 0


def _joined(units: Mapping[int, bytes]) -> bytes:
    """In ascending order of ids, as the standard asks."""
    return b"".join(len(units[one]).to_bytes(2, "big") + units[one] for one in sorted(units))
