"""AudioSpecificConfig in fields, silence that decodes to silence, and packets on the film's grid."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from shared.media.aac.config import parse_audio_config
from shared.media.aac.silence import silent_frame
from shared.media.bits import BadBits, packed
from shared.media.splice.sound import FRAME, ClipSound, Stretch, plan_sound
from tests.unit.media.films import FFMPEG

RATE = 48000
EXPLICITLY_NOT_SBR = "56e500"


@pytest.mark.parametrize(
    ("config", "rate", "channels", "plain"),
    [
        ("1208" + EXPLICITLY_NOT_SBR, 44100, 1, True),
        ("1210" + EXPLICITLY_NOT_SBR, 44100, 2, True),
        ("1190" + EXPLICITLY_NOT_SBR, 48000, 2, True),
        ("11b0" + EXPLICITLY_NOT_SBR, 48000, 6, True),
        ("1210", 44100, 2, True),
        ("120800000000", 44100, 1, True),
        ("1310", 24000, 2, False),  # may hide HE-AAC, as nothing is said of SBR
        ("1310" + EXPLICITLY_NOT_SBR, 24000, 2, True),
        ("131056e5a0", 24000, 2, False),  # HE-AAC, told in a compatible way
        ("2b118800", 24000, 2, False),  # HE-AAC, told first of all
        ("1214", 44100, 2, False),  # 960 samples a frame
    ],
)
def test_two_configurations_that_say_the_same_are_alike(config: str, rate: int, channels: int, plain: bool) -> None:
    found = parse_audio_config(bytes.fromhex(config))
    assert (found.sample_rate, found.channels, found.is_plain_lc) == (rate, channels, plain)


@pytest.mark.parametrize("config", ["", "12", "17ff", "1f"])
def test_what_is_no_configuration_is_refused(config: str) -> None:
    with pytest.raises(BadBits):
        parse_audio_config(bytes.fromhex(config))


@pytest.mark.parametrize("channel_config", range(1, 8))
def test_a_silent_frame_decodes_to_silence(channel_config: int, tmp_path: Path) -> None:
    frame = silent_frame(channel_config)
    head = [
        (0xFFF, 12),
        (1, 4),
        (1, 2),
        (3, 4),
        (0, 1),
        (channel_config, 3),
        (0, 4),
        (len(frame) + 7, 13),
        (0x7FF, 11),
        (0, 2),
    ]
    path = tmp_path / "silence.aac"
    path.write_bytes((packed(head) + frame) * 20)
    argv = [FFMPEG, "-v", "error", "-xerror", "-i", str(path), "-f", "s16le", "-"]
    samples = subprocess.run(argv, capture_output=True, check=True).stdout
    channels = 8 if channel_config == 7 else channel_config
    assert len(samples) == 20 * FRAME * channels * 2
    assert not any(samples)


def sound(packets: int, *, priming: int = 1024, late: Fraction = Fraction(0)) -> ClipSound:
    return ClipSound(packets, priming, late)


def begins(*seconds: str) -> list[Fraction]:
    return [Fraction(one) for one in seconds]


def test_packets_beyond_the_pictures_are_left_out() -> None:
    plan = plan_sound([sound(60), sound(48)], begins("0", "1", "2"), RATE)
    assert plan.stretches == (Stretch(0, 0, 0, 47), Stretch(1, 1, 0, 48))


def test_missing_packets_are_silent() -> None:
    plan = plan_sound([sound(20), None, sound(48)], begins("0", "1", "2", "3"), RATE)
    assert [(one.clip, one.is_silent, one.packets) for one in plan.stretches] == [
        (0, False, 20),
        (0, True, 28),
        (1, True, 46),
        (2, False, 48),
    ]


def test_a_long_priming_does_not_cost_the_clip_before_its_end() -> None:
    """Some encoders put 2112 samples first; one packet of them is enough to decode what follows."""
    plan = plan_sound([sound(48), sound(49, priming=2112)], begins("0", "1", "2"), RATE)
    assert plan.stretches[1].first == 1
    assert plan.stretches[0].packets == 47


def test_rounding_does_not_add_up() -> None:
    length = Fraction(5, 24)
    clips = [sound(11) for _ in range(1000)]
    plan = plan_sound(clips, [length * number for number in range(1001)], RATE)
    offsets = [one or 0.0 for one in plan.offsets_seconds]
    assert max(map(abs, offsets)) <= FRAME / 2 / RATE
    assert abs(sum(one.packets for one in plan.stretches) * FRAME / RATE - float(1000 * length)) < 3 * FRAME / RATE


def test_sound_that_begins_late_stays_late() -> None:
    plan = plan_sound([sound(30, priming=0, late=Fraction(1, 10)), sound(40)], begins("0", "1", "2"), RATE)
    first, second = plan.stretches[:2]
    assert (first.is_silent, second.clip) == (True, 0)
    assert first.packets * FRAME - plan.edit_start == RATE / 10


@pytest.mark.parametrize("late", [Fraction(1, 10), Fraction(1, 2), Fraction(1), Fraction(2)])
def test_a_clip_s_packets_are_not_heard_in_the_next_one_whose_sound_is_late(late: Fraction) -> None:
    plan = plan_sound([sound(90), sound(40, late=late)], begins("0", "1", "2"), RATE)
    own = sum(one.packets for one in plan.stretches if one.source == 0)
    assert abs(own * FRAME - plan.edit_start - RATE) <= FRAME / 2


@pytest.mark.parametrize("late", [Fraction(10**9), Fraction(-(10**9))])
def test_sound_that_is_never_heard_with_its_pictures_makes_no_endless_silence(late: Fraction) -> None:
    for clips in ([sound(30, late=late), sound(40)], [sound(40), sound(30, late=late), None]):
        plan = plan_sound(clips, [Fraction(number) for number in range(len(clips) + 1)], RATE)
        assert sum(one.packets for one in plan.stretches) <= (len(clips) * RATE) // FRAME + 4
