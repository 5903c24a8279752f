"""Content types as browsers and tools send them, and the names they have here."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence

import pytest

from shared.domain.content_types import essence, known_as
from shared.domain.sources import image_problem, plain_data_uri
from shared.domain.uploads import KINDS, wrong_files


@pytest.mark.parametrize(
    ("kind", "sent", "known"),
    [
        ("clip", "video/webm;codecs=vp8,opus", "video/webm"),
        ("clip", 'video/mp4; codecs="avc1.42E01E, mp4a.40.2"', "video/mp4"),
        ("clip", "Video/MP4", "video/mp4"),
        ("clip", " video/mp4 \t; ", "video/mp4"),
        ("clip", "video/x-matroska;codecs=avc1", "video/x-matroska"),
        ("clip", "video/matroska", "video/x-matroska"),
        ("clip", "video/x-m4v", "video/mp4"),
        ("clip", "application/mp4", "video/mp4"),
        ("music", "application/mp4", "audio/mp4"),
        ("music", "audio/x-m4a", "audio/mp4"),
        ("music", "audio/mp3", "audio/mpeg"),
        ("music", "Audio/X-WAV", "audio/wav"),
        ("music", "audio/x-flac", "audio/flac"),
        ("music", "application/ogg", "audio/ogg"),
        ("music", "video/ogg", "audio/ogg"),
        ("music", "audio/ogg; codecs=opus", "audio/ogg"),
        ("image", "image/jpg", "image/jpeg"),
        ("frame", "image/pjpeg", "image/jpeg"),
        ("image", "image/x-png", "image/png"),
        ("captions", "text/vtt;charset=utf-8", "text/vtt"),
        ("captions", "text/srt", "application/x-subrip"),
        ("font", "application/x-font-ttf", "font/ttf"),
        ("font", "application/vnd.ms-opentype", "font/otf"),
    ],
)
def test_a_type_is_known_by_its_essence_and_its_other_names(kind: str, sent: str, known: str) -> None:
    assert known_as(sent, KINDS[kind].content_types) == known
    assert wrong_files(kind, [{"contentType": sent, "size": 1}]) == []


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("clip", "video"),
        ("clip", "video/"),
        ("clip", ""),
        ("clip", "; codecs=vp8"),
        ("clip", "video/mp4, text/html"),
        ("clip", "video /mp4"),
        ("clip", "video/mp4; a=\r\nX: y"),
        ("clip", "video/mp4\x00"),
        ("clip", "video/mp4\u00a0"),
        ("clip", "vide\u043e/mp4"),
        ("clip", "v\u0130deo/mp4"),
        ("clip", "text/html; video/mp4"),
        ("clip", "audio/mp4"),
        ("clip", "video/ogg"),
        ("clip", "video/x-msvideo"),
        ("clip", "application/octet-stream"),
        ("music", "video/mp4"),
        ("frame", "image/gif"),
        ("image", "image/svg+xml"),
        ("captions", "text/plain"),
        ("font", "application/font-sfnt"),
        ("font", "font/woff2"),
    ],
)
def test_what_is_none_of_a_kinds_types_is_named_with_those_that_are(kind: str, sent: str) -> None:
    (mistake,) = wrong_files(kind, [{"contentType": sent, "size": 1}])

    allowed = ", ".join(KINDS[kind].content_types)
    assert (mistake.path, mistake.message) == ("files.0.contentType", f"must be one of {allowed}")


@pytest.mark.parametrize(
    ("kind", "endings"),
    [
        ("clip", (".mp4", ".mov", ".webm")),
        ("music", (".mp3", ".wav")),
        ("image", (".png", ".jpg", ".jpeg", ".gif")),
    ],
)
def test_what_pythons_own_table_tells_of_a_file_is_known(kind: str, endings: Sequence[str]) -> None:
    for ending in endings:
        told, _ = mimetypes.MimeTypes().guess_type(f"a{ending}")
        assert known_as(str(told), KINDS[kind].content_types) is not None, told


def test_an_essence_is_lower_case_and_without_parameters() -> None:
    assert essence('Image/PNG; a="b;c"') == "image/png"
    assert essence("binary/octet-stream") == "binary/octet-stream"
    assert essence("nonsense") is None


@pytest.mark.parametrize(
    "uri",
    ["data:IMAGE/Png;base64,AAAA", "data:image/png;charset=utf-8;base64,AAAA", "data:image/png;a=b;C=;base64,AAAA"],
)
def test_a_data_uris_type_may_have_capitals_and_parameters(uri: str) -> None:
    assert (image_problem(uri), plain_data_uri(uri)) == (None, "data:image/png;base64,AAAA")


@pytest.mark.parametrize("uri", ["data:image/png;base64;base64,AAAA", "data:video/mp4;a=image/png;base64,AAAA"])
def test_a_data_uri_of_another_form_is_no_image(uri: str) -> None:
    assert image_problem(uri) is not None
