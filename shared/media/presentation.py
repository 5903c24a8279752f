"""What an MP4 presents (ISO 14496-12): which of its tracks, which part of each and when, in which shape.

The one place that decides it. Probes, plans, the splice, what FFmpeg is given to read and what a film is held against
all take it from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from math import atan2, ceil, degrees, hypot

from shared.media.mp4.entries import VisualEntry
from shared.media.mp4.movie import PICTURE, SOUND, Edit, Track

# Of tracks that might be the clip's, one that lasts so much of the longest is no scrap beside it.
LONG_ENOUGH = Fraction(1, 4)
# An edit may begin so far inside a frame and still show it: times in other units are rounded.
ROUNDING_SECONDS = Fraction(1, 1000)
# A clip whose frames begin later than its audio shows its first frame until then. What is this early is cut instead: it
# is hardly more than AAC's priming, 1024 samples, which some containers cannot hide.
HELD_ABOVE_SECONDS = Fraction(1, 40)
# Beyond this a matrix is no quarter turn any more.
ODD_DEGREES = 0.5
_NORMAL_RATE = 0x10000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A track as the choice between several sees it. `still`: a thumbnail, cover or other single image."""

    enabled: bool
    still: bool
    seconds: Fraction


def chosen(candidates: Sequence[Candidate]) -> int | None:
    """The track that is the clip's: no thumbnail, then enabled, then the first of those that last longest.

    A disabled track is as if it were not there (8.3.2), unless there is no other. None without candidates.
    """
    numbers = list(range(len(candidates)))
    for wanted in (lambda one: not one.still, lambda one: one.enabled):
        numbers = [number for number in numbers if wanted(candidates[number])] or numbers
    longest = max((candidates[number].seconds for number in numbers), default=Fraction(0))
    return next((number for number in numbers if candidates[number].seconds >= longest * LONG_ENOUGH), None)


@dataclass(frozen=True, slots=True)
class Streams:
    """The clip's tracks as FFmpeg counts them: among the file's videos without covers, and among its audios.

    `open_start`: whether its first frames may need earlier ones; nobody knows of a file whose index was not read.
    """

    video: int | None = None
    audio: int | None = None
    open_start: bool = True


# Where a file's index says nothing of them.
BY_RULE = Streams()


def presented_streams(tracks: Sequence[Track], video: Track | None, audio: Track | None) -> Streams:
    """`tracks` are the file's, in its order; `video` and `audio` those that are the clip's."""
    chapters = frozenset().union(*(track.chapters for track in tracks))
    videos = [track for track in tracks if track.handler == PICTURE and track.id not in chapters]
    audios = [track for track in tracks if track.handler == SOUND]
    return Streams(_place(videos, video), _place(audios, audio), open_start=False)


def _place(tracks: Sequence[Track], wanted: Track | None) -> int | None:
    return next((number for number, track in enumerate(tracks) if track is wanted), None)


def presented_track(tracks: Sequence[Track], handler: str) -> Track | None:
    """The track of a kind that is the clip's; an empty or unreadable one only where there is no other."""
    named = frozenset().union(*(track.chapters for track in tracks))
    readable = [track for track in tracks if track.handler == handler and track.entry and track.tables]
    filled = [track for track in readable if track.tables and track.tables.sizes.count]
    number = chosen([_candidate(track, named) for track in filled])
    return filled[number] if number is not None else next(iter(readable), None)


