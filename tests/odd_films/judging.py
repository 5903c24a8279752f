"""Compares a film with what was generated; the docstring of `truth` says where two answers are taken."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, product

from tests.odd_films import sync_marks
from tests.odd_films.drawing import Shape, area, bounds, corners_are_right, read
from tests.odd_films.judging_audio import audio_problems
from tests.odd_films.judging_times import Placed, placed, time_problems
from tests.odd_films.movie import UPRIGHT, VIDEO, read_movie
from tests.odd_films.truth import Truth, shown_frames
from tests.odd_films.watching import Seen, Watched

LENGTH_SLACK_SECONDS = Fraction(20, 1000)
SHAPE_SHARE = 0.01
EDGE_PIXELS = 2.5
WHOLE = (0.0, 0.0, 1.0, 1.0)
# Of frames that no clip should show.
PLAIN = Shape(UPRIGHT, Fraction(5, 3))


@dataclass(frozen=True)
class Made:
    """A film and how it came about: which of its clips were encoded anew."""

    watched: Watched
    data: bytes
    is_mp4: bool
    encoded: Collection[int]

    @property
    def end(self) -> Fraction:
        """When the last frame ends: of an MP4 by its own tables, as FFmpeg does not always tell."""
        if not self.is_mp4:
            return self.watched.end
        movie = read_movie(self.data)
        (track,) = (track for track in movie.tracks if track.handler == VIDEO)
        return list(shown_frames(track, movie.timescale))[-1].end


def problems(film: Made, truths: Sequence[Truth]) -> list[str]:
    """What is wrong with a film of these clips, in sentences; none: it is right."""
    found = [f"FFmpeg complains: {line}" for line in film.watched.complaints[:2]]
    if film.is_mp4:
        found += _mark_problems(film.data)
    shapes = {truth.clip: truth.shapes for truth in truths}
    numbers = [read_frame(seen, shapes) for seen in film.watched.frames]
    unread = [n for n, number in enumerate(numbers) if number is None]
    if unread:
        return [*found, f"frames {unread[:6]} of the film cannot be read"]
    groups = _groups(film.watched, [number for number in numbers if number is not None])
    if [clip for clip, _ in groups] != [truth.clip for truth in truths]:
        order = [clip for clip, _ in groups]
        return [*found, f"clips {order} are shown, wanted {[truth.clip for truth in truths]}"]
    rounded = film.watched.usual_seconds
    parts = [
        placed(frames, truth, rounded if place in film.encoded else Fraction(0))
        for place, ((_, frames), truth) in enumerate(zip(groups, truths, strict=True))
    ]
    return [
        *found,
        *_clip_problems(film, parts),
        *_length_problems(film, parts),
        *audio_problems(film.watched, parts, film.encoded),
    ]


def _mark_problems(data: bytes) -> Iterator[str]:
    wrong = sync_marks.wrong_marks(data)
    if wrong:
        yield f"samples {wrong[:6]} are marked as places to begin at and are none"
    if sync_marks.missing_first_mark(data):
        yield "the first frame is not marked as a place to begin at"


def read_frame(seen: Seen, shapes: dict[int, tuple[Shape, ...]]) -> tuple[int, int] | None:
    """Clip and frame; a frame of a known clip is taken only in a shape that this clip may have.

    A mirrored frame may look like another one but for its corners. Those in the wrong place are taken where nothing
    else can be read: the frame's shape is wrong then, which is said of its clip.
    """
    distinct = {shape: None for several in shapes.values() for shape in several}
    readings = list(_readings(seen, [*distinct, PLAIN]))
    fitting = [one for one in readings if one.number[0] in shapes and one.shape in shapes[one.number[0]]]
    stray = [one for one in readings if one.number[0] not in shapes and one.upright]
    best = [*(one for one in fitting if one.upright), *stray, *fitting]
    return best[0].number if best else None


@dataclass(frozen=True)
class _Reading:
    """Clip and frame as they are read in one shape; `upright`: its corners are where they belong."""

    number: tuple[int, int]
    shape: Shape
    upright: bool


def _readings(seen: Seen, distinct: Iterable[Shape]) -> Iterator[_Reading]:
    for shape, as_wanted in product(distinct, (True, False)):
        within = area(shape, seen.image.aspect) if as_wanted else WHOLE
        number = read(seen.image, shape, within)
        if number:
            yield _Reading(number, shape, corners_are_right(seen.image, shape, within))


def _groups(film: Watched, numbers: Sequence[tuple[int, int]]) -> list[tuple[int, list[tuple[int, Seen]]]]:
    """By clip, one after the other: frame numbers as they are shown."""
    together = zip(numbers, film.frames, strict=True)
    return [
        (clip, [(number, seen) for (_, number), seen in own]) for clip, own in groupby(together, lambda one: one[0][0])
    ]


def _clip_problems(film: Made, parts: Sequence[Placed]) -> Iterator[str]:
    for place, part in enumerate(parts):
        next_begin = parts[place + 1].at if place + 1 < len(parts) else film.end
        is_encoded = place in film.encoded
        for problem in (*time_problems(part, next_begin, is_encoded), *shape_problems(part, is_encoded)):
            yield f"clip {place + 1}: {problem}"


def shape_problems(part: Placed, is_encoded: bool) -> Iterator[str]:
    """The frame's edges lie where its shape puts them; of copies, at the edges of the film."""
    for _, seen in (part.frames[0], part.frames[len(part.frames) // 2]):
        answers = [_shape_problem(seen, shape, is_encoded) for shape in part.truth.shapes]
        if all(answers):
            yield str(answers[0])
            return


def _shape_problem(seen: Seen, shape: Shape, is_encoded: bool) -> str | None:
    image = seen.image
    share = float(shape.aspect / image.aspect)
    if not is_encoded and abs(share - 1) > SHAPE_SHARE:
        return f"is shown {float(image.aspect):.3f} wide, generated {float(shape.aspect):.3f}"
    wanted, found = area(shape, image.aspect), bounds(image)
    sides = (image.width, image.height, image.width, image.height)
    off = max(abs(a - b) * side for a, b, side in zip(wanted, found, sides, strict=True))
    if off > EDGE_PIXELS + SHAPE_SHARE * max(image.width, image.height):
        return f"lies at {_rounded(found)} of the film, its shape wants {_rounded(wanted)}"
    if not corners_are_right(image, shape, wanted):
        return "has its corners in other places"
    return None


def _rounded(box: Sequence[float]) -> list[float]:
    return [round(side, 3) for side in box]


def _length_problems(film: Made, parts: Sequence[Placed]) -> Iterator[str]:
    """The film lasts as long as its clips, within half a frame and 20 ms in all."""
    wanted = sum((part.truth.end - part.begin for part in parts), Fraction(0))
    slack = sum((part.truth.slack + part.truth.end_slack for part in parts), Fraction(0))
    half_a_frame = film.watched.usual_seconds / 2
    found = film.end - film.watched.frames[0].begin
    if abs(found - wanted) > half_a_frame + LENGTH_SLACK_SECONDS + slack:
        yield f"the film lasts {float(found):.3f} s, its clips {float(wanted):.3f} s"
