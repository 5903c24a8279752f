"""Clips that are refused by name, and clips that FFmpeg or the caller wants otherwise."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from shared.domain.errors import BadMedia
from shared.media.target import Wishes
from shared.usecases.inspect_media import look_through
from tests import mp4_surgery as mp4
from tests.footage import bare, encoder, made
from tests.odd_clips import NO_B, RE_ENCODED, film_of, frames, video
from tests.unit.media.films import clip, packets, shown

REQUESTS = {"size": Wishes(size=(64, 48)), "fps": Wishes(fps=Fraction(12)), "reencode": RE_ENCODED}


def test_an_encrypted_clip_is_called_so(tmp_path: Path) -> None:
    keys = ("-encryption_key", "0" * 32, "-encryption_kid", "1" * 32)
    odd = made("-i", clip(), "-c", "copy", "-encryption_scheme", "cenc-aes-ctr", *keys, tmp_path / "odd.mp4")
    with pytest.raises(BadMedia, match="Clip 1: The file is encrypted"):
        film_of([odd, clip(tone=550)], tmp_path)
    with pytest.raises(BadMedia, match="encrypted"):
        look_through(encoder(), odd)


@pytest.mark.parametrize("name", ["still.png", "still.jpg", "still.gif", "still.webp"])
def test_a_still_image_is_refused_with_the_remedy(tmp_path: Path, name: str) -> None:
    still = made("-i", clip(), "-frames:v", "1", "-update", "1", tmp_path / name)
    with pytest.raises(BadMedia, match="Clip 2 is a still image, which has no duration") as refused:
        film_of([clip(), still], tmp_path)
    assert refused.value.code == "still_needs_duration"


def test_a_clip_of_one_long_frame_is_no_still_image(tmp_path: Path) -> None:
    one = clip(pictures=1, fps="1/2", sound=None)
    film, _ = film_of([one, clip(tone=550, sound=None)], tmp_path)
    assert film.seconds == pytest.approx(2.5, abs=0.01)


@pytest.mark.parametrize("way", list(REQUESTS))
@pytest.mark.parametrize("container", ["mkv", "webm", "avi", "ts", "mov"])
def test_what_is_asked_for_is_done_in_every_container(tmp_path: Path, container: str, way: str) -> None:
    codecs = ("-c:v", "libvpx", "-c:a", "libopus") if container == "webm" else ("-c", "copy")
    odd = [made("-i", clip(tone=tone), *codecs, tmp_path / f"{tone}.{container}") for tone in (440, 550)]
    film, path = film_of(odd, tmp_path, REQUESTS[way])
    assert (film.plan.strategy, film.content_type) == ("encode", "video/mp4")
    facts = encoder().probe(path).video
    assert facts is not None
    assert (facts.width, facts.height) == ((64, 48) if way == "size" else (96, 64))


def test_a_clip_that_ffmpeg_shows_otherwise_is_encoded_as_it_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's own misreading cannot agree with itself."""
    from shared.media import timeline

    real = timeline.presented_span
    monkeypatch.setattr(timeline, "presented_span", lambda track, units: real(track, units).__class__(0, None, 0))

    def hide_two(moov: list) -> None:
        mp4.put(video(moov), b"edts", mp4.edit_list((10 * 1000 // 24, 1024)))

    plain = clip(sound=None, options=f"{NO_B} -video_track_timescale 12288")
    odd = mp4.changed(plain, tmp_path / "odd.mp4", hide_two)
    film, path = film_of([clip(tone=550, sound=None), clip(tone=660, sound=None), odd], tmp_path)
    assert film.plan.strategy == "smart"
    assert "read_otherwise" in [one.name for one in film.plan.mismatches]
    assert len(shown(path)) == 12 + 12 + 10


def test_parameter_sets_in_the_samples_alone_are_enough(tmp_path: Path) -> None:
    plain = clip(options=NO_B)
    units = made("-i", plain, "-c", "copy", "-an", tmp_path / "units.h264")
    in_band = made(
        "-r",
        "24",
        "-i",
        units,
        "-i",
        plain,
        "-map",
        "0",
        "-map",
        "1:a",
        "-c",
        "copy",
        "-tag:v",
        "avc3",
        tmp_path / "in-band.mp4",
    )

    def empty_head(moov: list) -> None:
        entry = mp4.at(mp4.tables(video(moov)), b"stsd")
        place = entry[1].index(b"avcC")
        size = int.from_bytes(entry[1][place - 4 : place], "big")
        record = entry[1][place + 4 : place - 4 + size]
        head = record[:5] + b"\xe0\x00"
        rest = b"free" + bytes(len(record) - len(head) - 8)
        free = (len(rest) + 4).to_bytes(4, "big") + rest
        new = (len(head) + 8).to_bytes(4, "big") + b"avcC" + head + free
        entry[1] = entry[1][: place - 4] + new + entry[1][place - 4 + size :]

    odd = mp4.changed(in_band, tmp_path / "odd.mp4", empty_head)
    film, path = film_of([odd, clip(tone=550)], tmp_path)
    assert film.plan.strategy == "splice"
    assert frames(path) == frames(plain) + frames(clip(tone=550))
    assert bare("-xerror", "-i", path, "-f", "null", "-").returncode == 0
    assert len(packets(path)) == 24


@pytest.mark.parametrize("rate", [0x8000, 0x20000, -0x10000])
def test_an_edit_list_that_asks_for_another_speed_is_refused(tmp_path: Path, rate: int) -> None:
    def at_speed(moov: list) -> None:
        row = bytearray(mp4.at(video(moov), b"edts", b"elst")[1])
        row[16:20] = (rate % 2**32).to_bytes(4, "big")
        mp4.at(video(moov), b"edts", b"elst")[1] = bytes(row)

    odd = mp4.changed(clip(sound=None), tmp_path / "odd.mp4", at_speed)
    with pytest.raises(BadMedia, match="where its edit list asks for another") as refused:
        film_of([clip(tone=550), odd], tmp_path)
    assert refused.value.code == "odd_edits"
