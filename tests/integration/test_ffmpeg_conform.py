"""A clip brought to a film's format looks and sounds as it did, and lasts as long."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from shared.media.conform import Timing
from shared.media.probe import MediaFacts
from shared.media.target import Target, Wishes
from tests.footage import clip, compiled, encoder, made, picture, pixel, tone

TARGET = Target(width=160, height=90, fps=Fraction(24), sample_rate=44100, channels=2)
HALVES = "color=red:s=80x90:r=24:d=1[l];color=blue:s=80x90:r=24:d=1[r];[l][r]hstack"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def conformed(path: Path, target: Target = TARGET) -> tuple[MediaFacts, Path]:
    ffmpeg, result = encoder(), path.with_name("like.mp4")
    ffmpeg.conform(path, ffmpeg.probe(path), target, result)
    return ffmpeg.verify(result), result


def is_red(path: Path, x: int, y: int) -> bool:
    red, _, blue = pixel(path, x, y)
    return red > 150 and blue < 80


def is_black(path: Path, x: int, y: int) -> bool:
    return max(pixel(path, x, y)) < 30


def test_a_turned_picture_is_shown_upright(tmp_path: Path) -> None:
    flat = made("-f", "lavfi", "-i", HALVES, *X264, tmp_path / "flat.mp4")
    turned = made("-display_rotation", "90", "-i", flat, "-c", "copy", tmp_path / "clip-0.mp4")
    facts, result = conformed(turned, replace(TARGET, width=90, height=160))
    assert (picture(facts).shown_size, picture(facts).rotation) == ((90, 160), 0)
    # A quarter turn against the clock brings the left half to the bottom.
    assert [is_red(result, 45, y) for y in (20, 140)] == [False, True]


def test_pixels_that_are_not_square_become_so(tmp_path: Path) -> None:
    wide = made("-f", "lavfi", "-i", "color=red:s=80x90:r=24:d=1,setsar=2", *X264, tmp_path / "clip-0.mp4")
    facts, result = conformed(wide)
    assert picture(facts).sar == 1
    assert all(is_red(result, x, y) for x, y in ((3, 3), (156, 86)))


def test_another_shape_stands_over_black(tmp_path: Path) -> None:
    tall = made("-f", "lavfi", "-i", "color=red:s=45x91:r=24:d=1", "-c:v", "libvpx-vp9", tmp_path / "clip-0.webm")
    facts, result = conformed(tall)
    assert picture(facts).shown_size == (160, 90)
    assert is_red(result, 80, 45)
    assert is_black(result, 5, 45)


@pytest.mark.parametrize("rate", ["24", "24000/1001", "30000/1001", "60"])
def test_an_uneven_rate_becomes_even_and_lasts_as_long(tmp_path: Path, rate: str) -> None:
    uneven = made(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=160x90:r=50:d=2",
        "-vf",
        "select='not(mod(n,3))+lt(n,20)'",
        "-fps_mode",
        "vfr",
        *X264,
        tmp_path / "clip-0.mkv",
    )
    own = picture(encoder().probe(uneven))
    assert own.variable_rate
    facts, _ = conformed(uneven, replace(TARGET, fps=Fraction(rate)))
    video = picture(facts)
    assert (video.fps, video.variable_rate) == (Fraction(rate), False)
    assert abs(video.duration_seconds - own.duration_seconds) <= 1 / video.fps
    assert video.frames == round(own.duration_seconds * video.fps)


@pytest.mark.parametrize(("transfer", "code"), [("smpte2084", 509), ("arib-std-b67", 721)])
def test_hdr_becomes_sdr(tmp_path: Path, transfer: str, code: int) -> None:
    """Codes of SDR's white: 100 nits in PQ, 0.75 in HLG (BT.2408)."""
    tags = f"setparams=range=tv:colorspace=bt2020nc:color_primaries=bt2020:color_trc={transfer}"
    flat = f"color=gray:s=160x90:r=24:d=0.5,format=yuv420p10le,lutyuv=y={code}:u=512:v=512,{tags}"
    coded = ("-c:v", "libx265", "-x265-params", "log-level=0")
    hdr = made("-f", "lavfi", "-i", flat, *coded, tmp_path / "clip-0.mp4")
    own = picture(encoder().probe(hdr))
    assert (own.hdr, own.bit_depth) == ({"smpte2084": "pq", "arib-std-b67": "hlg"}[transfer], 10)
    facts, result = conformed(hdr)
    video = picture(facts)
    assert (video.hdr, video.transfer, video.primaries, video.bit_depth) == ("", "bt709", "bt709", 8)
    assert min(pixel(result, 80, 45)) > 140
    assert max(pixel(result, 80, 45)) - min(pixel(result, 80, 45)) < 8


