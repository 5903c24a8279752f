"""Clips that cannot be spliced are refused with every reason, and nothing else is."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from operator import add, sub
from pathlib import Path

import pytest

from shared.media.aac.config import AudioConfig
from shared.media.clip import Clip, Picture, Sound, read_clip
from shared.media.mp4.movie import Edit
from shared.media.splice.film import splice
from shared.media.splice.refusals import CannotSplice, refusals
from shared.media.timeline import PictureTimes
from tests.unit.media.films import FileSource, clip, ffmpeg

LARGER = "-vf scale=128:96,setsar=1"
ODD_TIMESCALE = 16_777_213  # a prime number below 2^24


def read(path: Path) -> Clip:
    return read_clip(FileSource(path))


def codes(*clips: Clip) -> list[tuple[int | None, str]]:
    return [(one.clip, one.code) for one in refusals(clips)]


def remuxed(path: Path, target: Path, *options: str) -> Path:
    before = options[: options.index("-i")] if "-i" in options else ()
    after = options[len(before) + 1 :] if before else options
    ffmpeg(*before, "-i", str(path), "-c", "copy", *after, str(target))
    return target


ODD_CODINGS = {
    "size_differs": LARGER,
    "pixel_aspect_differs": "-vf setsar=2",
    "chroma_differs": "-pix_fmt yuv444p",
    "bit_depth_differs": "-pix_fmt yuv420p10le",
    "colour_differs": "-colorspace bt709 -color_primaries bt709 -color_trc bt709",
    "interlacing_differs": "-x264-params interlaced=1",
    "video_codec_differs": "-c:v libx265 -x265-params log-level=none -tag:v hvc1",
    "audio_differs": "-ac 1",
    "audio_codec": "-c:a ac3",
    "audio_channels": "-ac 6",
    "video_codec": "-c:v ffv1",
    "open_start": "-bsf:v noise=drop=lt(n\\,2)",
}


@pytest.mark.parametrize("code", ODD_CODINGS)
def test_the_odd_clip_is_named(code: str) -> None:
    found = codes(read(clip()), read(clip(options=ODD_CODINGS[code], tone=550)), read(clip(tone=660)))
    assert (1, code) in found
    assert {place for place, _ in found} == {1}


def test_what_is_said_names_the_clip_as_people_count() -> None:
    (found,) = refusals([read(clip()), read(clip(tone=660)), read(clip(options=LARGER))])
    assert found.sentence == "Clip 3 has another frame size than most of the film."


def test_a_rotation_is_not_lost(tmp_path: Path) -> None:
    turned = remuxed(clip(), tmp_path / "turned.mp4", "-display_rotation", "90", "-i")
    assert codes(read(clip()), read(clip(tone=550)), read(turned)) == [(2, "rotation_differs")]


def test_half_a_packet_of_a_low_rate_would_be_heard() -> None:
    low = [read(clip(rate=16000, tone=tone)) for tone in (440, 550)]
    assert codes(low[0]) == []
    assert codes(*low) == [(0, "audio_rate"), (1, "audio_rate")]


def test_clips_turned_alike_stay_turned(tmp_path: Path) -> None:
    turned = read(remuxed(clip(), tmp_path / "turned.mp4", "-display_rotation", "90", "-i"))
    assert codes(turned, turned) == []


def test_hidden_pictures_stay_hidden(tmp_path: Path) -> None:
    trimmed = remuxed(clip(), tmp_path / "trimmed.mp4", "-ss", "0.1", "-i")
    assert (1, "trimmed") in codes(read(clip(tone=550)), read(trimmed))


def test_a_file_cut_off_is_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    whole = clip(options="-movflags faststart").read_bytes()
    cut.write_bytes(whole[:-1000])
    assert codes(read(cut)) == [(0, "chunk_outside")]


def test_a_clock_that_fits_no_other_is_no_reason_to_refuse() -> None:
    odd = clip(fps="16777213/700001", options=f"-video_track_timescale {ODD_TIMESCALE}")
    assert codes(read(clip()), read(clip(tone=550)), read(odd)) == []


def test_parameter_sets_beyond_the_ids_there_are_leave_out_the_smaller_groups() -> None:
    clips = [read(clip(pictures=4, sound=None, options=f"-qp {qp}")) for qp in range(20, 38)]
    found = codes(*clips)
    assert {code for _, code in found} == {"parameter_set_ids"}
    assert len(found) == 1


def picture(one: Clip) -> Picture:
    assert one.picture is not None
    return one.picture


def sound(one: Clip) -> Sound:
    assert one.sound is not None
    return one.sound


def with_picture(one: Clip, change: Callable[[Picture], Picture]) -> Clip:
    return replace(one, picture=change(picture(one)))


def with_sound(one: Clip, change: Callable[[Sound], Sound]) -> Clip:
    return replace(one, sound=change(sound(one)))


HE_AAC = AudioConfig(2, 22050, 2, 1024, None, False)
FORGERIES: dict[str, Callable[[Clip], Clip]] = {
    "several_descriptions": lambda one: with_picture(one, lambda p: replace(p, track=replace(p.track, entries=2))),
    "external_data": lambda one: with_sound(one, lambda s: replace(s, track=replace(s.track, external=True))),
    "encrypted": lambda one: with_picture(one, lambda p: replace(p, entry=replace(p.entry, kind="encv"))),
    "no_picture": lambda one: replace(one, picture=None),
    "audio_codec": lambda one: with_sound(one, lambda s: replace(s, entry=replace(s.entry, aac=HE_AAC))),
    "chunks_overlap": lambda one: with_picture(one, _all_chunks_at_the_first),
    "parameter_sets_change": lambda one: with_picture(one, _another_set_in_band),
    "odd_edits": lambda one: with_picture(one, lambda p: replace(p, times=replace(_times(p), odd_edits=True))),
    "late_picture": lambda one: with_picture(one, lambda p: replace(p, late_seconds=Fraction(1))),
    "odd_composition": lambda one: with_picture(one, lambda p: replace(p, times=replace(_times(p), last_shown=10**9))),
}


def _times(one: Picture) -> PictureTimes:
    assert one.times is not None
    return one.times


def _all_chunks_at_the_first(one: Picture) -> Picture:
    offsets = array("Q", [one.tables.chunk_offsets[0]] * len(one.tables.chunk_offsets))
    ends = array("Q", map(add, offsets, map(sub, one.tables.chunk_ends, one.tables.chunk_offsets)))
    return replace(one, tables=replace(one.tables, chunk_offsets=offsets, chunk_ends=ends))


def _another_set_in_band(one: Picture) -> Picture:
    assert one.scan is not None
    return replace(one, scan=replace(one.scan, sets=frozenset([b"\x67other"])))


@pytest.mark.parametrize("code", FORGERIES)
def test_what_no_writer_should_make_is_refused(code: str) -> None:
    one = read(clip())
    assert codes(one) == []
    assert (0, code) in codes(FORGERIES[code](one))


def test_a_refused_clip_is_not_spliced() -> None:
    clips = [read(clip()), read(clip(options=LARGER, tone=550))]
    with pytest.raises(CannotSplice) as caught:
        splice(clips)
    assert [one.code for one in caught.value.refusals] == ["size_differs"]
    assert caught.value.code == "cannot_splice"


def test_a_damaged_payload_is_refused_when_it_is_rewritten() -> None:
    clips = [read(clip(pictures=24)), read(clip(options="-refs 4 -preset medium -bf 0", tone=550))]
    odd = clips[1]
    length = max(odd.file.payloads[0]) - min(odd.file.payloads[0])
    with pytest.raises(CannotSplice):
        splice(clips, {1: b"\xff" * length})


def test_no_clip_is_no_film() -> None:
    assert codes() == [(None, "number_of_clips")]


def test_an_edit_list_of_one_entry_is_no_reason(tmp_path: Path) -> None:
    one = read(clip(options="-preset medium -bf 2"))
    assert picture(one).track.edits == (Edit(picture(one).track.edits[0].duration, 1024, 65536),)
    assert codes(one) == []
