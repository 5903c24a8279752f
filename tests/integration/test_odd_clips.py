"""Clips as odd tools write them: a film shows and sounds exactly as each of them presents itself."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path

import pytest

from shared.usecases.inspect_media import look_through
from tests import mp4_surgery as mp4
from tests.footage import AS_IT_IS, encoder, made
from tests.odd_clips import MILLISECONDS, NO_B, RE_ENCODED, audio, film_of, frames, read, video
from tests.unit.media.films import clip, shown


def pitch_hz(path: Path, begin: float, seconds: float = 0.3) -> float:
    """By how often the sound changes its sign."""
    raw = path.with_suffix(".raw")
    made("-ss", str(begin), "-t", str(seconds), "-i", path, "-ac", "1", "-ar", "48000", "-f", "f32le", raw)
    samples = struct.unpack(f"{raw.stat().st_size // 4}f", raw.read_bytes())
    crossings = sum((one < 0) != (other < 0) for one, other in pairwise(samples))
    return crossings / 2 / seconds


def test_frames_hidden_at_the_start_of_an_uneven_clip_are_not_shown(tmp_path: Path) -> None:
    def hide_three(moov: list) -> None:
        mp4.put(mp4.tables(video(moov)), b"stts", mp4.run_table((6, 100), (6, 1000)))
        mp4.put(video(moov), b"edts", mp4.edit_list((6300 * 1000 // 12288, 300)))

    even = clip(options=f"{NO_B} -video_track_timescale 12288", sound=None)
    odd = mp4.changed(even, tmp_path / "odd.mp4", hide_three)
    film, path = film_of([odd, clip(tone=550), clip(tone=660)], tmp_path)
    assert film.plan.strategy == "smart"
    assert len(shown(path)) == 9 + 12 + 12
    assert frames(path)[9:] == frames(clip(tone=550)) + frames(clip(tone=660))


@pytest.mark.parametrize("hidden", [1, 2, 5])
def test_frames_hidden_at_the_end_of_a_clip_are_not_shown(tmp_path: Path, hidden: int) -> None:
    def end_early(moov: list) -> None:
        (_, start), *_ = mp4.edits(video(moov))
        mp4.put(video(moov), b"edts", mp4.edit_list(((12 - hidden) * 1000 // 24, start)))

    odd = mp4.changed(clip(sound=None, options=MILLISECONDS), tmp_path / "odd.mp4", end_early)
    _, path = film_of([clip(tone=550), clip(tone=660), odd], tmp_path)
    assert len(shown(path)) == 12 + 12 + 12 - hidden


def test_a_last_frame_that_an_edit_cuts_is_shown_as_long_as_the_edit_says(tmp_path: Path) -> None:
    def long_last(moov: list) -> None:
        (_, start), *_ = mp4.edits(video(moov))
        mp4.put(mp4.tables(video(moov)), b"stts", mp4.run_table((11, 512), (1, 51200)))
        mp4.put(video(moov), b"edts", mp4.edit_list((500, start)))

    even = clip(options=f"{NO_B} -video_track_timescale 12288", sound=None)
    odd = mp4.changed(even, tmp_path / "odd.mp4", long_last)
    film, path = film_of([odd, clip(tone=550)], tmp_path)
    assert film.plan.strategy == "splice"
    assert float(shown(path)[12].seconds) == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize("other", ["alike", "of another layout"])
@pytest.mark.parametrize("version", [0, 1])
def test_an_empty_edit_behind_the_audio_ends_nothing(tmp_path: Path, other: str, version: int) -> None:
    def nothing_behind(moov: list) -> None:
        row = (500, mp4.edits(audio(moov))[0][1])
        mp4.put(audio(moov), b"edts", mp4.edit_list(row, (500, -1)))
        if version:
            rows = b"".join(struct.pack(">QqI", *one, 0x10000) for one in (row, (500, -1)))
            mp4.put(audio(moov), b"edts", [[b"elst", struct.pack(">II", 1 << 24, 2) + rows]])

    odd = mp4.changed(clip(tone=700, options=MILLISECONDS), tmp_path / "odd.mp4", nothing_behind)
    beside = clip(tone=550, options="-ac 1" if other != "alike" else "")
    film, path = film_of([odd, beside], tmp_path)
    assert film.plan.strategy == ("splice" if other == "alike" else "copy")
    assert pitch_hz(path, 0.1) == pytest.approx(700, abs=40)


def with_two_audios(path: Path, flags: tuple[int, int]) -> Path:
    """The first at 300 Hz, the second at 900 Hz."""
    both = made(
        "-i",
        clip(tone=300),
        "-i",
        clip(tone=900),
        "-map",
        "0:v",
        "-map",
        "0:a",
        "-map",
        "1:a",
        "-c",
        "copy",
        path.with_name("both.mp4"),
    )

    def flag(moov: list) -> None:
        for track, one in zip(mp4.tracks(moov, b"soun"), flags, strict=True):
            mp4.with_header(track, mp4.flags_in_header(one))

    return mp4.changed(both, path, flag)


@pytest.mark.parametrize(("flags", "heard"), [((6, 7), 900), ((7, 6), 300), ((7, 7), 300), ((6, 6), 300)])
@pytest.mark.parametrize("way", ["splice", "copy", "encode"])
def test_the_enabled_audio_is_heard_whatever_is_done(
    tmp_path: Path, way: str, flags: tuple[int, int], heard: int
) -> None:
    odd = with_two_audios(tmp_path / "odd.mp4", flags)
    other = clip(tone=550, options="-ac 1" if way == "copy" else "")
    film, path = film_of([odd, other], tmp_path, RE_ENCODED if way == "encode" else AS_IT_IS)
    assert film.plan.strategy == way
    assert pitch_hz(path, 0.1) == pytest.approx(heard, abs=40)


def test_a_matroska_s_default_audio_is_heard(tmp_path: Path) -> None:
    odd = made(
        "-i",
        clip(tone=300),
        "-i",
        clip(tone=900),
        "-map",
        "0:v",
        "-map",
        "0:a",
        "-map",
        "1:a",
        "-c",
        "copy",
        "-disposition:a:0",
        "0",
        "-disposition:a:1",
        "default",
        tmp_path / "odd.mkv",
    )
    _, path = film_of([odd, clip(tone=550)], tmp_path)
    assert pitch_hz(path, 0.1) == pytest.approx(900, abs=40)
    facts = encoder().probe(odd).audio
    assert facts is not None
    assert (facts.stream, facts.streams) == (1, 2)


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("way", ["splice", "encode"])
def test_a_thumbnail_s_track_is_not_the_clip(tmp_path: Path, place: str, way: str) -> None:
    plain = clip()
    image = made("-i", plain, "-frames:v", "1", "-update", "1", "-pix_fmt", "yuvj420p", tmp_path / "thumbnail.jpg")
    maps = ("-map", "0:v", "-map", "1:v") if place == "first" else ("-map", "1:v", "-map", "0:v")
    both = made("-i", image, "-i", plain, *maps, "-map", "1:a", "-c", "copy", tmp_path / "both.mp4")

    def enable(moov: list) -> None:
        for track in mp4.tracks(moov, b"vide"):
            mp4.with_header(track, mp4.flags_in_header(3))

    odd = mp4.changed(both, tmp_path / "odd.mp4", enable)
    film, path = film_of([odd, clip(tone=550)], tmp_path, RE_ENCODED if way == "encode" else AS_IT_IS)
    assert film.plan.strategy == way
    assert len(shown(path)) == 24
    assert look_through(encoder(), odd).facts.video == look_through(encoder(), odd).facts.video
    if way == "splice":
        assert frames(path) == frames(plain) + frames(clip(tone=550))


def shaped(path: Path, change: Callable[[bytearray], None], source: Path | None = None) -> Path:
    def of_header(moov: list) -> None:
        mp4.with_header(video(moov), change)
        entry = mp4.at(mp4.tables(video(moov)), b"stsd")
        entry[1] = entry[1].replace(b"pasp", b"free")

    return mp4.changed(source or clip(), path, of_header)


def aspect(path: Path) -> str:
    facts = encoder().probe(path).video
    assert facts is not None
    return str(facts.sar)


def test_a_shape_that_the_track_header_alone_tells_is_the_films(tmp_path: Path) -> None:
    wide = [
        shaped(tmp_path / f"{tone}.mp4", mp4.size_in_header(128, 64), clip(tone=tone, size="96x64"))
        for tone in (440, 550)
    ]
    film, path = film_of(wide, tmp_path)
    assert (film.plan.strategy, aspect(path)) == ("splice", "4/3")


def test_a_clip_of_another_shape_is_not_copied_beside_others(tmp_path: Path) -> None:
    wide = shaped(tmp_path / "wide.mp4", mp4.size_in_header(128, 64), clip(size="96x64"))
    film, _ = film_of([clip(tone=550), clip(tone=660), wide], tmp_path)
    assert (film.plan.strategy, film.plan.encoded) == ("smart", (2,))


TURNED = (0, 65536, 0, -65536, 0, 0)


def test_clips_turned_alike_are_spliced_wherever_the_matrix_moves_them(tmp_path: Path) -> None:
    turned = [
        mp4.changed(
            clip(tone=tone),
            tmp_path / f"{tone}.mp4",
            lambda moov, moved=moved: mp4.with_header(
                video(moov), mp4.matrix_in_header(*TURNED, moved << 16, 0, 1 << 30)
            ),
        )
        for tone, moved in ((440, 64), (550, 0))
    ]
    film, path = film_of(turned, tmp_path)
    facts = encoder().probe(path).video
    assert facts is not None
    assert (film.plan.strategy, abs(facts.rotation)) == ("splice", 90)


def marks(path: Path) -> list[int] | None:
    picture = read(path).picture
    assert picture is not None
    own = picture.track.tables.sync if picture.track.tables else None
    return None if own is None else list(own)


@pytest.mark.parametrize("table", ["none", "all"])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "libvpx-vp9"])
def test_key_frames_are_those_found_in_the_samples(tmp_path: Path, table: str, codec: str) -> None:
    def mark(moov: list) -> None:
        mp4.drop(mp4.tables(video(moov)), b"stss")
        if table == "all":
            mp4.put(mp4.tables(video(moov)), b"stss", struct.pack(">14I", 0, 12, *range(1, 13)))

    coded = f"-c:v {codec} -g 6 {NO_B}" + (" -x265-params log-level=none:keyint=6" if codec == "libx265" else "")
    plain = clip(options=coded)
    odd = mp4.changed(plain, tmp_path / "odd.mp4", mark)
    assert len(marks(plain) or []) == 2
    film, path = film_of([plain, odd], tmp_path)
    assert film.plan.strategy == "splice"
    assert marks(path) == [*(marks(plain) or []), *(12 + one for one in marks(plain) or [])]


@pytest.mark.parametrize("clock", ["10000000", "600", "16777259"])
def test_clips_of_any_clock_are_spliced_and_their_frames_keep_their_times(tmp_path: Path, clock: str) -> None:
    clips = [
        clip(fps=fps, options=f"-video_track_timescale {one}", tone=tone)
        for tone, fps, one in ((440, "30000/1001", clock), (550, "30", "600"), (660, "24000/1001", "90000"))
    ]
    film, path = film_of(clips, tmp_path)
    assert film.plan.strategy == "splice"
    begins = accumulate((float(read(one).seconds_of_picture) for one in clips), initial=0.0)
    expected = [begin + float(one.seconds) for begin, path_ in zip(begins, clips, strict=False) for one in shown(path_)]
    assert [float(one.seconds) for one in shown(path)] == pytest.approx(expected, abs=2e-4)
    assert frames(path) == [one for path_ in clips for one in frames(path_)]


def test_a_second_index_is_ignored_as_players_do(tmp_path: Path) -> None:
    plain = clip()
    data = plain.read_bytes()
    place = data.rindex(b"moov") - 4
    odd = tmp_path / "odd.mp4"
    odd.write_bytes(data + data[place:])
    film, path = film_of([odd, clip(tone=550)], tmp_path)
    assert film.plan.strategy == "splice"
    assert frames(path) == frames(plain) + frames(clip(tone=550))


@pytest.mark.parametrize("place", [0, 5, 12])
def test_samples_of_no_bytes_are_no_frames(tmp_path: Path, place: int) -> None:
    def insert_empty(moov: list) -> None:
        inside = mp4.tables(video(moov))
        sizes = list(struct.unpack_from(">12I", mp4.at(inside, b"stsz")[1], 12))
        sizes.insert(place, 0)
        mp4.put(inside, b"stsz", struct.pack(">III13I", 0, 0, 13, *sizes))
        mp4.put(inside, b"stts", mp4.run_table((13, 512)))
        mp4.put(inside, b"stsc", struct.pack(">IIIII", 0, 1, 1, 13, 1))
        keys = [number + (number > place) for number in (1, 7)]
        mp4.put(inside, b"stss", struct.pack(">IIII", 0, 2, *keys))
        mp4.drop(video(moov), b"edts")

    plain = clip(sound=None, options=f"{NO_B} -video_track_timescale 12288")
    odd = mp4.changed(plain, tmp_path / "odd.mp4", insert_empty)
    film, path = film_of([clip(tone=550, sound=None), odd], tmp_path)
    assert film.plan.strategy == "splice"
    assert frames(path) == frames(clip(tone=550, sound=None)) + frames(plain)