@pytest.mark.parametrize("kind", ["vp9", "png"])
def test_what_is_transparent_stands_over_black(tmp_path: Path, kind: str) -> None:
    seen = "color=red:s=160x90:r=24:d=0.5,format=rgba,geq=r=255:g=0:b=0:a='if(lt(X,80),0,255)'"
    codec = ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", tmp_path / "clip-0.webm")
    path = made("-f", "lavfi", "-i", seen, *(codec if kind == "vp9" else ("-frames:v", "1", tmp_path / "clip-0.png")))
    assert picture(encoder().probe(path)).alpha
    _, result = conformed(path)
    assert is_black(result, 20, 45)
    assert is_red(result, 140, 45)


def test_interlaced_becomes_progressive(tmp_path: Path) -> None:
    fields = made(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=160x96:r=50:d=1",
        "-vf",
        "interlace,setfield=tff",
        *X264,
        "-flags",
        "+ilme+ildct",
        "-x264-params",
        "tff=1",
        tmp_path / "clip-0.mp4",
    )
    assert picture(encoder().probe(fields)).interlaced
    facts, _ = conformed(fields)
    assert not picture(facts).interlaced


@pytest.mark.parametrize("sound", ["mono", "5.1", None])
def test_sound_of_another_layout_or_none(tmp_path: Path, sound: str | None) -> None:
    facts, _ = conformed(clip(tmp_path / "clip-0.mp4", sound=sound))
    heard = tone(facts)
    assert (heard.channels, heard.sample_rate) == (2, 44100)
    assert facts.decoded is not None
    assert facts.decoded.samples == 44100
    assert bool(facts.decoded.silent) == (sound is None)


@pytest.mark.parametrize("late", [0.5, -0.5])
def test_sound_that_starts_apart_stays_apart(tmp_path: Path, late: float) -> None:
    seen, heard = clip(tmp_path / "seen.mp4", seconds=2, sound=None), tmp_path / "heard.wav"
    made("-f", "lavfi", "-i", "sine=440:r=44100:d=2", heard)
    offsets = (("-i", seen, "-itsoffset", "0.5", "-i", heard), ("-itsoffset", "0.5", "-i", seen, "-i", heard))
    path = made(*offsets[late < 0], "-c:v", "copy", "-c:a", "pcm_s16le", tmp_path / "clip-0.mkv")
    own = encoder().probe(path)
    assert float(tone(own).start_seconds - picture(own).start_seconds) == pytest.approx(late, abs=0.01)
    facts, _ = conformed(path)
    assert facts.decoded is not None
    assert picture(facts).start_seconds == 0
    silent = [(one.start_seconds, one.end_seconds) for one in facts.decoded.silent]
    assert silent == [pytest.approx(span, abs=0.06) for span in ([(0, 0.5)] if late > 0 else [(2, 2.5)])]
    assert picture(facts).frames == (48 if late > 0 else 60)


def test_audio_longer_than_the_video_ends_with_it(tmp_path: Path) -> None:
    seen, heard = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=24:d=1"), ("-f", "lavfi", "-i", "sine=440:r=44100:d=3")
    path = made(*seen, *heard, *X264, "-c:a", "aac", tmp_path / "clip-0.mp4")
    facts, _ = conformed(path)
    assert (picture(facts).frames, facts.decoded.samples if facts.decoded else 0) == (24, 44100)


@pytest.mark.parametrize("frames", [1, 7, 23, 25, 60])
def test_a_clip_gets_as_many_frames_as_its_place_in_the_film_asks_for(tmp_path: Path, frames: int) -> None:
    ffmpeg, path = encoder(), clip(tmp_path / "clip-0.mp4")
    ffmpeg.conform(path, ffmpeg.probe(path), TARGET, tmp_path / "like.mp4", timing=Timing(frames, own=False))
    facts = ffmpeg.verify(tmp_path / "like.mp4")
    assert facts.decoded is not None
    assert (picture(facts).frames, facts.decoded.samples) == (frames, round(Fraction(frames * 44100, 24)))


def test_cuts_of_a_few_frames_do_not_add_up_to_a_longer_film(tmp_path: Path) -> None:
    """7 frames at 24/s are 8.75 at 30/s: rounded clip by clip, 30 of them would last 0.25 s longer."""
    short = clip(tmp_path / "clip-0.mp4", seconds=7 / 24, sound="mono")
    film, path = compiled([short] * 30, tmp_path, Wishes(fps=Fraction(30)))
    assert film.plan.strategy == "encode"
    assert film.seconds == pytest.approx(8.75, abs=1 / 60 + 0.001)
    assert picture(encoder().verify(path)).frames in (262, 263)
    starts = [join["atSeconds"] for join in film.verification["joins"]]
    assert starts == pytest.approx([number * 7 / 24 for number in range(30)], abs=1 / 60 + 0.001)


