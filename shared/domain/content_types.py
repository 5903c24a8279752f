"""Content types as senders write them, and the one name each has here."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,127}"
# RFC 9110 section 8.3.1, but for parameters: MediaRecorder writes `codecs=vp8,opus` without the quotes it needs.
_MEDIA_TYPE = re.compile(rf"[ \t]*({_TOKEN}/{_TOKEN})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?", re.ASCII)
# Names in use beside the registered one: of browsers, the shared MIME database of freedesktop.org, Python's
# mimetypes, Windows and Apache. What may stand for two types has both; the kind of file decides.
_OTHER_NAMES: Mapping[str, Iterable[str]] = {
    "image/jpeg": ("image/jpg", "image/pjpeg"),
    "image/png": ("image/x-png",),
    "video/mp4": ("video/x-m4v", "video/m4v", "video/x-mp4", "application/mp4"),
    "video/quicktime": ("video/mov", "video/x-quicktime"),
    "video/webm": ("video/x-webm",),
    "video/x-matroska": ("video/matroska", "video/mkv", "video/x-mkv", "application/x-matroska"),
    "audio/mpeg": (
        "audio/mp3",
        "audio/x-mp3",
        "audio/x-mpeg",
        "audio/mpeg3",
        "audio/x-mpeg-3",
        "audio/x-mpeg3",
        "audio/mpg",
        "audio/x-mpg",
    ),
    "audio/wav": ("audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/x-pn-wav"),
    "audio/mp4": ("audio/m4a", "audio/x-m4a", "audio/x-mp4", "audio/mp4a-latm", "application/mp4"),
    "audio/flac": ("audio/x-flac",),
    "audio/ogg": (
        "application/ogg",
        "video/ogg",
        "audio/x-ogg",
        "audio/vorbis",
        "audio/opus",
        "audio/x-vorbis+ogg",
        "audio/x-opus+ogg",
    ),
    "application/x-subrip": ("application/srt", "application/x-srt", "text/srt", "text/x-srt", "text/x-subrip"),
    "text/vtt": ("text/webvtt",),
    "font/ttf": ("application/x-font-ttf", "application/x-font-truetype", "application/font-ttf", "font/truetype"),
    "font/otf": (
        "application/x-font-otf",
        "application/x-font-opentype",
        "application/font-otf",
        "font/opentype",
        "application/vnd.ms-opentype",
    ),
}


def essence(text: str) -> str | None:
    """`type/subtype` in lower case, without parameters; None where the text is no content type."""
    found = _MEDIA_TYPE.fullmatch(text)
    return found[1].lower() if found else None


def known_as(text: str, allowed: Container[str]) -> str | None:
    """The one of the allowed types that a sender means by this text; None where there is none."""
    sent = essence(text)
    if sent is None or sent in allowed:
        return sent
    return next((name for name, others in _OTHER_NAMES.items() if name in allowed and sent in others), None)
