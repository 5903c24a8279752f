"""Sequence parameter sets (ISO 14496-10, 7.3.2.1.1 and annex E)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from shared.media.bits import BadBits, Bits
from shared.media.colour import Colour
from shared.media.h264 import nal

# Profiles whose sets carry chroma format and bit depth (7.3.2.1.1).
HIGH_PROFILES = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}
LARGEST_SIDE_UNITS = 1024  # macroblocks, 16384 pixels
LARGEST_ID = 31
_EXTENDED_SAR = 255
_SARS = (
    "1",
    "1",
    "12/11",
    "10/11",
    "16/11",
    "40/33",
    "24/11",
    "20/11",
    "32/11",
    "80/33",
    "18/11",
    "15/11",
    "64/33",
    "160/99",
    "4/3",
    "3/2",
    "2",
)
_WHAT = "sequence parameter set"


@dataclass(frozen=True, slots=True)
class VideoUsability:
    """Annex E, as far as it tells how pictures look and in which order they come; None: not said."""

    sar: Fraction | None = None
    colour: Colour = Colour()  # noqa: RUF009 - frozen itself
    fps: Fraction | None = None
    fixed_rate: bool = False
    has_hrd: bool = False
    reorder_pictures: int | None = None
    buffered_pictures: int | None = None


@dataclass(frozen=True, slots=True)
class Sps:
    """One set. Size in pixels after cropping; `compatibility` is the byte of constraint flags."""

    id: int
    profile: int
    compatibility: int
    level: int
    chroma_format: int
    bit_depth_luma: int
    bit_depth_chroma: int
    reference_pictures: int
    width: int
    height: int
    progressive: bool
    usability: VideoUsability


def parse_sps(unit: bytes) -> Sps:
    """A set from its NAL unit, header byte and emulation prevention included. Raises BadBits."""
    bits = Bits(nal.unescaped(unit), _WHAT)
    if nal.kind(unit) != nal.SPS:
        raise BadBits(_WHAT)
    bits.take(8)
    profile, compatibility, level = bits.take(8), bits.take(8), bits.take(8)
    sps_id = bits.at_most(LARGEST_ID)
    chroma_format, luma, chroma, planes = _format(bits) if profile in HIGH_PROFILES else (1, 8, 8, False)
    bits.at_most(12)
    _picture_order(bits)
    references = bits.at_most(16)
    bits.flag()
    across, down = bits.at_most(LARGEST_SIDE_UNITS - 1) + 1, bits.at_most(LARGEST_SIDE_UNITS - 1) + 1
    progressive = bits.flag()
    if not progressive:
        bits.flag()
    bits.flag()
    width, height = _cropped(
        bits, across * 16, down * 16 * (2 - progressive), 0 if planes else chroma_format, 2 - progressive
    )
    usability = _usability(bits) if bits.flag() else VideoUsability()
    return Sps(
        sps_id,
        profile,
        compatibility,
        level,
        chroma_format,
        luma,
        chroma,
        references,
        width,
        height,
        progressive,
        usability,
    )


def _format(bits: Bits) -> tuple[int, int, int, bool]:
    """Chroma format, bit depths, whether the colour planes are coded apart."""
    chroma_format = bits.at_most(3)
    planes = chroma_format == 3 and bits.flag()
    luma, chroma = 8 + bits.at_most(6), 8 + bits.at_most(6)
    bits.flag()
    if bits.flag():
        for number in range(12 if chroma_format == 3 else 8):
            _skip_scaling_list(bits, 16 if number < 6 else 64)
    return chroma_format, luma, chroma, planes


def _skip_scaling_list(bits: Bits, size: int) -> None:
    """7.3.2.1.1.1: a list ends where the next scale becomes zero."""
    if not bits.flag():
        return
    last = 8
    for _ in range(size):
        last = (last + bits.se()) % 256
        if last == 0:
            return


def _picture_order(bits: Bits) -> None:
    kind = bits.at_most(2)
    if kind == 0:
        bits.at_most(12)
    elif kind == 1:
        bits.flag()
        for _ in range(2):
            bits.se()
        for _ in range(bits.at_most(255)):
            bits.se()


def _cropped(bits: Bits, width: int, height: int, chroma_format: int, field_units: int) -> tuple[int, int]:
    """Size after the cropping rectangle, whose units depend on chroma format and interlace (7.4.2.1.1)."""
    if not bits.flag():
        return width, height
    unit_x = 2 if chroma_format in (1, 2) else 1
    unit_y = field_units * (2 if chroma_format == 1 else 1)
    left, right, top, bottom = (bits.ue() for _ in range(4))
    width, height = width - (left + right) * unit_x, height - (top + bottom) * unit_y
    if width <= 0 or height <= 0:
        raise BadBits(_WHAT)
    return width, height


def _usability(bits: Bits) -> VideoUsability:
    sar = _sar(bits) if bits.flag() else None
    if bits.flag():
        bits.flag()
    colour = _signal(bits) if bits.flag() else Colour()
    if bits.flag():
        bits.ue()
        bits.ue()
    fps, fixed = _timing(bits) if bits.flag() else (None, False)
    hrds = 0
    for _ in range(2):
        if bits.flag():
            _skip_hrd(bits)
            hrds += 1
    if hrds:
        bits.flag()
    bits.flag()
    reorder, buffered = _order(bits) if bits.flag() else (None, None)
    return VideoUsability(sar, colour, fps, fixed, hrds > 0, reorder, buffered)


def _sar(bits: Bits) -> Fraction | None:
    index = bits.take(8)
    if index == _EXTENDED_SAR:
        across, down = bits.take(16), bits.take(16)
        return Fraction(across, down) if across and down else None
    return Fraction(_SARS[index]) if 0 < index < len(_SARS) else None


def _signal(bits: Bits) -> Colour:
    """Range and code points (E.2.1)."""
    bits.take(3)
    full_range = bits.flag()
    if not bits.flag():
        return Colour(full_range=full_range)
    return Colour(bits.take(8), bits.take(8), bits.take(8), full_range)


def _timing(bits: Bits) -> tuple[Fraction | None, bool]:
    """Two ticks are a frame (E.2.1)."""
    ticks, scale, fixed = bits.take(32), bits.take(32), bits.flag()
    return (Fraction(scale, 2 * ticks) if ticks and scale else None), fixed


def _skip_hrd(bits: Bits) -> None:
    buffers = bits.at_most(31) + 1
    bits.take(8)
    for _ in range(buffers):
        bits.ue()
        bits.ue()
        bits.flag()
    bits.take(20)


def _order(bits: Bits) -> tuple[int, int]:
    """How many pictures may wait for earlier ones, and how many are kept (max_dec_frame_buffering)."""
    bits.flag()
    for _ in range(4):
        bits.ue()
    return bits.at_most(16), bits.at_most(16)
