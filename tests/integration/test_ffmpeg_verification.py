"""A film that is not what its clips are does not pass, and what is wrong is said."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from shared.media import commands
from shared.media.probe import MediaFacts
from shared.media.verification import Verification, verify_film
from tests.footage import clip, compiled, encoder, made, picture

SEEN = "testsrc2=s=160x90:r=24:d=2"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2")


def film_of(path: Path, seen: str = SEEN, heard: str = "sine=440:r=44100:d=2") -> Path:
    return made("-f", "lavfi", "-i", seen, "-f", "lavfi", "-i", heard, *X264, path)


def proved(clips: list[Path], film: Path, *, decode_clips: bool = True) -> Verification:
    ffmpeg = encoder()
    return verify_film([ffmpeg.verify(p) if decode_clips else ffmpeg.probe(p) for p in clips], ffmpeg.verify(film))


def test_one_process_decodes_once(tmp_path: Path) -> None:
    path = film_of(tmp_path / "clip-0.mp4")
    command = commands.decode_command(path, encoder().probe(path))
    assert command.count("-i") == 1
    assert command.count("wrapped_avframe") == 1
    facts = encoder().verify(path)
    assert facts.decoded is not None
    assert len(facts.decoded.pictures) == picture(facts).frames == 48
    assert facts.decoded.pictures[24] == pytest.approx(1.0)
    assert facts.decoded.samples == pytest.approx(2 * 44100, abs=1024)
    assert (facts.decoded.black, facts.decoded.silent) == ((), ())


def test_a_film_like_its_clips_passes(tmp_path: Path) -> None:
    one = film_of(tmp_path / "clip-0.mp4")
    encoder().join([one, one, one], tmp_path / "film.mp4")
    result = proved([one] * 3, tmp_path / "film.mp4")
    assert result.problems == ()
    assert result.frames == result.frames_expected == 144
    assert [join.at_seconds for join in result.joins] == pytest.approx([0, 2, 4], abs=0.05)
    assert max(abs(join.audio_offset_ms) for join in result.joins) < 1


@pytest.mark.parametrize("milliseconds", [-120, 120])
def test_sound_that_was_moved_is_found_by_its_packets(tmp_path: Path, milliseconds: int) -> None:
    clips = [film_of(tmp_path / f"clip-{n}.mp4", heard=f"sine={300 + n * 50}:r=44100:d=2") for n in range(2)]
    encoder().join(clips, tmp_path / "film.mp4")
    moved = made(
        "-i",
        tmp_path / "film.mp4",
        "-itsoffset",
        milliseconds / 1000,
        "-i",
        tmp_path / "film.mp4",
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c",
        "copy",
        tmp_path / "moved.mp4",
    )
    result = proved(clips, moved)
    assert any("off its picture" in problem for problem in result.problems)
    assert result.joins[1].audio_offset_ms == pytest.approx(milliseconds, abs=2)


def test_sound_encoded_anew_and_moved_is_found_by_its_clock(tmp_path: Path) -> None:
    one = film_of(tmp_path / "clip-0.mp4")
    encoder().join([one, one], tmp_path / "film.mp4")
    late = made(
        "-i",
        tmp_path / "film.mp4",
        "-itsoffset",
        "0.12",
        "-i",
        tmp_path / "film.mp4",
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c:v",
        "copy",
        "-c:a",
        "flac",
        tmp_path / "late.mp4",
    )
    result = proved([one, one], late)
    assert result.joins[1].audio_offset_ms == pytest.approx(120, abs=30)
    assert not result.ok


@pytest.mark.parametrize(
    ("seen", "heard", "problem"),
    [
        (f"{SEEN},drawbox=c=black:t=fill:enable='between(t\\,0.5\\,1.4)'", "sine=440:r=44100:d=2", "black from 0.5"),
        (SEEN, "sine=440:r=44100:d=2,volume=0:enable='between(t\\,0.5\\,1.4)'", "silent from 0.5"),
        (SEEN, "sine=440:r=44100:d=1", "ms apart"),
        (SEEN.replace("d=2", "d=1.5"), "sine=440:r=44100:d=2", "36 frames decode where the clips have 48"),
    ],
    ids=["black", "silent", "sound ends early", "pictures missing"],
)
def test_what_the_clip_did_not_have_is_a_problem(tmp_path: Path, seen: str, heard: str, problem: str) -> None:
    one, bad = film_of(tmp_path / "clip-0.mp4"), film_of(tmp_path / "film.mp4", seen, heard)
    assert any(problem in sentence for sentence in proved([one], bad).problems)


@pytest.mark.parametrize("what", ["black", "silent"])
def test_what_the_clip_has_itself_is_none(tmp_path: Path, what: str) -> None:
    seen = f"{SEEN},drawbox=c=black:t=fill:enable='between(t\\,0.5\\,2)'" if what == "black" else SEEN
    heard = "sine=440:r=44100:d=2" + (",volume=0:enable='lt(t\\,1.4)'" if what == "silent" else "")
    clips = [film_of(tmp_path / "clip-0.mp4", seen, heard), film_of(tmp_path / "clip-1.mp4")]
    encoder().join(clips, tmp_path / "film.mp4")
    result = proved(clips, tmp_path / "film.mp4")
    assert result.problems == ()
    assert getattr(result, what)
    # The same film of clips nobody looked into: told, not judged.
    assert proved(clips, tmp_path / "film.mp4", decode_clips=False).ok
    other = [film_of(tmp_path / "clip-2.mp4"), clips[1]]
    assert any(what in problem for problem in proved(other, tmp_path / "film.mp4").problems)


def test_a_film_whose_sound_is_gone(tmp_path: Path) -> None:
    one, silent = clip(tmp_path / "clip-0.mp4"), clip(tmp_path / "film.mp4", sound=None)
    assert "the sound is missing" in proved([one], silent).problems


def test_a_film_whose_sound_is_broken(tmp_path: Path) -> None:
    one = encoder().verify(clip(tmp_path / "clip-0.mp4"))
    assert one.decoded is not None
    broken = replace(one, decoded=replace(one.decoded, samples=0))
    assert "no sound can be decoded" in verify_film([one], broken).problems


def test_a_longer_film_than_its_clips(tmp_path: Path) -> None:
    one: MediaFacts = encoder().verify(clip(tmp_path / "clip-0.mp4"))
    assert any(
        "lasts" in p for p in verify_film([one], replace(one, duration_seconds=one.duration_seconds * 2)).problems
    )


def webm(path: Path, *, hertz: int = 440, seconds: float = 1) -> Path:
    inputs = (
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=s=64x64:r=24:d={seconds}",
        "-f",
        "lavfi",
        "-i",
        f"sine={hertz}:d={seconds}",
    )
    return made(*inputs, "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus", path)


def test_forty_joined_webm_clips_last_as_long_as_one_after_another(tmp_path: Path) -> None:
    """By their headers, which count what a decoder of Opus drops, each would last 7 ms longer."""
    one = webm(tmp_path / "clip.webm", seconds=0.5)
    film, path = compiled([one] * 40, tmp_path)
    length = float(encoder().probe(one).duration_seconds)
    assert (film.plan.strategy, film.plan.container) == ("copy", "webm")
    assert film.seconds == pytest.approx(40 * length, abs=0.02)
    starts = [join["atSeconds"] for join in film.verification["joins"]]
    assert starts == pytest.approx([number * length for number in range(40)], abs=0.01)
    assert picture(encoder().verify(path)).frames == 40 * 12


@pytest.mark.parametrize("clips", [20, 100])
def test_a_film_may_be_no_longer_for_having_more_clips(tmp_path: Path, clips: int) -> None:
    one: MediaFacts = encoder().probe(clip(tmp_path / "clip-0.mp4"))
    film = replace(one, duration_seconds=one.duration_seconds * clips + Fraction(1, 5))
    assert any("lasts" in problem for problem in verify_film([one] * clips, film).problems)


def test_clips_that_begin_later_from_join_to_join_are_a_problem(tmp_path: Path) -> None:
    one = webm(tmp_path / "clip-0.webm")
    encoder().join([one] * 12, tmp_path / "film.webm", [Fraction(102, 100)] * 12)
    assert "clip 12 begins 209 ms off its time" in proved([one] * 12, tmp_path / "film.webm").problems


def test_a_clip_whose_sound_was_lost_between_others_is_a_problem(tmp_path: Path) -> None:
    own, other = webm(tmp_path / "clip-0.webm"), webm(tmp_path / "clip-1.webm", hertz=700)
    encoder().join([own, other, own], tmp_path / "film.webm", [Fraction(1001, 1000)] * 3)
    problems = proved([own] * 3, tmp_path / "film.webm").problems
    assert problems == ("the sound of clip 2 is not where its picture is",)
