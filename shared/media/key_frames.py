"""Whether a sample of a codec without NAL units is a key frame, by its first bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

_VP9_MARKER, _VP9_LAST_PROFILE = 0b10, 3
_AV1_SEQUENCE_HEADER = 1
_VOP_START_CODE = b"\0\0\1\xb6"


def is_vp9_key(head: bytes) -> bool:
    """By the uncompressed header (VP9 bitstream, 6.2): a frame of type 0 that is not one shown before."""
    if not head or head[0] >> 6 != _VP9_MARKER:
        return False
    profile = (head[0] >> 5 & 1) | (head[0] >> 4 & 1) << 1
    behind = head[0] << (5 if profile == _VP9_LAST_PROFILE else 4) & 0xFF
    return behind >> 6 == 0


def is_av1_key(head: bytes) -> bool:
    """A random access point begins with a sequence header, behind a delimiter at most (AV1, 7.6.2)."""
    at = 0
    while at < len(head):
        kind, extended, sized = head[at] >> 3 & 15, head[at] >> 2 & 1, head[at] >> 1 & 1
        if kind == _AV1_SEQUENCE_HEADER:
            return True
        if not sized or at + 1 + extended >= len(head):
            return False
        length = head[at + 1 + extended]
        if length > 0x7F:
            return False
        at += 2 + extended + length
    return False


def is_mpeg4_key(head: bytes) -> bool:
    """By the coding type behind the first VOP start code (ISO 14496-2, 6.2.5): 0 is an I-VOP."""
    at = head.find(_VOP_START_CODE)
    return 0 <= at < len(head) - len(_VOP_START_CODE) and head[at + len(_VOP_START_CODE)] >> 6 == 0


KEY_TESTS: Mapping[str, Callable[[bytes], bool]] = {"vp09": is_vp9_key, "av01": is_av1_key, "mp4v": is_mpeg4_key}
