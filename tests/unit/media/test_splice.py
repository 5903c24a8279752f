"""A spliced film holds its clips' pictures bit by bit, in time, with their sound where it belongs."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from shared.media.clip import read_clip
from shared.media.facts import clip_facts
from shared.media.h264.config import AvcConfig
from shared.media.splice.film import Made, Splice, payloads_needed, splice
from shared.media.splice.refusals import refusals
from tests.unit.media import cases
from tests.unit.media.films import FileSource, Packet, clip, ffmpeg, joined, packets, shown, shown_after_seek, spliced

LARGEST_OFFSET_SECONDS = 0.012


@pytest.mark.parametrize("make", cases.JOINS)
def test_pictures_times_seeks_and_sound_are_the_clips(make: Callable[[], list[Path]], tmp_path: Path) -> None:
    clips = make()
    film = tmp_path / "film.mp4"
    made = spliced(clips, film)
    ffmpeg("-xerror", "-i", str(film), "-f", "null", "-")
    check_pictures(clips, film, made)
    check_seeks(clips, film, made)
    check_sound(clips, film, made)


def check_pictures(clips: Sequence[Path], film: Path, made: Splice) -> None:
    own = [shown(path) for path in clips]
    of_film = shown(film)
    assert [one.hash for one in of_film] == [one.hash for pictures in own for one in pictures]
    assert made.pictures == len(of_film)
    read_back = read_clip(FileSource(film))
    assert clip_facts(read_back).header_seconds == pytest.approx(made.duration_seconds, abs=1e-6)
    assert clip_facts(read_back).seconds == pytest.approx(made.duration_seconds, abs=1e-4)
    assert refusals([read_back]) == ()
    begins = [float(join.picture_seconds) for join in made.joins]
    expected = [
        begin + float(one.seconds - pictures[0].seconds + (held(path) if one is not pictures[0] else 0))
        for begin, path, pictures in zip(begins, clips, own, strict=True)
        for one in pictures
    ]
    assert [float(one.seconds) for one in of_film] == pytest.approx(expected, abs=1e-4)
    if not payloads_needed([read_clip(FileSource(path)) for path in clips]):
        assert [one.hash for one in packets(film)] == [one.hash for path in clips for one in packets(path)]


def held(path: Path) -> Fraction:
    """How long a clip's first frame is held, as its audio begins earlier."""
    one = read_clip(FileSource(path)).picture
    return one.held_seconds if one is not None else Fraction(0)


