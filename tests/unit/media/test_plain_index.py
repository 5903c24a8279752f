"""A clip under an index of the engine's own reads back as the same clip."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest

from shared.media.clip import Clip, Picture, Sound, read_clip
from shared.media.mp4.tables import Runs
from shared.media.plain_index import needs_plain_index, plain_index, streams_of
from shared.media.presentation import Streams
from shared.media.splice.film import CopiedRange, Piece
from shared.media.splice.payload import sample_places
from shared.media.timeline import shown_at
from tests import mp4_surgery as mp4
from tests.fuzz.running import BytesSource
from tests.unit.media.built import clip_of, edits, picture, sound
from tests.unit.media.cases import X264_MEDIUM
from tests.unit.media.films import clip
from tests.unit.media.fragmenting import CODING, Telling, in_fragments

BEFORE_DECODED = "negative_cts_offsets"


def without_key_marks(data: bytes) -> bytes:
    """The file, whose index stands last, as if all of its frames were key frames."""
    boxes = mp4.parsed(data)
    mp4.drop(mp4.tables(mp4.tracks(mp4.at(boxes, b"moov")[1], b"vide")[0]), b"stss")
    return mp4.packed(boxes)


FILES = {
    "in one piece, wrongly marked": lambda: without_key_marks(clip(options=CODING).read_bytes()),
    "in one piece": lambda: clip(options=CODING).read_bytes(),
    "shown before it is decoded": lambda: clip(options=f"{CODING} -movflags {BEFORE_DECODED}").read_bytes(),
    "without audio": lambda: clip(options=CODING, sound=None).read_bytes(),
    "fragments": lambda: in_fragments(Telling()),
    "fragments of one sample": lambda: in_fragments(Telling(alone=True)),
    "fragments of many runs": lambda: in_fragments(Telling(runs=3)),
    "fragments, shown before": lambda: clip(options=f"{CODING} -movflags frag_keyframe+{BEFORE_DECODED}").read_bytes(),
    "fragments behind an edit list": lambda: clip(options=f"{CODING} -movflags frag_keyframe+delay_moov").read_bytes(),
    "fragments of CMAF": lambda: clip(options=f"{X264_MEDIUM} -movflags cmaf").read_bytes(),
    "fragments with audio that begins late": lambda: clip(
        options=f"{CODING} -avoid_negative_ts make_zero -movflags frag_keyframe", inputs="-itsoffset -0.1"
    ).read_bytes(),
}


def put_together(data: bytes, pieces: Sequence[Piece]) -> bytes:
    return b"".join(
        data[one.offset : one.offset + one.length] if isinstance(one, CopiedRange) else bytes(one.data)
        for one in pieces
    )


def samples(part: Picture | Sound, data: bytes) -> list[bytes]:
    places, sizes = sample_places(part.tables), part.tables.sizes.expanded()
    return [data[at : at + size] for at, size in zip(places, sizes, strict=True)]


def seconds(part: Picture | Sound) -> list[Fraction]:
    """When each sample is shown after the first."""
    moments = list(shown_at(part.tables))
    return [Fraction(one - min(moments), part.track.timescale) for one in moments]


def said(one: Clip, data: bytes) -> list[object]:
    """All that a clip is, whichever way its index says it."""
    assert one.picture is not None
    assert one.picture.times is not None
    times, audio = one.picture.times, one.sound
    found: list[object] = [samples(one.picture, data), seconds(one.picture), one.picture.config, one.picture.faults]
    sync = one.picture.tables.sync
    found += [None if sync is None else list(sync), times.shown, times.hidden_first, times.start_seconds, times.seconds]
    if audio is not None and audio.times is not None:
        heard = (audio.times.heard_end - audio.times.priming, audio.times.timescale)
        found += [samples(audio, data), seconds(audio), audio.entry, heard, audio.times.start_seconds]
    return found


@pytest.mark.parametrize("name", FILES)
def test_what_is_written_reads_back_as_the_same_clip(name: str) -> None:
    data = FILES[name]()
    one = read_clip(BytesSource(data))

    written = put_together(data, plain_index(one))
    again = read_clip(BytesSource(written))

    assert not again.file.fragmented
    assert (again.file.moov_first, again.faults) == (True, ())
    assert said(again, written) == said(one, data)
    assert again.picture is not None
    assert again.picture.scan is not None
    assert again.picture.scan.keys is None, "key frames are marked truly"


def test_bytes_that_hold_no_sample_are_left_out() -> None:
    data = clip(options=CODING).read_bytes()
    one = read_clip(BytesSource(data))
    assert one.sound is not None

    pieces = plain_index(replace(one, sound=None))

    assert pieces[1] == CopiedRange(0, *used(one.picture))


def used(part: Picture | None) -> tuple[int, int]:
    """Offset and length of a track's chunks."""
    assert part is not None
    begin = min(part.tables.chunk_offsets)
    return begin, max(part.tables.chunk_ends) - begin


