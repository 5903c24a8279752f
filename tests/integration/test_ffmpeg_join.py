"""Clips whose pictures stay while their files or their sound do not: in time at every join, however many."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.media.conform import shown_seconds
from shared.media.probe import MediaFacts
from shared.usecases.film import Film
from tests.footage import FFMPEG, clip, compiled, encoder, made, packets, picture, tone

OFFSET_MS = 12


def copied(clips: list[Path], folder: Path, strategy: str = "copy") -> tuple[Film, MediaFacts, Path]:
    """A film of copied frames, in a workplace that holds nothing but a thumbnail."""
    film, path = compiled(clips, folder)
    assert film.plan.strategy == strategy
    assert film.verification["problems"] == []
    assert [left.name for left in (folder / "workplace").iterdir()] == ["thumbnail.jpg"]
    return film, encoder().verify(path), path


def offsets(verification: Mapping[str, Any]) -> list[float]:
    return [abs(join["audioOffsetMs"]) for join in verification["joins"]]


def loud_at(film: Path, hertz: int, start_seconds: float, seconds: float) -> float:
    """Decibels of what a stretch of the film holds around one pitch."""
    argv = [
        FFMPEG,
        "-hide_banner",
        "-i",
        str(film),
        "-af",
        f"atrim={start_seconds}:{start_seconds + seconds},bandpass=f={hertz}:width_type=h:w=20,volumedetect",
        "-f",
        "null",
        "-",
    ]
    log = subprocess.run(argv, capture_output=True, text=True, check=True).stderr
    return float(log.split("mean_volume:")[1].split()[0])


def silences(film: Film) -> list[tuple[float, float]]:
    return [(begin, end) for begin, end in film.verification["silent"]]


def as_mp3(path: Path) -> Path:
    """The same clip, its sound such as no film is spliced with."""
    return made("-i", path, "-c:v", "copy", "-c:a", "libmp3lame", path.with_suffix(".mkv"))


def test_fifty_clips_stay_in_time(tmp_path: Path) -> None:
    pitches = [300, 500, 700, 900, 1100]
    made_clips = [
        as_mp3(clip(tmp_path / f"clip-{n}.mp4", seconds=0.53 + n * 0.1, hertz=hertz)) for n, hertz in enumerate(pitches)
    ]
    film, decoded, path = copied(made_clips * 10, tmp_path)
    joins = film.verification["joins"]
    assert (len(joins), film.plan.whole_sound) == (50, True)
    assert max(offsets(film.verification)) < OFFSET_MS
    assert film.verification["driftMs"] < OFFSET_MS
    # By what is heard: the pitch of the last clip begins with its picture and not before.
    last = joins[-1]["atSeconds"]
    assert loud_at(path, 1100, last + 0.03, 0.2) > -40
    assert loud_at(path, 900, last + 0.03, 0.2) < -45
    assert loud_at(path, 900, last - 0.23, 0.2) > -40
    assert picture(decoded).fps == 24


def test_pictures_are_copied_bit_by_bit(tmp_path: Path) -> None:
    clips = [clip(tmp_path / f"clip-{number}.mp4") for number in range(3)]
    _, _, path = copied([as_mp3(one) for one in clips], tmp_path)
    stored = [packet[2] for packet in packets(path) if packet[0] == 0]
    assert stored == [packet[2] for one in clips for packet in packets(one) if packet[0] == 0]


def test_a_clip_that_can_be_spliced_is_not_rewrapped_for_its_sound(tmp_path: Path) -> None:
    like = clip(tmp_path / "clip-0.mp4", hertz=300)
    six = clip(tmp_path / "clip-1.mp4", sound="5.1", hertz=600)
    film, decoded, path = copied([like, six, like], tmp_path)
    assert (film.plan.rewrapped, film.plan.whole_sound) == ((), True)
    assert tone(decoded).channels == 2
    assert loud_at(path, 600, 1.1, 0.8) > -40


def test_a_silent_clip_silences_itself_alone(tmp_path: Path) -> None:
    loud = as_mp3(clip(tmp_path / "clip-0.mp4"))
    mute = made("-i", clip(tmp_path / "clip-1.mp4", sound=None), "-c", "copy", tmp_path / "clip-1.mkv")
    (tmp_path / "a").mkdir(mode=0o700)
    film, decoded, _ = copied([loud, mute, loud], tmp_path / "a")
    assert silences(film) == [pytest.approx((1, 2), abs=0.06)]
    assert tone(decoded).channels == 2
    (tmp_path / "b").mkdir(mode=0o700)
    first_silent, _, _ = copied([mute, loud], tmp_path / "b")
    assert silences(first_silent) == [pytest.approx((0, 1), abs=0.06)]


def test_sound_longer_and_shorter_than_the_picture(tmp_path: Path) -> None:
    def uneven(name: str, sound_seconds: float) -> Path:
        return made(
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=160x90:r=24:d=1",
            "-f",
            "lavfi",
            "-i",
            f"sine=440:r=44100:d={sound_seconds}",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
            "-c:a",
            "libmp3lame",
            "-ac",
            "2",
            tmp_path / name,
        )

    film, decoded, _ = copied([uneven("clip-0.mkv", 1.7), uneven("clip-1.mkv", 0.4)] * 5, tmp_path)
    assert max(offsets(film.verification)) < OFFSET_MS
    assert float(decoded.duration_seconds) == pytest.approx(10, abs=0.03)
    assert silences(film) == [pytest.approx((n + 0.4, n + 1), abs=0.06) for n in range(1, 10, 2)]


@pytest.mark.parametrize("sound", ["aac", "libmp3lame"])
@pytest.mark.parametrize("kind", ["ts", "mkv", "late"])
def test_times_are_made_even_clip_by_clip(tmp_path: Path, kind: str, sound: str) -> None:
    one = clip(tmp_path / "clip-0.mp4", seconds=1.03, coded=("-bf", "2"))
    coded = ("-c:v", "copy", "-c:a", "copy" if sound == "aac" else sound)
    how: dict[str, tuple[str | Path, ...]] = {
        "ts": ("-i", one, *coded, tmp_path / "odd.ts"),
        "mkv": ("-i", one, *coded, tmp_path / "odd.mkv"),
        "late": ("-i", one, "-itsoffset", "0.3", "-i", one, "-map", "1:v", "-map", "0:a", *coded, tmp_path / "odd.mp4"),
    }
    odd = made(*how[kind])
    film, decoded, _ = copied([odd] * 6, tmp_path, "splice" if (kind, sound) == ("late", "aac") else "copy")
    assert max(offsets(film.verification)) < OFFSET_MS
    assert picture(decoded).start_seconds == 0
    length = float(shown_seconds(encoder().probe(odd)))
    starts = [join["atSeconds"] for join in film.verification["joins"]]
    assert starts == pytest.approx([n * length for n in range(6)], abs=0.005)


def test_a_film_without_any_sound_has_none(tmp_path: Path) -> None:
    path = made("-i", clip(tmp_path / "clip-0.mp4", sound=None), "-c", "copy", tmp_path / "clip-0.mkv")
    film, decoded, _ = copied([path, path], tmp_path)
    assert (decoded.audio, film.verification["joins"][0]["audioOffsetMs"]) == (None, None)
