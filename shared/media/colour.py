"""How code values of pixels mean colours (code points of ISO 23091-2)."""

from __future__ import annotations

from dataclasses import dataclass

UNSPECIFIED = 2
PERCEPTUAL_QUANTIZER, HYBRID_LOG_GAMMA = 16, 18
# All that FFmpeg calls them, by what its `showinfo` writes in front.
FFMPEG_NAMES = {
    "color_range": ("tv", "pc"),
    "color_space": (
        "gbr",
        "bt709",
        "fcc",
        "bt470bg",
        "smpte170m",
        "smpte240m",
        "ycgco",
        "ycgco-re",
        "ycgco-ro",
        "bt2020nc",
        "bt2020c",
        "smpte2085",
        "chroma-derived-nc",
        "chroma-derived-c",
        "ictcp",
        "ipt-c2",
    ),
    "color_primaries": (
        "bt709",
        "bt470m",
        "bt470bg",
        "smpte170m",
        "smpte240m",
        "film",
        "bt2020",
        "smpte428",
        "smpte431",
        "smpte432",
        "jedec-p22",
        "ebu3213",
        "vgamut",
    ),
    "color_trc": (
        "bt709",
        "bt470m",
        "bt470bg",
        "smpte170m",
        "smpte240m",
        "linear",
        "log100",
        "log316",
        "iec61966-2-4",
        "bt1361e",
        "iec61966-2-1",
        "bt2020-10",
        "bt2020-12",
        "smpte2084",
        "smpte428",
        "arib-std-b67",
        "vlog",
    ),
}


@dataclass(frozen=True, slots=True)
class Colour:
    """Code points; `full_range` is None where nothing is said of it."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    full_range: bool | None = None
