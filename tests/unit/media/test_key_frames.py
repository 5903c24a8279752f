"""Key frames by the first bytes of a sample, as the codecs' specifications lay them out."""

from __future__ import annotations

import pytest

from shared.media.key_frames import KEY_TESTS

# frame_marker 10, profile low and high bit, (reserved bit of profile 3), show_existing_frame, frame_type (0: key).
VP9 = {
    "profile 0, key": ("10 0 0 0 0 1 0", True),
    "profile 0, not": ("10 0 0 0 1 1 0", False),
    "profile 0, shown before": ("10 0 0 1 0 0 0", False),
    "profile 1, key": ("10 1 0 0 0 1 0", True),
    "profile 1, not": ("10 1 0 0 1 1 0", False),
    "profile 2, key": ("10 0 1 0 0 1 0", True),
    "profile 2, not": ("10 0 1 0 1 1 0", False),
    "profile 3, key": ("10 1 1 0 0 0 1", True),
    "profile 3, not": ("10 1 1 0 0 1 1", False),
    "profile 3, shown before": ("10 1 1 0 1 0 0", False),
    "another marker": ("01 0 0 0 0 1 0", False),
    "no marker": ("00 0 0 0 0 0 0", False),
    "nothing": ("", False),
}
# Each OBU: forbidden bit, type, extension flag, size flag, reserved bit; types: 1 sequence header, 2 temporal
# delimiter, 3 frame header, 5 metadata, 6 frame.
DELIMITER, SEQUENCE, FRAME = "12 00", "0a 0b", "32 7f"
AV1 = {
    "a sequence header": (SEQUENCE, True),
    "a sequence header without a size": ("08", True),
    "behind a delimiter": (f"{DELIMITER} {SEQUENCE}", True),
    "behind a delimiter with an extension": (f"16 00 00 {SEQUENCE}", True),
    "behind metadata": (f"2a 02 aa bb {SEQUENCE}", True),
    "behind long metadata": (f"2a 82 01 {'00' * 130} {SEQUENCE}", False),
    "a frame": (f"{DELIMITER} {FRAME}", False),
    "a frame header": (f"{DELIMITER} 1a 01 00", False),
    "a frame without a size": (f"{DELIMITER} 30 00", False),
    "a delimiter cut off": ("12", False),
    "a delimiter alone": (DELIMITER, False),
    "an extension cut off": ("16 00", False),
    "nothing": ("", False),
}
# vop_coding_type is two bits: 0 I, 1 P, 2 B, 3 S.
VOP, LAYER = "00 00 01 b6", "00 00 01 20 08"
MPEG4 = {
    "I": (f"{VOP} 10", True),
    "P": (f"{VOP} 50", False),
    "B": (f"{VOP} 90", False),
    "S": (f"{VOP} d0", False),
    "I behind headers": (f"00 00 01 b0 01 {LAYER} {VOP} 3f", True),
    "P behind headers": (f"{LAYER} {VOP} 7f", False),
    "I before P": (f"{VOP} 10 {VOP} 50", True),
    "cut off behind the start code": (VOP, False),
    "headers alone": (LAYER, False),
    "nothing": ("", False),
}
HEX = [("av01", *row) for row in AV1.items()] + [("mp4v", *row) for row in MPEG4.items()]


@pytest.mark.parametrize(("bits", "expected"), VP9.values(), ids=VP9.keys())
def test_a_key_frame_of_vp9_is_known_by_its_uncompressed_header(bits: str, expected: bool) -> None:
    data = bytes([int(bits.replace(" ", ""), 2)]) if bits else b""

    assert KEY_TESTS["vp09"](data) is expected


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [pytest.param(kind, data, is_key, id=f"{kind} {name}") for kind, name, (data, is_key) in HEX],
)
def test_a_key_frame_of_av1_and_mpeg4_is_known_by_its_units(kind: str, data: str, expected: bool) -> None:
    assert KEY_TESTS[kind](bytes.fromhex(data)) is expected


@pytest.mark.parametrize("kind", KEY_TESTS)
def test_bytes_of_any_kind_are_answered(kind: str) -> None:
    for first in range(256):
        for second in (0, 0x7F, 0x80, 0xFF):
            assert KEY_TESTS[kind](bytes([first, second])) in (True, False)
