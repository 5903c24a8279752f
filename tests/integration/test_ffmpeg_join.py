"""Clips joined without touching their pictures, their sound as one whole: in time at every join, however many."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from shared.media.probe import MediaFacts
from shared.media.sound import MOST_INPUTS, joins_drift, sound_of_film
from shared.media.target import target_of
from shared.media.verification import Verification, verify_film
from tests.footage import FFMPEG, clip, encoder, made, packets, picture, tone

OFFSET_MS = 12


def joined(clips: Sequence[Path], film: Path) -> tuple[Verification, MediaFacts]:
    ffmpeg = encoder()
    facts = [ffmpeg.probe(path) for path in clips]
    whole = sound_of_film(clips, facts, facts, target_of(facts))
    assert whole is not None
    ffmpeg.join(clips, film, whole_audio=whole)
    decoded = ffmpeg.verify(film)
    return verify_film(facts, decoded, whole_audio=True), decoded


def offsets(proved: Verification) -> list[float]:
    return [max(abs(join.audio_offset_ms), abs(join.clock_offset_ms)) for join in proved.joins]


def loud_at(film: Path, hertz: int, start_seconds: float, seconds: float) -> float:
    """Decibels of what a stretch of the film holds around one pitch."""
    argv = [FFMPEG, "-hide_banner", "-i", str(film), "-af",
            f"atrim={start_seconds}:{start_seconds + seconds},bandpass=f={hertz}:width_type=h:w=20,volumedetect",
            "-f", "null", "-"]  # fmt: skip
    log = subprocess.run(argv, capture_output=True, text=True, check=True).stderr
    return float(log.split("mean_volume:")[1].split()[0])


def test_fifty_clips_stay_in_time(tmp_path: Path) -> None:
    pitches = [300, 500, 700, 900, 1100]
    made_clips = [
        clip(tmp_path / f"clip-{n}.mp4", seconds=0.53 + n * 0.1, hertz=hertz) for n, hertz in enumerate(pitches)
    ]
    clips = made_clips * 10
    assert len(clips) > 2 * MOST_INPUTS
    proved, film = joined(clips, tmp_path / "film.mp4")
    assert proved.problems == ()
    assert len(proved.joins) == 50
    assert max(offsets(proved)) < OFFSET_MS
    assert proved.drift_ms < OFFSET_MS
    # By what is heard: the pitch of the last clip begins with its picture and not before.
    last = proved.joins[-1].at_seconds
    assert loud_at(tmp_path / "film.mp4", 1100, last + 0.03, 0.2) > -40
    assert loud_at(tmp_path / "film.mp4", 900, last + 0.03, 0.2) < -45
    assert loud_at(tmp_path / "film.mp4", 900, last - 0.23, 0.2) > -40
    assert picture(film).fps == 24


def test_pictures_are_copied_bit_by_bit(tmp_path: Path) -> None:
    clips = [clip(tmp_path / f"clip-{number}.mp4") for number in range(3)]
    joined(clips, tmp_path / "film.mp4")
    stored = [packet[2] for packet in packets(tmp_path / "film.mp4") if packet[0] == 0]
    originals = [packet[2] for path in clips for packet in packets(path) if packet[0] == 0]
    assert len(stored) == len(originals)
    # A key frame may have its parameter sets repeated in front.
    assert sum(one != other for one, other in zip(stored, originals, strict=True)) <= len(clips)


def test_samples_counted_drift_in_a_plain_copy_and_not_in_a_whole(tmp_path: Path) -> None:
    clips = [clip(tmp_path / "clip-0.mp4", seconds=1.03)] * 10
    ffmpeg = encoder()
    ffmpeg.join(clips, tmp_path / "plain.mp4")
    plain = verify_film([ffmpeg.probe(clips[0])] * 10, ffmpeg.verify(tmp_path / "plain.mp4"))
    assert max(abs(join.clock_offset_ms) for join in plain.joins) > 50
    assert max(abs(join.audio_offset_ms) for join in plain.joins) < 1
    proved, _ = joined(clips, tmp_path / "whole.mp4")
    assert max(offsets(proved)) < 1


def test_a_silent_clip_silences_itself_alone(tmp_path: Path) -> None:
    clips = [clip(tmp_path / "clip-0.mp4"), clip(tmp_path / "clip-1.mp4", sound=None), tmp_path / "clip-0.mp4"]
    proved, film = joined(clips, tmp_path / "film.mp4")
    assert proved.problems == ()
    assert [(one.start_seconds, one.end_seconds) for one in proved.silent] == [pytest.approx((1, 2), abs=0.06)]
    assert tone(film).channels == 2
    first_silent, _ = joined(clips[1:], tmp_path / "film-2.mp4")
    assert first_silent.problems == ()
    assert [(one.start_seconds, one.end_seconds) for one in first_silent.silent] == [pytest.approx((0, 1), abs=0.06)]


def test_sound_longer_and_shorter_than_the_picture(tmp_path: Path) -> None:
    def uneven(name: str, sound_seconds: float) -> Path:
        return made("-f", "lavfi", "-i", "testsrc2=s=160x90:r=24:d=1", "-f", "lavfi", "-i",
                    f"sine=440:r=44100:d={sound_seconds}", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt",
                    "yuv420p", "-c:a", "aac", "-ac", "2", tmp_path / name)  # fmt: skip

    clips = [uneven("clip-0.mp4", 1.7), uneven("clip-1.mp4", 0.4)] * 5
    proved, film = joined(clips, tmp_path / "film.mp4")
    assert proved.problems == ()
    assert max(offsets(proved)) < OFFSET_MS
    assert film.duration_seconds == 10
    ends = [pytest.approx((n + 0.4, n + 1), abs=0.06) for n in range(1, 10, 2)]
    assert [(one.start_seconds, one.end_seconds) for one in proved.silent] == ends


@pytest.mark.parametrize("kind", ["fragmented", "ts", "mkv", "late"])
def test_times_are_made_even_clip_by_clip(tmp_path: Path, kind: str) -> None:
    one = clip(tmp_path / "clip-0.mp4", seconds=1.03, coded=("-bf", "2"))
    how: dict[str, tuple[str | Path, ...]] = {
        "fragmented": ("-i", one, "-c", "copy", "-movflags", "frag_keyframe+empty_moov", tmp_path / "odd.mp4"),
        "ts": ("-i", one, "-c", "copy", tmp_path / "odd.ts"),
        "mkv": ("-i", one, "-c", "copy", tmp_path / "odd.mkv"),
        "late": ("-i", one, "-itsoffset", "0.3", "-i", one, "-map", "1:v", "-map", "0:a", "-c", "copy",
                 tmp_path / "odd.mp4"),
    }  # fmt: skip
    odd = made(*how[kind])
    proved, film = joined([odd] * 6, tmp_path / "film.mp4")
    assert proved.problems == ()
    assert max(offsets(proved)) < OFFSET_MS
    assert picture(film).start_seconds == 0
    length = float(picture(encoder().probe(odd)).duration_seconds)
    assert [join.at_seconds for join in proved.joins] == pytest.approx([n * length for n in range(6)], abs=0.005)


def test_when_copied_sound_would_leave_its_pictures(tmp_path: Path) -> None:
    even, mute = clip(tmp_path / "clip-0.mp4"), clip(tmp_path / "clip-1.mp4", sound=None)
    late = made("-i", even, "-itsoffset", "0.3", "-i", even, "-map", "0:v", "-map", "1:a", "-c", "copy",
                tmp_path / "late.mp4")  # fmt: skip
    probed = {path: encoder().probe(path) for path in (even, mute, late)}
    assert not joins_drift([probed[even]] * 2)
    assert joins_drift([probed[even], probed[mute]])
    assert joins_drift([probed[even], probed[late]])


def test_a_film_without_any_sound_has_none(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip-0.mp4", sound=None)
    facts = [encoder().probe(path)] * 2
    assert sound_of_film([path, path], facts, facts, target_of(facts)) is None
