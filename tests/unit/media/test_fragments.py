"""Fragments say the same as one index, however they say it; what no file can mean is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest

from shared.media.clip import Clip, Picture, Sound, read_clip
from shared.media.mp4.boxes import LARGEST_MOOF_BYTES, MOST_TOP_BOXES
from shared.media.mp4.fields import BadMp4
from shared.media.mp4.reading import LARGEST_FRAGMENTS_BYTES, MOST_FRAGMENTS
from shared.media.mp4.writing import box
from shared.media.splice.refusals import refusals
from shared.media.timeline import PictureTimes, shown_at
from tests.fuzz.running import BytesSource
from tests.unit.media import cases
from tests.unit.media.films import FileSource, clip, packets, spliced
from tests.unit.media.fragmenting import (
    PICTURES,
    Telling,
    in_fragments,
    in_one_piece,
    samples_of,
    start_of_file,
    tracks,
    word,
)
from tests.unit.media.test_splice import check_pictures, check_seeks, check_sound, lateness


@dataclass
class CountingSource(BytesSource):
    """Counts the bytes that were asked for."""

    taken: int = 0

    def read(self, offset: int, length: int) -> bytes:
        self.taken += length
        return super().read(offset, length)


TELLINGS = {
    "offsets count from the fragment": Telling(),
    "offsets count from the file's beginning": Telling(base="file"),
    "data follow the data before them": Telling(base="old"),
    "each sample is told of by a header": Telling(alone=True),
    "each sample is told of by a header, counted from the file": Telling(alone=True, base="file"),
    "several runs": Telling(runs=3),
    "several runs, of which the first says where": Telling(runs=3, offsets=False),
    "several runs behind each other by the old rule": Telling(runs=3, offsets=False, base="old"),
    "the movie says how long samples last": Telling(alone=True, of_movie=True),
    "no times": Telling(times=False),
    "short times": Telling(wide=False),
    "shifts without a sign": Telling(version=0),
    "the first sample alone is one to seek to": Telling(first_flags=True),
}


def read(data: bytes) -> Clip:
    return read_clip(BytesSource(data))


def picture(one: Clip) -> Picture:
    assert one.picture is not None
    return one.picture


def sound(one: Clip) -> Sound:
    assert one.sound is not None
    return one.sound


def codes(data: bytes) -> set[str]:
    try:
        return {one.code for one in refusals([read(data)])}
    except BadMp4 as error:
        return {error.code}


@pytest.mark.parametrize("name", TELLINGS)
def test_it_is_the_clip_in_one_piece(name: str) -> None:
    data = in_fragments(TELLINGS[name])
    found, whole = read(data), in_one_piece()
    assert refusals([found]) == ()
    assert samples_of(picture(found), data) == tracks()[0].samples
    assert samples_of(sound(found), data) == tracks()[1].samples
    assert picture(found).times == replace(
        picture_times(whole), coarsest_timescale=picture_times(found).coarsest_timescale
    )
    assert sound_start(found) == sound_start(whole) == (Fraction(0), 1024)
    assert picture(found).scan == picture(whole).scan


def picture_times(one: Clip) -> PictureTimes:
    times = picture(one).times
    assert times is not None
    return times


def sound_start(one: Clip) -> tuple[Fraction, int]:
    times = sound(one).times
    assert times is not None
    return times.start_seconds, times.priming


# FFmpeg starts each run without an offset at the fragment's base; the book (8.8.8) has it follow the run before.
@pytest.mark.parametrize("name", [name for name, how in TELLINGS.items() if how.offsets])
def test_a_decoder_finds_the_same_packets_at_the_same_times(name: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(in_fragments(TELLINGS[name]))
    check_times(path)


@pytest.mark.parametrize("make", [make for make in cases.JOINS if make.__name__.startswith("fragments")])
def test_a_decoder_agrees_on_times_of_fragments_of_its_own(make: Callable[[], list[Path]]) -> None:
    for path in make():
        check_times(path)


def check_times(path: Path) -> None:
    one = read_clip(FileSource(path))
    times, begin = picture_times(one), picture_times(one).start_seconds
    begin -= Fraction(times.first_shown, times.timescale)
    ours = [begin + Fraction(shown, times.timescale) for shown in shown_at(picture(one).tables)]
    ours[0] += picture(one).held_seconds
    late = lateness(path)
    theirs = [one.seconds - late for one in packets(path)]
    if one.sound is None or one.sound.times is None:
        assert steps(ours, 0) == steps(theirs, 0)
        return
    heard = one.sound.times
    first = heard.start_seconds - Fraction(heard.priming, heard.timescale)
    ours += [first + Fraction(1024 * number, heard.timescale) for number in range(1, heard.packets)]
    theirs += [packet.seconds for packet in packets(path, "0:a:0")[1:]]
    zero = min(Fraction(part.tables.first_decoded, part.track.timescale) for part in (picture(one), sound(one)))
    assert steps(ours, 0) == pytest.approx(steps(theirs, zero), abs=2e-4)


def steps(seconds: list[Fraction], zero: Fraction | int) -> list[float]:
    return [float(one - zero) for one in seconds]


def moved(data: bytes, number: int, decoded: int) -> bytes:
    """The file with another time in its nth `tfdt`; they go picture, sound, picture, sound."""
    at = -1
    for _ in range(number + 1):
        at = data.index(b"tfdt", at + 1)
    return data[: at + 8] + word(decoded, 8) + data[at + 16 :]


@pytest.mark.parametrize("ticks", [1, 700, 30000, -1, -511])
def test_a_picture_lasts_until_the_next_fragment(ticks: int, tmp_path: Path) -> None:
    data = in_fragments(Telling())
    path = tmp_path / "clip.mp4"
    path.write_bytes(moved(data, 2, 6 * 512 + ticks))
    one, whole = read(path.read_bytes()), in_one_piece()
    own, moved_shown = list(shown_at(picture(whole).tables)), list(shown_at(picture(one).tables))
    assert moved_shown == own[:6] + [shown + ticks for shown in own[6:]]
    check_times(path)
    if ticks > 0:
        check_film([clip(tone=550), path, clip(tone=660)], tmp_path)


def check_film(paths: list[Path], folder: Path) -> None:
    made = spliced(paths, folder / "film.mp4")
    check_pictures(paths, folder / "film.mp4", made)
    check_seeks(paths, folder / "film.mp4", made)
    check_sound(paths, folder / "film.mp4", made)


@pytest.mark.parametrize(("pictures", "packets"), [(0.1, 0.0), (0.0, 0.1), (0.02, 0.2)])
def test_one_track_begins_later(pictures: float, packets: float, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(started(round(pictures * 12288), round(packets * 44100)))
    check_times(path)
    check_film([path, clip(tone=550)], tmp_path)
    check_film([clip(tone=550), path, clip(tone=660)], tmp_path)


def test_what_was_cut_out_of_a_stream_begins_at_its_own_beginning(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(started(5000 * 12288 + 7, 5000 * 44100))
    one = read_clip(FileSource(path))
    assert (picture_times(one).start_seconds, sound_start(one)[0]) == (Fraction(7, 12288), Fraction(-1024, 44100))
    check_times(path)
    check_film([clip(tone=550), path, clip(tone=660)], tmp_path)


@pytest.mark.parametrize(("first_decoded", "refused"), [(0, set()), (1024, {"audio_grid"})])
def test_a_packet_that_stands_apart_may_be_moved_where_nobody_hears_it(first_decoded: int, refused: set[str]) -> None:
    """The edit list hides the first 1024 samples; the other packets come 50 ms late."""
    written = tracks()
    written[1].fragments = [written[1].samples[:1], written[1].samples[1:]]
    written[1].decoded = first_decoded
    data = moved(in_fragments(Telling(), written), 3, first_decoded + 1024 + 2205)
    assert codes(data) == refused
    times = sound(read(data)).times
    assert times is not None
    assert times.lead_seconds == Fraction(1, 20)
    second = times.start_seconds + Fraction(1024 - times.priming, times.timescale)
    assert second == Fraction(first_decoded + 2205, 44100)


def started(pictures: int, packets: int) -> bytes:
    written = tracks()
    written[0].decoded, written[1].decoded = pictures, packets
    return in_fragments(Telling(), written)


def test_time_without_samples_passes() -> None:
    data = in_fragments(Telling(times=False))
    at = data.rindex(b"moof") - 4
    header = b"tfhd" + word(0x010008 | 0x20000) + word(PICTURES) + word(999)
    nothing = box("moof", box("traf", word(len(header) + 4) + header))
    shown = list(shown_at(picture(read(data[:at] + nothing + data[at:])).tables))
    own = list(shown_at(picture(in_one_piece()).tables))
    assert shown == own[:6] + [one + 999 for one in own[6:]]


MANY_LARGE = LARGEST_FRAGMENTS_BYTES // LARGEST_MOOF_BYTES + 1
FORGERIES: dict[str, Callable[[], bytes]] = {
    "mp4_no_fragments": start_of_file,
    "mp4_fragment_times": lambda: moved(in_fragments(Telling()), 2, 5 * 512),
    "mp4_bad_fragment": lambda: in_fragments(Telling()).replace(b"tfhd", b"free"),
    "mp4_too_many_samples": lambda: run_told(in_fragments(Telling()), 0, b"\xff" * 4),
    "mp4_cut_off": lambda: run_told(in_fragments(Telling()), 0x301, word(2_000_000)),
    "chunk_outside": lambda: in_fragments(Telling())[:-1],
    "chunks_overlap": lambda: last_told_again(in_fragments(Telling(base="file", times=False))),
    "several_descriptions": lambda: in_fragments(Telling(description=2)),
    "audio_grid": lambda: moved(in_fragments(Telling()), 3, 100_000),
    "mp4_too_many_fragments": lambda: in_fragments(Telling()) + box("moof") * MOST_FRAGMENTS,
    "mp4_too_many_fragments by bytes": lambda: start_of_file() + box("moof", bytes(LARGEST_MOOF_BYTES)) * MANY_LARGE,
    "mp4_index_too_large": lambda: in_fragments(Telling()) + box("moof", bytes(LARGEST_MOOF_BYTES + 1)),
    "mp4_too_many_boxes": lambda: in_fragments(Telling()) + box("free") * MOST_TOP_BOXES,
    "mp4_too_many_boxes in fragments": lambda: in_fragments(Telling()) + box("moof", box("free") * 1000) * 200,
    "mp4_bad_box": lambda: in_fragments(Telling()) + word(4) + b"moof",
}


def last_told_again(data: bytes) -> bytes:
    return data + data[data.rindex(b"moof") - 4 :]


def run_told(data: bytes, flags: int, count: bytes) -> bytes:
    """The first run with other flags and another count."""
    at = data.index(b"trun") + 4
    return data[:at] + word(flags) + count + data[at + 8 :]


@pytest.mark.parametrize("code", FORGERIES)
def test_what_cannot_be_is_named(code: str) -> None:
    assert code.split()[0] in codes(FORGERIES[code]())


@pytest.mark.parametrize(
    "wrong",
    [
        Telling(offset_by=-(2**31)),  # before the file's first byte
        Telling(base="file", offset_by=2**31 - 1, base_by=2**63),  # beyond any file's end
    ],
)
def test_places_outside_any_file_are_named(wrong: Telling) -> None:
    assert "mp4_bad_fragment" in codes(in_fragments(wrong))


@pytest.mark.parametrize("decoded", [2**33, 2**40, 2**64 - 1])
def test_times_that_no_table_holds_are_named(decoded: int) -> None:
    assert "mp4_fragment_times" in codes(moved(in_fragments(Telling()), 2, decoded))


def test_a_track_nobody_knows_is_named() -> None:
    written = tracks()
    written[1].number = 7
    assert "mp4_bad_fragment" in codes(in_fragments(Telling(), written))


def test_what_is_cut_off_in_its_last_index_keeps_what_came_before() -> None:
    data = in_fragments(Telling())
    found = read(data[: data.rindex(b"moof") + 40])
    assert picture_times(found).pictures == 6
    assert {one.code for one in refusals([found])} == {"mp4_cut_off"}


@pytest.mark.parametrize(("fragments", "padding", "largest_share"), [(5000, 0, 1.1), (300, 100_000, 0.7)])
def test_many_fragments_are_read_in_few_bytes(fragments: int, padding: int, largest_share: float) -> None:
    """Each of one picture and one packet; media are skipped by their headers."""
    written = tracks()
    for track in written:
        first = track.samples[0]
        track.samples = [replace(first, data=first.data + bytes(padding))] * fragments
        track.split(fragments)
    source = CountingSource(in_fragments(Telling(), written))
    assert picture_times(read_clip(source)).pictures == fragments
    assert source.taken < source.size_bytes * largest_share
    assert source.reads < 3 * fragments