def check_seeks(clips: Sequence[Path], film: Path, made: Splice) -> None:
    of_film = shown(film)
    first = 0
    for path in clips:
        count = len(shown(path))
        for place in {first, first + count // 2, first + count - 1}:
            assert shown_after_seek(film, of_film[place].seconds).hash == of_film[place].hash
        first += count


def check_sound(clips: Sequence[Path], film: Path, made: Splice) -> None:
    """Each packet found again is as far from its clip's first picture as it was there."""
    with_sound = [path for path in clips if read_clip(FileSource(path)).sound]
    assert made.has_sound == bool(with_sound)
    if not with_sound:
        return
    check_order(film)
    heard = packets(film, "0:a:0")
    counted = Counter(one.hash for path in with_sound for one in packets(path, "0:a:0"))
    ambiguous = {hash_ for hash_, count in counted.items() if count > 1}
    assert float(heard[-1].seconds) + 0.03 >= made.duration_seconds - 0.03
    for path, join in zip(clips, made.joins, strict=True):
        if path in with_sound:
            offsets = offsets_of(path, heard, Fraction(join.picture_seconds), ambiguous)
            assert offsets
            assert max(map(abs, offsets)) < LARGEST_OFFSET_SECONDS
            assert join.sound_offset_seconds is not None
            assert offsets == pytest.approx([join.sound_offset_seconds] * len(offsets), abs=1e-3)


def check_order(film: Path) -> None:
    """Sound lies in the file as it is heard: Chromium drops packets that go back."""
    sound = read_clip(FileSource(film)).sound
    assert sound is not None
    assert list(sound.tables.chunk_offsets) == sorted(sound.tables.chunk_offsets)


def offsets_of(path: Path, heard: Sequence[Packet], begin: Fraction, ambiguous: set[str]) -> list[float]:
    """In seconds, of the packets that can be told from all others."""
    own = packets(path, "0:a:0")
    if len(own) > 1 and own[1].seconds - own[0].seconds > 0.025:
        own = own[1:]  # the one before the first picture stands apart, and is moved
    picture = shown(path)[0].seconds - lateness(path) - held(path)
    places = {one.hash: one.seconds for one in heard if one.hash not in ambiguous}
    return [float(places[one.hash] - begin - (one.seconds - picture)) for one in own if one.hash in places]


def lateness(path: Path) -> Fraction:
    """How much too late FFmpeg shows fragments whose pictures are shown before they are decoded.

    It moves all of them until none is (`dts_shift` in its mov.c), where ISO 14496-12, 8.6.1.3 has the time as it is
    written, and its own muxer means it so: see `test_fragments_are_in_time_as_the_same_clip_in_one_piece`.
    """
    one = read_clip(FileSource(path))
    shifts = one.picture.tables.shifts if one.picture else None
    if not one.file.fragmented or one.picture is None or shifts is None:
        return Fraction(0)
    return Fraction(-min(*shifts.values, 0), one.picture.track.timescale)


@pytest.mark.parametrize("flags", ["frag_keyframe+delay_moov", "frag_keyframe+delay_moov+negative_cts_offsets"])
@pytest.mark.parametrize("order", ["", cases.X264_MEDIUM])
def test_fragments_are_in_time_as_the_same_clip_in_one_piece(flags: str, order: str) -> None:
    """An edit list keeps what was meant: the same picture and the same packet begin at zero."""
    in_one_piece, in_fragments = (
        read_clip(FileSource(clip(options=f"{order} {moving}"))) for moving in ("", f"-movflags {flags}")
    )
    assert in_fragments.file.fragmented
    for one in (in_one_piece, in_fragments):
        assert one.picture is not None
        assert one.picture.times is not None
        assert one.sound is not None
        assert one.sound.times is not None
        assert (one.picture.times.start_seconds, one.sound.times.start_seconds) == (0, 0)
        assert (one.picture.times.seconds, one.sound.times.priming) == (Fraction(1, 2), 1024)


def test_a_hundred_joins_do_not_drift(tmp_path: Path) -> None:
    clips = [clip(pictures=5, tone=300 + number % 10, sound=0.25) for number in range(100)]
    made = spliced(clips, tmp_path / "film.mp4")
    offsets = [join.sound_offset_seconds or 0.0 for join in made.joins]
    assert max(map(abs, offsets)) < LARGEST_OFFSET_SECONDS
    heard = packets(tmp_path / "film.mp4", "0:a:0")
    assert float(heard[-1].seconds) == pytest.approx(100 * 5 / 24, abs=0.04)
    pictures = [one.hash for path in clips for one in shown(path)]
    assert [one.hash for one in shown(tmp_path / "film.mp4")] == pictures
    assert made.duration_seconds == pytest.approx(100 * 5 / 24)


@pytest.mark.parametrize(
    ("make", "rewritten"),
    [
        (cases.like_clips, []),
        (cases.other_rates, [1, 2, 3]),
        (cases.other_sets_of_the_same_ids, [1, 2]),
        (cases.sets_under_distinct_ids, []),
        (cases.sets_in_band_everywhere, []),
        (cases.sets_in_band_of_the_fewer, [1]),
        (cases.sets_in_band_of_the_more, [1, 2]),
    ],
)
def test_only_clips_whose_units_change_are_read_whole(make: Callable[[], list[Path]], rewritten: list[int]) -> None:
    needed = payloads_needed([read_clip(FileSource(path)) for path in make()])
    assert [one.clip for one in needed] == rewritten


def test_a_film_past_four_gibibytes_has_long_offsets(tmp_path: Path) -> None:
    """The clip's own file has a hole of 5 GiB in front of its sound's last chunk."""
    hole = 5 * 1024**3
    short = clip(options="-movflags faststart", tone=550)
    clips = [read_clip(FileSource(path)) for path in (clip(), short, clip(tone=660))]
    sound = clips[1].sound
    assert sound is not None
    last = sound.tables.chunk_offsets[-1]
    ends = array("Q", [*sound.tables.chunk_ends[:-1], sound.tables.chunk_ends[-1] + hole])
    moved = array("Q", [*sound.tables.chunk_offsets[:-1], last + hole])
    ((begin, end),) = clips[1].file.payloads
    clips[1] = replace(
        clips[1],
        sound=replace(sound, tables=replace(sound.tables, chunk_offsets=moved, chunk_ends=ends)),
        file=replace(clips[1].file, payloads=((begin, end + hole),)),
    )
    made = splice(clips)
    film = tmp_path / "film.mp4"
    sources = [clip().read_bytes(), short.read_bytes(), clip(tone=660).read_bytes()]
    with film.open("wb") as file:
        file.write(made.head)
        for piece in made.pieces:
            if isinstance(piece, Made):
                file.write(piece.data)
            elif piece.clip != 1:
                file.write(sources[piece.clip][piece.offset : piece.offset + piece.length])
            else:
                at = file.tell()
                file.write(sources[1][piece.offset : last])
                file.seek(at + last + hole - piece.offset)
                file.write(sources[1][last : piece.offset + piece.length - hole])
    plain = spliced([clip(), short, clip(tone=660)], tmp_path / "plain.mp4")
    assert film.stat().st_size == made.size_bytes > hole > plain.size_bytes
    for stream in ("0:v:0", "0:a:0"):
        assert packets(film, stream) == packets(tmp_path / "plain.mp4", stream)


def test_colours_aspect_and_rotation_are_kept(tmp_path: Path) -> None:
    turned = [tmp_path / "0.mp4", tmp_path / "1.mp4"]
    for path, target in zip(cases.hd_colours_and_aspect(), turned, strict=True):
        ffmpeg("-display_rotation", "90", "-i", str(path), "-c", "copy", str(target))
    spliced(turned, tmp_path / "film.mp4")
    own, of_film = (clip_facts(read_clip(FileSource(path))).video for path in (turned[0], tmp_path / "film.mp4"))
    assert own is not None
    assert of_film is not None
    assert (own.colour.transfer, own.sar, own.rotation_degrees) == (1, Fraction(4, 3), 270)
    assert replace(of_film, frames=own.frames, seconds=own.seconds) == own


def test_sets_that_only_some_key_pictures_bring_are_taken_out() -> None:
    path = clip(options=cases.IN_BAND)
    one = read_clip(FileSource(path))
    assert one.picture is not None
    assert one.picture.scan is not None
    partly = replace(one, picture=replace(one.picture, scan=replace(one.picture.scan, with_sets=1)))
    made = joined([partly], [path])
    (payload,) = (piece.data for piece in made.pieces if isinstance(piece, Made))
    assert made.pictures == 12
    assert isinstance(one.picture.config, AvcConfig)
    assert all(unit not in bytes(payload) for unit in one.picture.config.sps.values())
