"""Where FFmpeg reads a clip otherwise than its index does, and how far apart they may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest

from shared.media.aac.config import AudioConfig
from shared.media.clip import Clip, Picture, lasting_seconds
from shared.media.compare import ProbedClip
from shared.media.decoded import Decoded
from shared.media.second_reading import Shown, disagreement, shown_by_ffmpeg, shown_by_index, with_length
from shared.media.timeline import PictureTimes
from tests.unit.media.built import (
    audio_facts,
    clip_of,
    edits,
    media_facts,
    one_by_one,
    picture,
    runs,
    sound,
    video_facts,
)
from tests.unit.media.probed import HE_AAC, h264

# 48 frames at 24 a second: the last one begins after 47.
SPAN = 47 / 24
AGREED = Shown(48, SPAN, 0.0, 2.0)
TWO_PARTS = edits((1000, 0), (500, 18432))
PARTS = Shown(36, None, None, None, 1.5)
CLIP = clip_of(picture(), sound())


def times_of(one: Picture) -> PictureTimes:
    assert one.times is not None
    return one.times


def with_times(video: Picture, **changes: int | Fraction) -> Picture:
    return replace(video, times=replace(times_of(video), **changes))


def of_audio(config: AudioConfig) -> Clip:
    return clip_of(picture(), sound(config=config))


HELD = clip_of(
    replace(with_times(picture(), last_shown=47 * 512 + 6144, ticks=24576 + 6144), held_seconds=Fraction(1, 2)), sound()
)
IN_PARTS = clip_of(picture(edits=TWO_PARTS), None)
AUDIO_IN_PARTS = edits((1000, 1024), (500, 66150))

ROWS: dict[str, tuple[Clip, Shown | None, str | None]] = {
    "alike": (CLIP, AGREED, None),
    "nothing is known": (CLIP, None, None),
    "a frame less": (CLIP, replace(AGREED, frames=47), "FFmpeg shows 47 frames of it where its index presents 48"),
    "a frame more": (CLIP, replace(AGREED, frames=49), "FFmpeg shows 49 frames of it where its index presents 48"),
    "three milliseconds longer": (CLIP, replace(AGREED, span_seconds=SPAN + 0.0029), None),
    "longer": (CLIP, replace(AGREED, span_seconds=2.0), "FFmpeg shows it for 2.000 s where its index says 1.958 s"),
    "shorter": (CLIP, replace(AGREED, span_seconds=SPAN - 0.0031), "FFmpeg shows it for 1.955 s"),
    "a length that the index need not say": (CLIP, replace(AGREED, seconds=9.0), None),
    "audio a packet late": (CLIP, replace(AGREED, audio_late_seconds=0.0299), None),
    "audio later": (CLIP, replace(AGREED, audio_late_seconds=0.0301), "FFmpeg hears it 0.030 s late"),
    "audio earlier": (CLIP, replace(AGREED, audio_late_seconds=-0.25), "FFmpeg hears it -0.250 s late"),
    "audio that is not heard": (CLIP, replace(AGREED, audio_late_seconds=None, audio_seconds=None), None),
    "HE-AAC a tenth late": (of_audio(HE_AAC), replace(AGREED, audio_late_seconds=0.099), None),
    "HE-AAC later": (of_audio(HE_AAC), replace(AGREED, audio_late_seconds=0.101), "FFmpeg hears it 0.101 s late"),
    "fragments with audio later": (
        clip_of(picture(), sound(), fragmented=True),
        replace(AGREED, audio_late_seconds=0.5),
        None,
    ),
    "audio a tenth longer": (CLIP, replace(AGREED, audio_seconds=2.119), None),
    "audio longer": (
        CLIP,
        replace(AGREED, audio_seconds=2.121),
        "FFmpeg hears it for 2.121 s where its index says 2.0",
    ),
    "audio shorter": (CLIP, replace(AGREED, audio_seconds=1.0), "FFmpeg hears it for 1.000 s"),
    "no audio in the index": (clip_of(picture(), None), AGREED, None),
    "a held frame": (HELD, replace(AGREED, audio_late_seconds=-0.5), None),
    "a held frame that is late": (HELD, AGREED, "FFmpeg hears it 0.000 s late where its index says -0.500 s"),
    "hidden frames": (
        clip_of(picture(edits=edits((1500, 0))), sound()),
        replace(AGREED, frames=36, span_seconds=9.0),
        None,
    ),
    "hidden frames shown": (clip_of(picture(edits=edits((1500, 0))), sound()), AGREED, "FFmpeg shows 48 frames"),
    "no times": (clip_of(replace(picture(), times=None), sound()), replace(AGREED, frames=1), None),
    "no video": (clip_of(None, sound()), AGREED, None),
    "several parts": (IN_PARTS, PARTS, None),
    "several parts as one": (IN_PARTS, AGREED, "FFmpeg shows 48 frames of it where its index presents 36"),
    "parts of another length": (IN_PARTS, replace(PARTS, seconds=1.54), "FFmpeg shows it for 1.540 s"),
    "parts a frame's rounding longer": (IN_PARTS, replace(PARTS, seconds=1.529), None),
    "another speed": (
        clip_of(picture(edits=edits((1000, 0, 0x20000))), None),
        AGREED,
        "FFmpeg plays it at its usual speed where its edit list asks for another",
    ),
    "a speed of nothing": (clip_of(picture(edits=edits((1000, 0, 0))), None), AGREED, None),
    "audio in parts": (
        clip_of(picture(edits=TWO_PARTS), sound(edits=AUDIO_IN_PARTS)),
        replace(PARTS, audio_seconds=1.5),
        "FFmpeg does not cut its audio where its edit list does",
    ),
}


@pytest.mark.parametrize(("clip", "shown", "expected"), ROWS.values(), ids=ROWS.keys())
def test_both_readings_agree_but_for_rounding(clip: Clip, shown: Shown | None, expected: str | None) -> None:
    found = disagreement(clip, shown)

    assert found == expected if expected is None else (found or "").startswith(expected)


def test_an_index_says_what_is_shown_and_heard() -> None:
    assert shown_by_index(CLIP) == Shown(48, SPAN, 0.0, 2.0)


def test_parts_of_frames_in_another_order_are_counted_by_when_they_are_shown() -> None:
    # Decoded at 0, 512, 1024 and 1536, shown at 1024, 2048, 1536 and 2560.
    video = picture(frames=4, edits=edits((42, 1024), (83, 2048)))
    tables = replace(video.tables, shifts=one_by_one([1024, 1536, 512, 1024], "i"))

    assert shown_by_index(clip_of(replace(video, tables=tables), None)) == Shown(4, None, None, None, 0.125)


def test_a_frame_that_begins_within_a_part_is_of_it() -> None:
    # 42 ms are 516.096 ticks.
    one = clip_of(picture(frames=4, deltas=runs((4, 516)), edits=edits((42, 0), (42, 1032))), None)

    assert shown_by_index(one) == Shown(4, None, None, None, 0.084)


DECODED = Decoded((0.5, 1.0, 1.5), 44100, 0.25, 1.0, (), (), (), ())
READINGS = {
    "decoded": (DECODED, Shown(3, 1.0, -0.25, 1.0)),
    "decoded without audio": (replace(DECODED, samples=0), Shown(3, 1.0, None, None)),
    "decoded without a frame": (replace(DECODED, pictures=()), Shown(48, None, 0.5, 2.0, 2.0)),
    "by its packets": (None, Shown(48, None, 0.5, 2.0, 2.0)),
}


@pytest.mark.parametrize(("decoded", "expected"), READINGS.values(), ids=READINGS.keys())
def test_ffmpeg_shows_what_it_decoded_or_listed(decoded: Decoded | None, expected: Shown) -> None:
    facts = replace(media_facts(video_facts(), audio_facts(start_seconds=Fraction(1, 2))), decoded=decoded)

    assert shown_by_ffmpeg(facts) == expected


def test_a_file_of_audio_shows_nothing() -> None:
    assert shown_by_ffmpeg(media_facts(None, audio_facts())) is None


def test_what_was_shown_is_kept_in_a_row() -> None:
    assert Shown.from_json(AGREED.to_json()) == AGREED


LENGTHS: dict[str, tuple[Callable[[Picture], Picture], Fraction]] = {
    "as its index presents it": (lambda one: with_times(one, presented_seconds=Fraction(5, 2)), Fraction(5, 2)),
    "with other frames": (lambda one: with_times(one, presented_seconds=Fraction(5, 2), hidden_last=1), Fraction(2)),
    "in parts": (lambda one: with_times(one, presented_seconds=Fraction(5, 2), odd_edits=True), Fraction(2)),
}


@pytest.mark.parametrize(("change", "expected"), LENGTHS.values(), ids=LENGTHS.keys())
def test_a_clip_lasts_as_long_as_its_index_presents_the_same_frames(
    change: Callable[[Picture], Picture], expected: Fraction
) -> None:
    facts = media_facts(video_facts(), audio_facts())

    found = with_length(facts, times_of(change(picture())))

    assert found.video is not None
    assert found.video.duration_seconds == expected


@pytest.mark.parametrize(("seconds", "last"), [("2", 512), ("5/2", 512 + 6144), ("1", 512)])
def test_a_last_frame_is_shown_longer_but_never_shorter(seconds: str, last: int) -> None:
    found = lasting_seconds(CLIP, Fraction(seconds)).picture

    assert found is not None
    assert list(found.tables.deltas)[-1][1] == last
    assert times_of(found).seconds == max(Fraction(seconds), Fraction(2))


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (h264(), None),
        (replace(h264(), shown=replace(AGREED, frames=47)), "47 frames"),
        (ProbedClip(None, media_facts(video_facts(frames=1), None)), None),
    ],
)
def test_a_probe_disagrees_by_either_reading(probe: ProbedClip, expected: str | None) -> None:
    assert (probe.disagreement is None) if expected is None else expected in (probe.disagreement or "")
