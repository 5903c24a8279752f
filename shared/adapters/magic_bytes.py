"""What a file is by its first bytes. A header or a file name is only somebody's claim.

Markup, archives, programs and playlists have no entry, so they are nothing we know. What passes here is still
probed packet by packet before it is used.
"""

from __future__ import annotations

import re

SNIFF_BYTES = 512

_FIXED = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"fLaC", "audio/flac"),
    (b"OggS\x00", "audio/ogg"),
)
_RIFF = {b"AVI ": "video/x-msvideo", b"WAVE": "audio/wav", b"WEBP": "image/webp"}
# Brands of ISO 14496-12 `ftyp` boxes, from the registry at mp4ra.org.
_BRANDS = {
    "image/avif": ("avif", "avis"),
    "image/heic": ("heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"),
    "audio/mp4": ("M4A ", "M4B "),
    "video/quicktime": ("qt  ",),
    "video/mp4": (
        "isom",
        "iso2",
        "iso3",
        "iso4",
        "iso5",
        "iso6",
        "iso7",
        "iso8",
        "iso9",
        "mp41",
        "mp42",
        "avc1",
        "hvc1",
        "av01",
        "dash",
        "M4V ",
        "M4VH",
        "M4VP",
        "MSNV",
        "cmfc",
        "F4V ",
    ),
}
_BRAND_TYPES = {brand.encode(): kind for kind, brands in _BRANDS.items() for brand in brands}
_EBML = b"\x1a\x45\xdf\xa3"
_DOC_TYPES = {b"\x42\x82\x84webm": "video/webm", b"\x42\x82\x88matroska": "video/x-matroska"}
_NOT_PLAIN = re.compile(
    rb"\s*(?:<!doctype|<html|<head|<body|<script|<svg|<\?xml|<mpd|<smil|#extm3u|ffconcat|\[playlist\]|v=0\s|%pdf|%!ps|#!)",
    re.IGNORECASE,
)
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def media_type(head: bytes) -> str | None:
    """The type of a file that begins with `head` (SNIFF_BYTES, or all there is); None when it is no media."""
    for start, kind in _FIXED:
        if head.startswith(start):
            return kind
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head.startswith(_EBML):
        return next((kind for mark, kind in _DOC_TYPES.items() if mark in head[:64]), None)
    return "audio/mpeg" if _is_mp3(head) else None


def is_plain_text(content: bytes) -> bool:
    """Whether these bytes are UTF-8 prose: no controls, no markup, no playlist, no script."""
    text = content.removeprefix(b"\xef\xbb\xbf")
    if not text or _NOT_PLAIN.match(text) or _CONTROLS.search(text):
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _by_brand(head: bytes) -> str | None:
    box = head[: min(int.from_bytes(head[:4], "big"), len(head))]
    brands = [box[8:12], *(box[at : at + 4] for at in range(16, len(box) - 3, 4))]
    kinds = [_BRAND_TYPES[brand] for brand in brands if brand in _BRAND_TYPES]
    # `mif1` is any still image in this family: AVIF files name it as well.
    if brands[0] in (b"mif1", b"msf1") and "image/avif" in kinds:
        return "image/avif"
    return kinds[0] if kinds else None


def _is_mp3(head: bytes) -> bool:
    if head.startswith(b"ID3"):
        return len(head) >= 10 and head[3] in (2, 3, 4) and all(byte < 0x80 for byte in head[6:10])
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    # ISO 11172-3 2.4.1.3: layer III; version, bitrate and sampling rate neither free nor reserved.
    version, layer, bitrate, sampling = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer == 1 and bitrate not in (0, 15) and sampling != 3
