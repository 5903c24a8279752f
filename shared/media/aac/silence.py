"""A frame of AAC-LC that decodes to silence, for any layout (ISO 14496-3, 4.4.2: raw_data_block)."""

from __future__ import annotations

from shared.media.bits import packed

_SINGLE, _PAIR, _LOW, _END = 0, 1, 3, 7
# Elements in the order each channel configuration has (ISO 14496-3, table 1.19).
_ELEMENTS = {
    1: (_SINGLE,),
    2: (_PAIR,),
    3: (_SINGLE, _PAIR),
    4: (_SINGLE, _PAIR, _SINGLE),
    5: (_SINGLE, _PAIR, _PAIR),
    6: (_SINGLE, _PAIR, _PAIR, _LOW),
    7: (_SINGLE, _PAIR, _PAIR, _PAIR, _LOW),
}
_LONG_WINDOW = [(0, 1), (0, 2), (0, 1), (0, 6), (0, 1)]  # reserved, sequence, shape, max_sfb, predictor_data_present
_NO_TOOLS = [(0, 1), (0, 1), (0, 1)]  # pulse, TNS and gain control data present
_GAIN = [(0, 8)]


def can_be_silent(channel_config: int) -> bool:
    """Whether the layout is one of the standard's own, so that a silent frame can be made."""
    return channel_config in _ELEMENTS


def silent_frame(channel_config: int) -> bytes:
    """One frame without a single spectral coefficient. Raises KeyError for a layout told in the stream."""
    bits: list[tuple[int, int]] = []
    tags: dict[int, int] = {}
    for element in _ELEMENTS[channel_config]:
        tag = tags.get(element, 0)
        tags[element] = tag + 1
        bits += [(element, 3), (tag, 4), *(_pair() if element == _PAIR else _single())]
    return packed([*bits, (_END, 3)])


def _single() -> list[tuple[int, int]]:
    return [*_GAIN, *_LONG_WINDOW, *_NO_TOOLS]


def _pair() -> list[tuple[int, int]]:
    """A common window and no mid/side stereo, then both channels."""
    return [(1, 1), *_LONG_WINDOW, (0, 2), *_GAIN, *_NO_TOOLS, *_GAIN, *_NO_TOOLS]
