"""What makes clips unlike one another, and which format most of a film has."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from shared.media.compare import (
    ProbedClip,
    can_be_spliced,
    differences,
    is_copied_by_ffmpeg,
    is_plain_aac,
    is_webm,
    majority,
    sounds_alike,
    unlike,
)
from shared.media.probe import MediaFacts
from tests.unit.media.built import audio_facts, clip_of, edits, media_facts, picture, sound, video_facts
from tests.unit.media.probed import LARGE, MONO, SMALL, h264, other, with_edits

ALIKE = media_facts(video_facts(), audio_facts())
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "codec": ({"codec": "hevc", "extradata": "h264 640x360"}, {}, "encode video_codec"),
    "pixel aspect": ({"sar": Fraction(4, 3)}, {}, "encode video_sar"),
    "pixel format": ({"pixel_format": "yuv444p"}, {}, "encode video_pixel_format"),
    "rotation": ({"rotation": 90}, {}, "encode video_rotation"),
    "decoder configuration": ({"extradata": "other"}, {}, "encode video_extradata"),
    "colours": ({"transfer": "smpte2084"}, {}, "encode video_transfer"),
    "interlacing": ({"interlaced": True}, {}, "encode video_interlaced"),
    "hidden frames": ({"hidden": 1}, {}, "encode hidden_pictures"),
    "audio codec": ({}, {"codec": "mp3"}, "sound audio_codec"),
    "sample rate": ({}, {"sample_rate": 48000}, "sound audio_sample_rate"),
    "channels": ({}, {"layout": "mono", "channels": 1}, "sound audio_layout"),
    "audio configuration": ({}, {"extradata": "other"}, "sound audio_extradata"),
    "rate": ({"fps": Fraction(30)}, {}, ""),
    "profile and level": ({"profile": "Main", "level": "4.0"}, {}, ""),
    "length and start": ({"frames": 10, "start_seconds": Fraction(1)}, {"start_seconds": Fraction(1)}, ""),
}


@pytest.mark.parametrize(("of_video", "of_audio", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_clips_differ_in_what_a_track_says_once(
    of_video: dict[str, Any], of_audio: dict[str, Any], expected: str
) -> None:
    clip = media_facts(video_facts(**of_video), audio_facts(**of_audio))

    found = list(differences(0, ALIKE, clip))

    assert " ".join(f"{one.severity} {one.name}" for one in found) == expected
    assert all(one.of_ffmpeg for one in found)


@pytest.mark.parametrize(
    ("model", "clip", "sentence"),
    [
        (ALIKE, media_facts(video_facts(), None), "Clip 3 has no sound, unlike others."),
        (media_facts(video_facts(), None), ALIKE, "Clip 3 has sound, unlike others."),
        (
            ALIKE,
            media_facts(video_facts(sar=Fraction(4, 3)), audio_facts()),
            "Clip 3: pixel aspect 1.3333333333333333, most of the film 1.0.",
        ),
        (
            ALIKE,
            media_facts(video_facts(transfer="smpte2084"), audio_facts()),
            "Clip 3: colours smpte2084, most of the film not said.",
        ),
        (
            ALIKE,
            media_facts(video_facts(), audio_facts(extradata="x")),
            "Clip 3 has another sound decoder configuration than most of the film.",
        ),
    ],
)
def test_a_difference_is_said_in_a_sentence(model: MediaFacts, clip: MediaFacts, sentence: str) -> None:
    assert [one.sentence for one in differences(2, model, clip)] == [sentence]


@pytest.mark.parametrize(("codec", "copied"), [("h264", True), ("hevc", False), ("vp9", False)])
def test_parameter_sets_of_h264_alone_may_differ_in_a_copy(codec: str, copied: bool) -> None:
    one, other_sets = (media_facts(video_facts(codec=codec, extradata=name), None) for name in ("one", "other"))

    assert is_copied_by_ffmpeg(one, other_sets) is copied


@pytest.mark.parametrize(
    ("codec", "spliced"),
    [(name, True) for name in ("h264", "hevc", "av1", "vp9", "mpeg4")] + [("vp8", False), ("mjpeg", False)],
)
def test_codecs_that_fit_an_mp4_can_be_spliced(codec: str, spliced: bool) -> None:
    assert can_be_spliced(media_facts(video_facts(codec=codec), None)) is spliced


@pytest.mark.parametrize(
    ("container", "video", "audio", "expected"),
    [
        ("matroska,webm", "vp9", "opus", True),
        ("matroska,webm", "av1", "vorbis", True),
        ("matroska,webm", "vp8", None, True),
        ("matroska,webm", "h264", "opus", False),
        ("matroska,webm", "vp9", "aac", False),
        ("mov,mp4,m4a,3gp,3g2,mj2", "vp9", "opus", False),
        ("matroska,webm", None, "opus", False),
    ],
)
def test_a_webm_holds_nothing_that_matroska_alone_does(
    container: str, video: str | None, audio: str | None, expected: bool
) -> None:
    parts = (video and video_facts(codec=video)) or None, (audio and audio_facts(codec=audio)) or None

    assert is_webm(media_facts(*parts, container)) is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"profile": ""}, True),
        ({"profile": "HE-AAC"}, False),
        ({"channels": 6}, False),
        ({"channels": 1}, True),
        ({"codec": "mp3"}, False),
    ],
)
def test_plain_aac_has_two_channels_at_most(changes: dict[str, Any], expected: bool) -> None:
    assert is_plain_aac(media_facts(None, audio_facts(**changes))) is expected
    assert not is_plain_aac(media_facts(video_facts(), None))


def test_audio_of_all_clips_has_to_be_alike() -> None:
    mono = media_facts(video_facts(), audio_facts(layout="mono", channels=1))

    assert sounds_alike([ALIKE, ALIKE])
    assert not sounds_alike([ALIKE, ALIKE, mono])
    assert not sounds_alike([ALIKE, media_facts(video_facts(), None)])


def facts_of(*formats: tuple[tuple[int, int], int]) -> list[MediaFacts]:
    """Of each clip, size and seconds."""
    return [media_facts(video_facts(size=size, frames=24 * seconds), None) for size, seconds in formats]


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        ([(SMALL, 2), (LARGE, 3)], 1),
        ([(SMALL, 2), (LARGE, 3), (SMALL, 2)], 0),
        ([(SMALL, 2), (LARGE, 2)], 0),
        ([(LARGE, 1), (SMALL, 1), (LARGE, 1), (SMALL, 2)], 1),
    ],
)
def test_the_format_of_most_seconds_is_the_majority(formats: list[tuple[tuple[int, int], int]], expected: int) -> None:
    assert majority(facts_of(*formats)) == expected


@pytest.mark.parametrize("change", [{"fps": Fraction(30), "frames": 120}, {"rotation": 90, "frames": 96}])
def test_rate_and_rotation_are_of_the_format(change: dict[str, Any]) -> None:
    facts = [media_facts(video_facts(frames=72), None), media_facts(video_facts(**change), None)]

    assert majority(facts) == 1


def test_clips_are_numbered_among_all_that_were_asked_for() -> None:
    found = unlike([ProbedClip(None, fault="not_mp4"), h264(), h264(), h264(size=LARGE)])

    assert [(one.clip, one.name) for one in found] == [(0, "not_mp4"), (3, "size_differs")]
    assert found[1].sentence.startswith("Clip 4 has")


def test_a_clip_with_wrong_video_and_audio_has_both_reasons() -> None:
    found = unlike([h264(), h264(), h264(replace(MONO, channel_config=6), size=LARGE)])

    assert [(one.clip, one.name, one.severity) for one in found] == [
        (2, "size_differs", "encode"),
        (2, "audio_channels", "sound"),
    ]


def test_no_clip_that_can_be_read_is_no_reason_of_its_own() -> None:
    found = unlike([ProbedClip(None), ProbedClip(None, fault="mp4_no_moov")])

    assert [one.name for one in found] == ["not_mp4", "mp4_no_moov"]


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (h264(), False),
        (with_edits((1000, 0), frames=24), False),
        (with_edits((1000, 0), (500, 18432), frames=36), True),
        (with_edits((1000, 0, 0x20000), frames=24), True),
        (ProbedClip(clip_of(picture(), sound(edits=edits((500, 1024), (500, 44100))))), True),
        (other("mpegts"), False),
    ],
)
def test_a_clip_of_several_parts_is_known_by_its_edit_list(probe: ProbedClip, expected: bool) -> None:
    assert probe.shows_parts is expected