def _candidate(track: Track, chapters: frozenset[int]) -> Candidate:
    assert track.tables is not None
    is_still = isinstance(track.entry, VisualEntry) and (track.tables.sizes.count == 1 or track.entry.is_image)
    still = is_still or track.id in chapters or bool(track.thumbnail_of)
    return Candidate(track.enabled, still, Fraction(track.tables.deltas.total, track.timescale))


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a track that an edit list presents (8.6.6), in ticks of its media; `end` is None up to its end.

    It begins `delay_seconds` after the movie. `begin` is None without an edit list: from the first sample on.
    """

    begin: int | None
    end: Fraction | None
    delay_seconds: Fraction


def presented_span(track: Track, movie_timescale: int) -> Span | None:
    """None for a list that shows several parts, or shows one at another speed."""
    if not track.edits:
        return Span(None, None, Fraction(0))
    edits = _simplified(track.edits, Fraction(track.timescale, movie_timescale))
    delay = Fraction(sum(edit.duration for edit in edits if edit.is_empty), movie_timescale)
    shown = [edit for edit in edits if not edit.is_empty]
    if len(shown) != 1 or edits[-1] is not shown[0] or shown[0].rate != _NORMAL_RATE or shown[0].media_time < 0:
        return None
    edit = shown[0]
    # A length of zero means up to the end (8.6.6.3).
    length = Fraction(edit.duration * track.timescale, movie_timescale) if edit.duration else None
    return Span(edit.media_time, edit.media_time + length if length is not None else None, delay)


def _needless_edits(edits: Sequence[Edit]) -> int:
    """How many entries at the end of a list show nothing any more: FFmpeg loses a track's audio over one."""
    behind = 0
    for edit in reversed(edits):
        if not edit.is_empty:
            break
        behind += 1
    return behind if behind < len(edits) else 0


@dataclass(frozen=True, slots=True)
class Part:
    """One of several parts that an edit list presents: ticks of the media, and the second it begins at."""

    begin: int
    end: Fraction
    at_seconds: Fraction


def presented_parts(track: Track, movie_timescale: int) -> list[Part] | None:
    """The parts of a list that shows several; None where one is shown at another speed or has no length."""
    edits = _simplified(track.edits, Fraction(track.timescale, movie_timescale))
    shown = [edit for edit in edits if not edit.is_empty]
    if any(edit.rate != _NORMAL_RATE or edit.media_time < 0 or not edit.duration for edit in shown):
        return None
    begins = accumulate((edit.duration for edit in edits), initial=0)
    return [
        Part(
            begin=edit.media_time,
            end=edit.media_time + Fraction(edit.duration * track.timescale, movie_timescale),
            at_seconds=Fraction(begin, movie_timescale),
        )
        for edit, begin in zip(edits, begins, strict=False)
        if not edit.is_empty
    ]


def asks_for_speed(track: Track) -> bool:
    """Whether an edit list shows a part faster, slower or backwards; 0, which means to dwell, is met by mistake too."""
    return any(not edit.is_empty and edit.rate not in (0, _NORMAL_RATE) for edit in track.edits)


def plain_edits(track: Track, movie_timescale: int, *, fragmented: bool = False) -> list[Edit] | None:
    """What the edit list says in the fewest entries: nothing for a while, then one part of a length that is said.

    FFmpeg loses audio over an empty entry at the end, shows nothing of a part whose length is 0 and misreads parts that
    go on where others end. None for a list that is plain already, or that shows several parts.
    """
    span = presented_span(track, movie_timescale)
    if span is None or span.begin is None or track.tables is None:
        return None
    end = span.end
    if end is None and not fragmented:
        latest = max(track.tables.shifts.values, default=0) if track.tables.shifts else 0
        end = Fraction(track.tables.deltas.total + max(latest, 0))
    length = ceil(max(end - span.begin, Fraction(0)) * movie_timescale / track.timescale) if end is not None else 0
    delay = int(span.delay_seconds * movie_timescale)
    plain = [*([Edit(delay, -1, _NORMAL_RATE)] if delay else []), Edit(length, span.begin, _NORMAL_RATE)]
    same = len(plain) == len(track.edits) and (length == 0) == (track.edits[-1].duration == 0)
    return None if same else plain


def _simplified(edits: Sequence[Edit], ticks_a_unit: Fraction) -> list[Edit]:
    """Without entries that show nothing, and with those as one that show what follows one another in the media."""
    kept: list[Edit] = []
    for edit in edits[: len(edits) - _needless_edits(edits)]:
        if not edit.duration and len(edits) > 1 and edit is not edits[-1]:
            continue
        last = kept[-1] if kept else None
        if last is not None and _follows(last, edit, ticks_a_unit):
            kept[-1] = replace(last, duration=last.duration + edit.duration)
        else:
            kept.append(edit)
    return kept


