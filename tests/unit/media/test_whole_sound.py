"""A film's sound comes whole from one file: the clips give their pictures, whatever their own sound is."""

from __future__ import annotations

import subprocess
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from math import pi
from pathlib import Path

import pytest

from shared.media.clip import Clip, Sound, read_clip
from shared.media.mp4.tables import expanded
from shared.media.splice import parts
from shared.media.splice.film import CopiedRange, Splice, splice
from shared.media.splice.payload import sample_places
from shared.media.splice.proof import prove
from shared.media.splice.refusals import CannotSplice, refusals
from shared.usecases.object_source import open_object
from shared.usecases.splicing import Progress, write_film
from tests.memory_media import MemoryMedia
from tests.unit.media.cases import X264_MEDIUM
from tests.unit.media.films import FFMPEG, FileSource, clip, joined, packets, shown, spliced, whole_sound, written

PACKET = 1024
LOUDEST = 1 / 8  # FFmpeg's sine
CLIP_SECONDS = 0.5
DISTINCT_SOUNDS = ("-c:a aac", "-ar 48000 -ac 1", "-c:a ac3", "-c:a libmp3lame", "-ac 6", "-an")


def unlike_clips() -> list[Path]:
    return [clip(tone=300 + number, options=options) for number, options in enumerate(DISTINCT_SOUNDS)]


def with_other_sets() -> list[Path]:
    return [clip(pictures=24, sound=1.0), clip(tone=550, options="-refs 4 -preset medium -bf 0 -c:a ac3")]


def with_b_pictures_and_other_rates() -> list[Path]:
    return [clip(options=f"{X264_MEDIUM} -c:a ac3", pictures=25, fps="25"), clip(tone=550, pictures=10, fps="30")]


def thirty_joins() -> list[Path]:
    kinds = [("24", 7), ("30000/1001", 11), ("25", 5)]
    lengths = [kinds[number % 3] for number in range(31)]
    return [
        clip(fps=fps, pictures=count, tone=400 + number % 9, options=DISTINCT_SOUNDS[number % 6])
        for number, (fps, count) in enumerate(lengths)
    ]


def read(path: Path) -> Clip:
    return read_clip(FileSource(path))


def sound_for(paths: Sequence[Path], rate: int = 48000, options: str = "") -> Path:
    return whole_sound(sum(read(path).seconds_of_picture for path in paths), rate=rate, options=options)


def heard(path: Path) -> array[float]:
    """All samples of the left channel, decoded."""
    argv = [FFMPEG, "-v", "error", "-i", path, "-map", "0:a:0", "-af", "pan=mono|c0=c0", "-f", "f32le", "-"]
    return array("f", subprocess.run(argv, capture_output=True, check=True).stdout)


def own_sound(whole: Clip) -> Sound:
    assert whole.sound is not None
    return whole.sound


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("make", [unlike_clips, with_other_sets, with_b_pictures_and_other_rates, thirty_joins])
def test_pictures_are_the_clips_and_sound_is_the_one(make: Callable[[], list[Path]], rate: int, tmp_path: Path) -> None:
    paths, film = make(), tmp_path / "film.mp4"
    sound = sound_for(paths, rate)
    made = spliced(paths, film, sound)

    assert [one.hash for one in shown(film)] == [one.hash for path in paths for one in shown(path)]
    if all(isinstance(piece, CopiedRange) for piece in made.pieces):
        assert [one.hash for one in packets(film)] == [one.hash for path in paths for one in packets(path)]
    # Each packet at the same time as in its own file: no join moves it.
    assert packets(film, "0:a:0") == packets(sound, "0:a:0")
    check_heard(film, sound, rate)
    check_lies_where_it_is_heard(film, made)
    proof = prove(made, [read(path) for path in paths], read(sound))
    assert proof.problems == ()
    assert [join.sound_offset_seconds for join in proof.joins] == [0.0] * len(paths)
    assert [join.sound_offset_seconds for join in made.joins] == [0.0] * len(paths)
    assert proof.drift_seconds < 0.012 + PACKET / rate


def check_heard(film: Path, sound: Path, rate: int) -> None:
    """The same samples, and a tone without a step through all joins."""
    of_film, own = heard(film), heard(sound)
    length = min(len(of_film), len(own))
    assert abs(len(of_film) - len(own)) <= PACKET
    assert of_film[:length] == own[:length]
    steepest = 2 * pi * 440 / rate * LOUDEST
    assert max(abs(after - before) for before, after in pairwise(of_film[PACKET : length - PACKET])) < 1.1 * steepest


def check_lies_where_it_is_heard(film: Path, made: Splice) -> None:
    """Behind the pictures of the clip before, in front of the clip's own."""
    one = read(film)
    assert one.picture is not None
    assert one.picture.times is not None
    times = own_sound(one).times
    assert times is not None
    pictures = sample_places(one.picture.tables)
    decoded = list(accumulate(expanded(one.picture.tables.deltas), initial=0))
    begins = [join.picture_seconds for join in made.joins]
    firsts = [bisect_left(decoded, round(begin * one.picture.track.timescale)) for begin in begins]
    for number, place in enumerate(sample_places(own_sound(one).tables)):
        moment = (number * PACKET - times.priming) / times.timescale
        first = firsts[sum(begin <= moment + 1e-9 for begin in begins[1:])]
        assert place < pictures[first]
        assert first == 0 or pictures[first - 1] < place


def test_nothing_about_the_clips_own_sound_forbids_it(tmp_path: Path) -> None:
    clips = [read(path) for path in unlike_clips()]
    assert {one.code for one in refusals(clips)} == {"audio_differs", "audio_codec", "audio_channels"}
    assert refusals(clips, whole_sound=True) == ()
    damaged = tmp_path / "damaged.mp4"
    data = clip().read_bytes()
    at = data.index(b"stsz", data.index(b"soun"))
    damaged.write_bytes(data[:at] + b"free" + data[at + 4 :])
    assert [one.code for one in refusals([read(damaged)])] == ["mp4_table_missing"]
    assert refusals([read(damaged)], whole_sound=True) == ()


