"""Files are what their first bytes say."""

from __future__ import annotations

import pytest

from shared.adapters.magic_bytes import is_plain_text, media_type

MEDIA = {
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR": "image/png",
    b"\xff\xd8\xff\xe0\x00\x10JFIF": "image/jpeg",
    b"GIF89a\x01\x00\x01\x00": "image/gif",
    b"RIFF\x24\x00\x00\x00WEBPVP8 ": "image/webp",
    b"RIFF\x24\x00\x00\x00WAVEfmt ": "audio/wav",
    b"RIFF\x24\x00\x00\x00AVI LIST": "video/x-msvideo",
    b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42": "video/mp4",
    b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ": "video/quicktime",
    b"\x00\x00\x00\x18ftypM4A \x00\x00\x02\x00isomiso2": "audio/mp4",
    b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1miaf": "image/avif",
    b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avifmiaf": "image/avif",
    b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic": "image/heic",
    b"\x00\x00\x00\x18ftypxxxx\x00\x00\x00\x00xxxxmp42": "video/mp4",
    b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm": "video/webm",
    b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\x82\x88matroska": "video/x-matroska",
    b"ID3\x04\x00\x00\x00\x00\x00\x23": "audio/mpeg",
    b"\xff\xfb\x90\x64\x00": "audio/mpeg",
    b"fLaC\x00\x00\x00\x22": "audio/flac",
    b"OggS\x00\x02": "audio/ogg",
}
OTHERS = (
    b"",
    b"\x00",
    b"<!DOCTYPE html>",
    b"<svg xmlns=",
    b"PK\x03\x04",
    b"MZ\x90\x00",
    b"\x7fELF",
    b"#EXTM3U\n",
    b"ffconcat version 1.0\n",
    b"<MPD>",
    b"v=0\r\no=- 0",
    b"%PDF-1.7",
    b"\x1f\x8b\x08",
    b"RIFF\x00\x00\x00\x00ACON",
    b"\x00\x00\x00\x18ftypxxxx\x00\x00\x00\x00xxxxyyyy",
    b"\x00\x00\x00\x08ftypisom",
    b"\x1a\x45\xdf\xa3\x80",
    b"\xff\xfea\x00b\x00",
    b"\xff\xf1\x50\x80",
    b"\xff\xfb\xf0\x00",
    b"\xff\xfb",
    b"ID3\xff\xff",
    b"plain text",
)
MARKUP = (
    "<!doctype html><p>",
    "  <HTML>",
    "<svg>",
    "<?xml version='1.0'?>",
    "#EXTM3U\nhttp://",
    "ffconcat version 1.0",
    "[playlist]",
    "v=0\r\n",
    "%PDF-1",
    "#!/bin/sh",
    "\ufeff<svg>",
    "a\x00b",
    "MZ\x00\x03",
    "",
    "\x1b]0;\x07",
)


@pytest.mark.parametrize(("head", "expected"), MEDIA.items())
def test_media_is_known_by_its_first_bytes(head: bytes, expected: str) -> None:
    assert media_type(head) == expected


@pytest.mark.parametrize("head", OTHERS)
def test_nothing_else_is_media(head: bytes) -> None:
    assert media_type(head) is None


@pytest.mark.parametrize("text", ["A cat.\n", "Caf\u00e9 \u732b\t1 < 2", "\ufeffHello", "<think>well</think> yes"])
def test_prose_is_plain_text(text: str) -> None:
    assert is_plain_text(text.encode())


@pytest.mark.parametrize("text", MARKUP)
def test_markup_playlists_and_binaries_are_not(text: str) -> None:
    assert not is_plain_text(text.encode())


def test_other_encodings_are_not_plain_text() -> None:
    assert not is_plain_text("Caf\u00e9".encode("latin-1"))