def _follows(one: Edit, later: Edit, ticks_a_unit: Fraction) -> bool:
    """Whether the later entry goes on where the first ends, but for rounding to the movie's units."""
    if one.is_empty or later.is_empty or one.rate != later.rate or not one.duration or not later.duration:
        return False
    return abs(one.media_time + one.duration * ticks_a_unit - later.media_time) <= max(ticks_a_unit, Fraction(1))


@dataclass(frozen=True, slots=True)
class Orientation:
    """How frames are turned: mirrored left to right if so, then turned clockwise; `stretch` is their width's scale
    by their height's. `odd` is the matrix of a track that is turned otherwise than by quarters, else empty.
    """

    degrees: int
    mirrored: bool
    stretch: Fraction
    odd: bytes = b""


def orientation(matrix: bytes) -> Orientation:
    """Of a track header's matrix (8.3.2). Where it moves the whole track to is nothing that players show."""
    a, b, _, c, d = (int.from_bytes(matrix[at : at + 4], "big", signed=True) for at in range(0, 20, 4))
    mirrored = a * d - b * c < 0
    angle = degrees(atan2(-b, -a) if mirrored else atan2(b, a))
    across, down = hypot(a, b), hypot(c, d)
    stretch = Fraction(across / down).limit_denominator(1000) if across and down else Fraction(1)
    is_odd = abs(angle - round(angle / 90) * 90) > ODD_DEGREES
    turned = Orientation(round(angle / 90) % 4 * 90, mirrored, stretch or Fraction(1))
    return replace(turned, odd=matrix) if is_odd else turned


def matrix_of(turned: Orientation, size: tuple[int, int]) -> bytes:
    """The matrix that turns frames of this size, in pixels as they are before, and moves them back to the corner."""
    if turned.odd:
        return turned.odd
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turned.degrees]
    flip = -1 if turned.mirrored else 1
    a, b, c, d = flip * cosine, flip * sine, -sine, cosine
    across, down = (min(0, a * size[0]) + min(0, c * size[1]), min(0, b * size[0]) + min(0, d * size[1]))
    rows = (a << 16, b << 16, 0, c << 16, d << 16, 0, -across << 16, -down << 16, 1 << 30)
    return b"".join(one.to_bytes(4, "big", signed=True) for one in rows)


@dataclass(frozen=True, slots=True)
class Shape:
    """In which shape a track's frames are shown: coded size in pixels, a pixel's width by its height, the clean
    aperture as its box has it, and how they are turned.
    """

    coded: tuple[int, int]
    pixel_aspect: Fraction
    aperture: bytes
    orientation: Orientation


def presented_shape(track: Track, entry: VisualEntry, coded: tuple[int, int], of_codec: Fraction | None) -> Shape:
    """`coded`: the frame's size as the codec says; `of_codec`: the pixel aspect it says, if any.

    The container goes first: `pasp`, else the size in the track's header, else the codec.
    """
    turned = orientation(track.matrix)
    aspect = entry.pixel_aspect or _aspect_of_header(track, coded, of_codec or Fraction(1)) or of_codec or Fraction(1)
    return Shape(coded, aspect * turned.stretch, entry.aperture, turned)


def _aspect_of_header(track: Track, coded: tuple[int, int], of_codec: Fraction) -> Fraction | None:
    """None where it says no more than the frame's own size, upright or turned, rounded to whole pixels."""
    width, height = coded
    if not (track.width and track.height and width and height):
        return None
    own = (Fraction(width), Fraction(height))
    told = (own, own[::-1], (width * of_codec, own[1]), (own[0], height / of_codec))
    if any(abs(track.width - one) <= 1 and abs(track.height - other) <= 1 for one, other in told):
        return None
    return Fraction(track.width * height, track.height * width)
