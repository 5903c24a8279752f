"""Profile and pixels of codecs that are told apart but not taken apart: AV1 and VP9."""

from __future__ import annotations

from dataclasses import dataclass

from shared.domain.errors import BadMedia
from shared.media.bits import Bits
from shared.media.mp4.entries import VisualEntry

AV1_PROFILES = {0: "Main", 1: "High", 2: "Professional"}
_MONOCHROME, _420, _422, _444 = 0, 1, 2, 3
_VP9_CHROMA = {0: _420, 1: _420, 2: _422, 3: _444}


@dataclass(frozen=True, slots=True)
class Pixels:
    """Chroma format as H.264 counts it (0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4), bits of a sample, profile's name."""

    chroma_format: int
    bit_depth_luma: int
    profile: str | None


def pixels_of(entry: VisualEntry) -> Pixels | None:
    """From av1C or vpcC; None for other codecs and for what is cut off."""
    read = {"av01": _av1, "vp08": _vp9, "vp09": _vp9}.get(entry.kind)
    try:
        return read(Bits(entry.config, "decoder configuration")) if read else None
    except BadMedia:
        return None


def _av1(bits: Bits) -> Pixels:
    """AV1CodecConfigurationRecord (AV1 in ISOBMFF, 2.3.3)."""
    bits.take(8)
    profile = bits.take(3)
    bits.take(5 + 1)
    high, twelve, grey, half_width, half_height = (bits.flag() for _ in range(5))
    chroma = _MONOCHROME if grey else _420 if half_height else _422 if half_width else _444
    return Pixels(chroma, 12 if twelve else 10 if high else 8, AV1_PROFILES.get(profile))


def _vp9(bits: Bits) -> Pixels:
    """VPCodecConfigurationRecord (VP Codec in ISOBMFF), behind version and flags."""
    bits.take(32)
    profile = bits.take(8)
    bits.take(8)
    depth, chroma = bits.take(4), bits.take(3)
    return Pixels(_VP9_CHROMA.get(chroma, _420), depth, f"Profile {profile}")