def test_clips_encoded_between_copied_ones_do_not_shift_them(tmp_path: Path) -> None:
    """Four of 11 frames at 30/s are 8.8 at 24/s each: 9 would bring the last clip 33 ms out of its time."""
    like = clip(tmp_path / "like.mp4", seconds=1)
    odd = clip(tmp_path / "odd.mp4", size="320x200", fps=30, seconds=11 / 30)
    film, _ = compiled([like, odd, like, odd, like, odd, like, odd, like], tmp_path)
    assert (film.plan.strategy, film.plan.encoded) == ("smart", (1, 3, 5, 7))
    starts = [join["atSeconds"] for join in film.verification["joins"]]
    wanted = [number // 2 * (1 + 11 / 30) + number % 2 for number in range(9)]
    assert starts == pytest.approx(wanted, abs=1 / 48 + 0.001)


def test_an_odd_clip_is_made_like_the_others(tmp_path: Path) -> None:
    like = [clip(tmp_path / f"clip-{number}.mp4", coded=("-profile:v", "main")) for number in (0, 2)]
    odd = clip(tmp_path / "clip-1.mp4", size="320x200", fps=30, sound="mono")
    film, path = compiled([like[0], odd, like[1]], tmp_path)
    assert (film.plan.strategy, film.plan.encoded) == ("smart", (1,))
    assert film.verification["problems"] == []
    assert max(abs(join["audioOffsetMs"]) for join in film.verification["joins"]) < 12
    shown = picture(encoder().verify(path))
    model = picture(encoder().probe(like[0]))
    assert (shown.profile, shown.fps, shown.shown_size, shown.frames) == (model.profile, 26, (160, 90), 24 + 30 + 24)


def test_how_far_an_encoding_has_come_is_told(tmp_path: Path) -> None:
    path, told = clip(tmp_path / "clip-0.mp4", size="1280x720", seconds=8), list[float]()
    large = Target(width=1280, height=720, fps=Fraction(24), sample_rate=44100, channels=2)

    encoder().conform(path, encoder().probe(path), large, tmp_path / "like.mp4", tell=told.append)

    assert told
    assert told == sorted(set(told))
    assert 0 < told[-1] <= 8.1


def still(path: Path, seconds: float = 3) -> Path:
    """A picture that is shown for so long as one sample."""
    return made("-f", "lavfi", "-i", "color=red:s=160x90", "-r", f"1/{seconds}", "-frames:v", "1", *X264, path)


def test_a_still_of_one_sample_does_not_set_the_rate_of_the_film(tmp_path: Path) -> None:
    image, moving = still(tmp_path / "still.mp4"), clip(tmp_path / "moving.mp4", seconds=2)
    film, path = compiled([image, moving], tmp_path, Wishes(reencode=True))
    facts = picture(encoder().verify(path))
    assert film.seconds == pytest.approx(5)
    assert (facts.fps, facts.frames) == (24, 120)


def test_stills_alone_make_a_film_of_their_length(tmp_path: Path) -> None:
    film, path = compiled([still(tmp_path / "still.mp4")] * 2, tmp_path, Wishes(size=(80, 46)))
    assert film.seconds == pytest.approx(6)
    assert picture(encoder().verify(path)).frames == 60


@pytest.mark.parametrize("fps", [1, 5])
def test_a_rate_that_is_asked_for_stays(tmp_path: Path, fps: int) -> None:
    film, _ = compiled([clip(tmp_path / "clip-0.mp4", seconds=2)], tmp_path, Wishes(fps=Fraction(fps)))
    assert (film.plan.target.fps if film.plan.target else None, film.seconds) == (fps, 2)


def test_a_slide_show_does_not_slow_down_the_clip_that_is_encoded_beside_it(tmp_path: Path) -> None:
    slides = clip(tmp_path / "slides.mp4", fps=2, seconds=40, sound=None)
    film, path = compiled([slides, clip(tmp_path / "odd.mp4", size="320x200", sound=None)], tmp_path)
    assert (film.plan.strategy, film.plan.encoded) == ("smart", (1,))
    assert picture(encoder().verify(path)).frames == 80 + 24


def test_a_rate_that_is_asked_for_holds_beside_copied_clips_too(tmp_path: Path) -> None:
    slides = clip(tmp_path / "slides.mp4", fps=2, seconds=40, sound=None)
    odd = clip(tmp_path / "odd.mp4", seconds=2, sound=None)
    _, path = compiled([slides, odd], tmp_path, Wishes(fps=Fraction(2)))
    assert picture(encoder().verify(path)).frames == 80 + 4
