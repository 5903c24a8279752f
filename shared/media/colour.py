"""How code values of pixels mean colours (code points of ISO 23091-2)."""

from __future__ import annotations

from dataclasses import dataclass

UNSPECIFIED = 2
PERCEPTUAL_QUANTIZER, HYBRID_LOG_GAMMA = 16, 18


@dataclass(frozen=True, slots=True)
class Colour:
    """Code points; `full_range` is None where nothing is said of it."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    full_range: bool | None = None
