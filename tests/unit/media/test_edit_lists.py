"""Edit lists as ISO 14496-12, 8.6.6 has them: which part of a track is presented, and when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import pytest

from shared.media.mp4.movie import PICTURE, Edit, Track
from shared.media.mp4.tables import Runs
from shared.media.presentation import Part, Span, plain_edits, presented_parts, presented_span
from tests.unit.media.built import NORMAL, one_by_one, runs, tables_of, track_of

# Two units of the track are one of the movie's; the track lasts two seconds.
TRACK_UNITS, MOVIE_UNITS = 1200, 600
FRAMES = runs((48, 50))


@dataclass(frozen=True)
class Row:
    """An edit list (rows of length, start and rate) and what it presents. `parts` are begin, end and second."""

    rows: tuple[tuple[int, ...], ...]
    span: tuple[int | None, int | None, str] | None
    parts: tuple[tuple[int, int, str], ...] | None
    plain: tuple[tuple[int, int], ...] | None = None


ROWS = {
    "no list": Row((), (None, None, "0"), ()),
    "all of it": Row(((1200, 0),), (0, 2400, "0"), ((0, 2400, "0"),)),
    "a part": Row(((600, 100),), (100, 1300, "0"), ((100, 1300, "0"),)),
    "beyond its end": Row(((2000, 0),), (0, 4000, "0"), ((0, 4000, "0"),)),
    "later": Row(((300, -1), (900, 0)), (0, 1800, "1/2"), ((0, 1800, "1/2"),)),
    "later, by two entries": Row(
        ((300, -1), (100, -1), (900, 0)), (0, 1800, "2/3"), ((0, 1800, "2/3"),), ((400, -1), (900, 0))
    ),
    "later by nothing": Row(((0, -1), (900, 0)), (0, 1800, "0"), ((0, 1800, "0"),), ((900, 0),)),
    "up to the end": Row(((0, 100),), (100, None, "0"), None, ((1150, 100),)),
    "later, up to the end": Row(((300, -1), (0, 100)), (100, None, "1/2"), None, ((300, -1), (1150, 100))),
    "up to the end from behind it": Row(((0, 2500),), (2500, None, "0"), None),
    "parts that follow": Row(((500, 0), (600, 1000)), (0, 2200, "0"), ((0, 2200, "0"),), ((1100, 0),)),
    "three parts that follow": Row(((200, 0), (200, 400), (200, 800)), (0, 1200, "0"), ((0, 1200, "0"),), ((600, 0),)),
    "parts that follow but for a unit": Row(((500, 0), (600, 1002)), (0, 2200, "0"), ((0, 2200, "0"),), ((1100, 0),)),
    "parts that do not follow": Row(((500, 0), (600, 1003)), None, ((0, 1000, "0"), (1003, 2203, "5/6"))),
    "parts that overlap": Row(((500, 0), (600, 997)), None, ((0, 1000, "0"), (997, 2197, "5/6"))),
    "one part twice": Row(((600, 0), (600, 0)), None, ((0, 1200, "0"), (0, 1200, "1"))),
    "parts the other way round": Row(((600, 1200), (600, 0)), None, ((1200, 2400, "0"), (0, 1200, "1"))),
    "a gap between parts": Row(((600, 0), (300, -1), (600, 1200)), None, ((0, 1200, "0"), (1200, 2400, "3/2"))),
    "nothing at the end": Row(((600, 0), (300, -1)), (0, 1200, "0"), ((0, 1200, "0"),), ((600, 0),)),
    "nothing twice at the end": Row(((600, 0), (300, -1), (0, -1)), (0, 1200, "0"), ((0, 1200, "0"),), ((600, 0),)),
    "nothing at all": Row(((300, -1),), None, ()),
    "a part without length before": Row(((0, 700), (600, 0)), (0, 1200, "0"), ((0, 1200, "0"),), ((600, 0),)),
    "a part without length behind": Row(((600, 0), (0, 1200)), None, None),
    "twice as fast": Row(((600, 0, 2 * NORMAL),), None, None),
    "half as fast, later": Row(((300, -1), (600, 0, NORMAL // 2)), None, None),
    "a frame that dwells": Row(((600, 0, 0),), None, None),
    "a start before the media": Row(((600, -2),), None, None),
    "parts that follow at other speeds": Row(((500, 0), (600, 1000, 2 * NORMAL)), None, None),
}


def track(rows: tuple[tuple[int, ...], ...], deltas: Runs = FRAMES) -> Track:
    edits = tuple(Edit(row[0], row[1], row[2] if len(row) > 2 else NORMAL) for row in rows)
    return track_of(PICTURE, TRACK_UNITS, tables_of(deltas, 100, 0), edits=edits)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_list_presents_one_part(row: Row) -> None:
    begin, end, delay = row.span or (None, None, "0")
    expected = Span(begin, None if end is None else Fraction(end), Fraction(delay)) if row.span else None

    assert presented_span(track(row.rows), MOVIE_UNITS) == expected


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_list_presents_several_parts(row: Row) -> None:
    expected = None if row.parts is None else [Part(one[0], Fraction(one[1]), Fraction(one[2])) for one in row.parts]

    assert presented_parts(track(row.rows), MOVIE_UNITS) == expected


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_list_that_says_it_in_too_many_entries_is_said_in_few(row: Row) -> None:
    found = plain_edits(track(row.rows), MOVIE_UNITS)

    assert found == (None if row.plain is None else [Edit(*one, NORMAL) for one in row.plain])


CHANGED = {what: row for what, row in ROWS.items() if row.plain}


@pytest.mark.parametrize("row", CHANGED.values(), ids=CHANGED.keys())
def test_a_plain_list_presents_the_same_and_stays(row: Row) -> None:
    before = presented_span(track(row.rows), MOVIE_UNITS)

    plain = track(row.plain or ())
    after = presented_span(plain, MOVIE_UNITS)

    assert before is not None
    assert after == replace(before, end=before.end or Fraction(2400))
    assert plain_edits(plain, MOVIE_UNITS) is None


def test_a_fragmented_files_list_may_go_up_to_an_end_it_does_not_know() -> None:
    assert plain_edits(track(((0, 100),)), MOVIE_UNITS, fragmented=True) is None
    assert plain_edits(track(((0, -1), (0, 100))), MOVIE_UNITS, fragmented=True) == [Edit(0, 100, NORMAL)]


@pytest.mark.parametrize(("shifts", "length"), [((0, 100), 1200), ((-50, 0), 1150), ((-100, -50), 1150)])
def test_frames_shown_later_than_decoded_put_off_the_end(shifts: tuple[int, int], length: int) -> None:
    one = track(((0, 100),))
    assert one.tables is not None
    shifted = replace(one, tables=replace(one.tables, shifts=one_by_one(shifts * 24, "i")))

    assert plain_edits(shifted, MOVIE_UNITS) == [Edit(length, 100, NORMAL)]


def test_lengths_in_the_movies_units_are_rounded_up_and_never_end_early() -> None:
    one = track_of(PICTURE, 44100, tables_of(runs((10, 1024)), 100, 0), edits=(Edit(0, 1024, NORMAL),))

    # 9216 ticks are 208.98 ms.
    assert plain_edits(one, 1000) == [Edit(209, 1024, NORMAL)]


def test_a_span_is_counted_exactly_where_the_units_do_not_divide() -> None:
    one = track_of(PICTURE, 44100, tables_of(runs((10, 1024)), 100, 0), edits=(Edit(1, -1, NORMAL), Edit(7, 3, NORMAL)))

    assert presented_span(one, 90) == Span(3, 3 + Fraction(7 * 44100, 90), Fraction(1, 90))


def test_a_track_that_was_not_read_has_no_plain_list() -> None:
    assert plain_edits(track_of(PICTURE, TRACK_UNITS, None, edits=(Edit(0, 0, NORMAL),)), MOVIE_UNITS) is None