EDITS = {
    "all": (((500, 1024),), "0", 12),
    "later": (((250, -1), (500, 1024)), "1/4", 12),
    "from the third frame on": (((250, 2048),), "-1/12", 6),
    "up to the end": (((0, 1024),), "0", 12),
    "without a list": ((), "1/12", 12),
}


@pytest.mark.parametrize(("rows", "start", "shown"), EDITS.values(), ids=EDITS.keys())
def test_an_edit_list_presents_the_same_under_the_new_index(
    rows: tuple[tuple[int, int], ...], start: str, shown: int
) -> None:
    data = clip(options=f"{CODING} -movie_timescale 1000", sound=None).read_bytes()
    one = read_clip(BytesSource(data))
    assert one.picture is not None
    track = replace(one.picture.track, edits=edits(*rows))

    written = put_together(data, plain_index(replace(one, picture=replace(one.picture, track=track))))
    again = read_clip(BytesSource(written)).picture

    assert again is not None
    assert again.times is not None
    assert (again.times.start_seconds, again.times.shown) == (Fraction(start), shown)


def shifted(video: Picture, shift: int) -> Picture:
    tables = replace(video.tables, shifts=Runs(array("I", [48]), array("i", [shift])))
    return replace(video, tables=tables, track=replace(video.track, tables=tables, coding=b"entry"))


def marked_wrongly(video: Picture) -> Picture:
    assert video.scan is not None
    return replace(video, scan=replace(video.scan, keys=(1, 25)), track=replace(video.track, coding=b"entry"))


BEHIND = picture(edits=edits((1500, 6144)), coding=b"entry")
PLAIN = picture(coding=b"entry")
AUDIO = sound(coding=b"entry")
NEEDS: dict[str, tuple[Clip, bool]] = {
    "in one piece": (clip_of(PLAIN, AUDIO), False),
    "in one piece, shown before it is decoded": (clip_of(shifted(PLAIN, -512), AUDIO), False),
    "in one piece, frames hidden": (clip_of(BEHIND, AUDIO), False),
    "in one piece, wrongly marked": (clip_of(marked_wrongly(PLAIN), AUDIO), False),
    "in one piece, wrongly marked and hidden": (clip_of(marked_wrongly(BEHIND), AUDIO), True),
    "fragments": (clip_of(PLAIN, AUDIO, fragmented=True), True),
    "fragments, shown after they are decoded": (clip_of(shifted(PLAIN, 512), AUDIO, fragmented=True), True),
    "fragments, shown before they are decoded": (clip_of(shifted(PLAIN, -512), AUDIO, fragmented=True), True),
    "fragments, frames hidden": (clip_of(BEHIND, AUDIO, fragmented=True), True),
    "fragments whose coding is not known": (
        clip_of(picture(edits=edits((1500, 6144))), AUDIO, fragmented=True),
        False,
    ),
    "fragments of two codings": (
        clip_of(picture(edits=edits((1500, 6144)), coding=b"entry", entries=2), AUDIO, fragmented=True),
        False,
    ),
    "fragments in another file": (
        clip_of(picture(edits=edits((1500, 6144)), coding=b"entry", external=True), AUDIO, fragmented=True),
        False,
    ),
    "fragments with audio in parts": (
        clip_of(BEHIND, sound(coding=b"entry", edits=edits((500, 1024), (500, 44100))), fragmented=True),
        False,
    ),
    "fragments with damaged audio": (
        clip_of(BEHIND, sound(coding=b"entry", faults=("mp4_bad_table",)), fragmented=True),
        False,
    ),
    "no tracks": (clip_of(None, None, fragmented=True), False),
}


@pytest.mark.parametrize(("one", "expected"), NEEDS.values(), ids=NEEDS.keys())
def test_files_that_ffmpeg_misreads_need_another_index(one: Clip, expected: bool) -> None:
    assert needs_plain_index(one) is expected


@pytest.mark.parametrize(("fragmented", "expected"), [(True, 0), (False, 1)])
def test_under_an_index_of_its_own_a_clip_has_one_track_of_a_kind(fragmented: bool, expected: int) -> None:
    other = [replace(PLAIN.track, id=8), replace(AUDIO.track, id=9)]
    one = clip_of(PLAIN, AUDIO, fragmented=fragmented)
    movie = replace(one.file.movie, tracks=(*other, *one.file.movie.tracks))

    found = streams_of(replace(one, file=replace(one.file, movie=movie)))

    assert found == Streams(expected, expected, open_start=False)