def test_what_is_wrong_with_pictures_still_forbids_it() -> None:
    clips = [read(clip()), read(clip(tone=550)), read(clip(options="-vf scale=128:96,setsar=1"))]
    assert [(one.clip, one.code) for one in refusals(clips, whole_sound=True)] == [(2, "size_differs")]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: whole_sound(0.97), "sound_length_differs"),
        (lambda: whole_sound(1.03), "sound_length_differs"),
        (lambda: whole_sound(1.0, options="-c:a ac3"), "audio_codec"),
        (lambda: clip(sound=None, pictures=24), "no_sound"),
    ],
)
def test_a_sound_that_is_not_the_films_is_refused(make: Callable[[], Path], code: str) -> None:
    clips = [read(clip()), read(clip(tone=550))]
    with pytest.raises(CannotSplice) as caught:
        splice(clips, checked=True, sound=read(make()))
    assert [(one.clip, one.code) for one in caught.value.refusals] == [(None, code)]


def test_a_sound_that_begins_late_is_refused() -> None:
    whole = read(whole_sound(1.0))
    times = own_sound(whole).times
    assert times is not None
    late = replace(whole, sound=replace(own_sound(whole), times=replace(times, start_seconds=times.start_seconds + 1)))
    with pytest.raises(CannotSplice) as caught:
        splice([read(clip()), read(clip(tone=550))], sound=late)
    assert [one.code for one in caught.value.refusals] == ["sound_starts_late"]


def test_priming_may_be_known_from_elsewhere(tmp_path: Path) -> None:
    paths = [clip(), clip(tone=550)]
    bare = read(sound_for(paths, options="-use_editlist 0"))
    times = own_sound(bare).times
    assert times is not None
    assert times.priming == 0
    known = replace(bare, sound=replace(own_sound(bare), times=replace(times, priming=PACKET)))
    made = joined([read(path) for path in paths], paths, known)
    written(made, [*paths, sound_for(paths, options="-use_editlist 0")], tmp_path / "film.mp4")
    check_heard(tmp_path / "film.mp4", sound_for(paths), 48000)
    assert prove(made, [read(path) for path in paths], known).problems == ()


def test_a_whole_sound_may_have_six_channels(tmp_path: Path) -> None:
    paths = [clip(), clip(tone=550)]
    sound = sound_for(paths, options="-ac 6")
    spliced(paths, tmp_path / "film.mp4", sound)
    assert own_sound(read(tmp_path / "film.mp4")).entry.aac == own_sound(read(sound)).entry.aac
    assert packets(tmp_path / "film.mp4", "0:a:0") == packets(sound, "0:a:0")


def test_what_lies_between_the_sounds_chunks_is_left_out(tmp_path: Path) -> None:
    paths = unlike_clips()
    sound = sound_for(paths)
    whole, rows = read(sound), 7
    tables = own_sound(whole).tables
    sizes, begins = tables.sizes.expanded(), sample_places(tables)
    data, offsets, ends = bytearray(48), array("Q"), array("Q")
    for first in range(0, len(sizes), rows):
        data += b"other bytes" * 9
        offsets.append(len(data))
        for size, begin in zip(sizes[first : first + rows], begins[first : first + rows], strict=True):
            data += sound.read_bytes()[begin : begin + size]
        ends.append(len(data))
    samples = array("I", [min(rows, len(sizes) - first) for first in range(0, len(sizes), rows)])
    moved = replace(tables, chunk_offsets=offsets, chunk_ends=ends, chunk_samples=samples)
    scattered = replace(
        whole,
        sound=replace(own_sound(whole), tables=moved),
        file=replace(whole.file, payloads=((48, len(data)),)),
    )
    (tmp_path / "scattered").write_bytes(data)
    made = joined([read(path) for path in paths], paths, scattered)
    written(made, [*paths, tmp_path / "scattered"], tmp_path / "film.mp4")
    assert packets(tmp_path / "film.mp4", "0:a:0") == packets(sound, "0:a:0")
    assert b"other bytes" not in (tmp_path / "film.mp4").read_bytes()
    assert prove(made, [read(path) for path in paths], scattered).problems == ()


@pytest.mark.parametrize("in_one_request", [True, False])
def test_it_is_written_to_the_bucket(in_one_request: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that the store copies, with the sound in bytes between them, make up the same film."""
    if not in_one_request:
        monkeypatch.setattr(parts, "ONE_REQUEST_BYTES", 0)
    noise = "-vf noise=alls=100:allf=t -crf 1"
    paths = [clip(size="640x480", tone=tone, pictures=20, options=f"{noise} -c:a ac3") for tone in (440, 550)]
    paths.insert(1, clip(size="640x480", tone=500, pictures=4, sound=None))
    sound, media = sound_for(paths), MemoryMedia()
    for number, path in enumerate([*paths, sound]):
        media.put(str(number), path.read_bytes(), "video/mp4")
    sources = [open_object(media, str(number)) for number in range(len(paths))]
    progress = Progress(lambda: None, lambda _: None)

    film = write_film(
        media, sources, [read(path) for path in paths], "film", progress, sound=(open_object(media, "3"), read(sound))
    )

    spliced(paths, tmp_path / "film.mp4", sound)
    assert media.objects["film"][0] == (tmp_path / "film.mp4").read_bytes()
    assert film.proof.problems == ()
    assert (film.bytes_copied > 0) is not in_one_request
    assert media.uploads == {}
