"""Is the film its clips? Its index is read back as a stranger reads it and held against the clips', sample by sample.

Bytes that the store copies were decoded when their clips came in, and are pinned by ETags: where every sample of the
film is the same bytes at the right time, under parameter sets that each clip began with, it decodes as its clips do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from shared.domain.errors import BadMedia
from shared.media.clip import Clip, Picture
from shared.media.mp4.movie import PICTURE, SOUND, Movie, Track
from shared.media.mp4.reading import read_mp4
from shared.media.mp4.tables import SampleTables
from shared.media.splice.film import CopiedRange, Splice
from shared.media.splice.traits import has_sound
from shared.media.timeline import AAC_FRAME_SAMPLES, has_times, picture_times, shown_at, sound_times

# Half a packet of AAC at 44.1 kHz, and rounding to the film's units.
LARGEST_OFFSET_SECONDS = 0.012
MOST_PROBLEMS = 5
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ProvedJoin:
    """Where a clip begins in the film, and how much later than its picture its sound is; None for a silent clip."""

    at_seconds: float
    sound_offset_seconds: float | None


@dataclass(frozen=True, slots=True)
class Proof:
    """`problems` is empty for a film that is its clips. `drift_seconds`: how far sound and picture end apart."""

    pictures: int
    seconds: float
    drift_seconds: float
    joins: tuple[ProvedJoin, ...]
    problems: tuple[str, ...]


def prove(film: Splice, clips: Sequence[Clip]) -> Proof:
    """Never raises for a wrong film: `problems` says what is wrong with it."""
    try:
        movie = read_mp4(_Head(film)).movie
        tracks = {track.handler: track for track in movie.tracks}
        return _Comparison(film, clips, movie).of(tracks[PICTURE], tracks.get(SOUND))
    except (BadMedia, KeyError) as error:
        return _unreadable(str(error))


def _unreadable(why: str) -> Proof:
    return Proof(0, 0.0, 0.0, (), (f"its index cannot be read: {why}",))


class _Head:
    """What is read of the film: all that stands before its media."""

    def __init__(self, film: Splice) -> None:
        self._head, self.size_bytes = film.head, film.size_bytes

    def read(self, offset: int, length: int) -> bytes:
        return self._head[offset : offset + length]


class _Comparison:
    """The film beside its clips. Times of the film are counted in its own units."""

    def __init__(self, film: Splice, clips: Sequence[Clip], movie: Movie) -> None:
        self._clips, self._movie = clips, movie
        self._pieces = film.pieces
        self._copied = {piece.clip for piece in film.pieces if isinstance(piece, CopiedRange)}
        self._made_bytes = sum(piece.length for piece in film.pieces if not isinstance(piece, CopiedRange))
        self._starts = list(accumulate((piece.length for piece in film.pieces), initial=len(film.head)))
        seconds = [clip.picture.times.seconds for clip in clips if clip.picture and clip.picture.times]
        self._begins = list(accumulate(seconds, initial=Fraction(0)))

    def of(self, picture: Track, sound: Track | None) -> Proof:
        both = (picture, sound) if sound else (picture,)
        if picture.tables is None or not all(track.tables and has_times(track.tables) for track in both):
            return _unreadable("its tables do not fit together")
        times = picture_times(picture, picture.tables, self._movie.timescale)
        offsets, wrong = self._sounds(sound)
        end = sound_times(sound, sound.tables, self._movie.timescale).end_seconds if sound and sound.tables else None
        problems = [*self._pictures(picture.tables, picture.timescale), *wrong]
        if any(track.entries != 1 or (track.tables and track.tables.descriptions_used != {1}) for track in both):
            problems.append("it names decoder configurations that are not there")
        if times.start_seconds != 0:
            problems.append(f"its first picture is shown at {float(times.start_seconds):.3f} s")
        return Proof(
            pictures=times.pictures,
            seconds=float(times.seconds),
            drift_seconds=float(abs(end - times.seconds)) if end is not None else 0.0,
            joins=tuple(ProvedJoin(float(begin), offset) for begin, offset in zip(self._begins, offsets, strict=False)),
            problems=tuple(problems[:MOST_PROBLEMS]),
        )

    def _pictures(self, tables: SampleTables, timescale: int) -> Iterator[str]:
        shown = list(shown_at(tables))
        expected = [sample for number in range(len(self._clips)) for sample in self._expected(number, timescale)]
        if len(expected) != len(shown):
            yield f"it has {len(shown)} pictures where its clips have {len(expected)}"
            return
        first = min(shown, default=0)
        sync = set(tables.sync) if tables.sync is not None else None
        for at, (place, want) in enumerate(zip(_samples(tables), expected, strict=True)):
            number, offset, size, moment, is_key = want
            if not self._is_there(place, (number, offset), size):
                yield f"picture {at + 1} is not the one of clip {number + 1}"
            elif shown[at] - first != moment:
                yield f"picture {at + 1} is shown at the wrong time"
            elif (sync is None or at + 1 in sync) != is_key:
                yield f"picture {at + 1} is wrongly marked as one to seek to"

    def _expected(self, number: int, timescale: int) -> Iterator[tuple[int, int, int, Fraction, bool]]:
        """Of each picture of a clip: clip, offset, bytes, when it is shown in the film, whether it is a key picture."""
        picture = self._clips[number].picture
        assert isinstance(picture, Picture)
        assert picture.times is not None
        sync = set(picture.tables.sync) if picture.tables.sync is not None else None
        for at, ((offset, size), shown) in enumerate(
            zip(_samples(picture.tables), shown_at(picture.tables), strict=True)
        ):
            own = Fraction(shown - picture.times.first_shown, picture.track.timescale)
            moment = (self._begins[number] + own) * timescale
            yield number, offset, size, moment, sync is None or at + 1 in sync

    def _is_there(self, place: Place, source: Place, size: int) -> bool:
        """Whether these bytes of the film are those of a clip; of one that was rewritten, whether they were made."""
        offset, length = place
        found = self._source(offset)
        if source[0] not in self._copied:
            return found is None
        return found == source and length == size

    def _source(self, offset: int) -> Place | None:
        """Clip and offset in its file that a byte of the film is copied from; None for bytes that were made."""
        number = bisect_right(self._starts, offset) - 1
        piece = self._pieces[number] if 0 <= number < len(self._pieces) else None
        if not isinstance(piece, CopiedRange):
            return None
        return piece.clip, piece.offset + offset - self._starts[number]

    def _sounds(self, sound: Track | None) -> tuple[list[float | None], list[str]]:
        """By clip, how much later its sound is than beside its picture in its own file; and what is wrong."""
        heard: dict[int, float] = {}
        if sound is None or sound.tables is None:
            missing = any(has_sound(clip) for clip in self._clips)
            return [None] * len(self._clips), ["the sound is missing"] if missing else []
        times = sound_times(sound, sound.tables, self._movie.timescale)
        packets = [_packets(clip) for clip in self._clips]
        even = {value for count, value in sound.tables.deltas if count} == {AAC_FRAME_SAMPLES}
        problems, follows, made_bytes = [] if even else ["its sound is off its grid"], dict[int, int](), 0
        for at, (offset, size) in enumerate(_samples(sound.tables)):
            number, own = self._source(offset) or (-1, 0)
            if number < 0:
                made_bytes += size
                continue
            place, length, moment = packets[number].get(own, (-1, 0, Fraction(0)))
            if length != size or follows.get(number, place) != place:
                problems.append(f"the sound of clip {number + 1} is not whole")
            follows[number] = place + 1
            film = times.start_seconds + Fraction(at * AAC_FRAME_SAMPLES - times.priming, times.timescale)
            heard.setdefault(number, float(film - self._begins[number] - moment))
        if len(self._copied) == len(self._clips) and made_bytes != self._made_bytes:
            problems.append("it has another silence than was made for it")
        problems += [
            f"the sound of clip {number + 1} is {offset * 1000:.0f} ms off its picture"
            for number, offset in heard.items()
            if abs(offset) > LARGEST_OFFSET_SECONDS
        ]
        return [heard.get(number) for number in range(len(self._clips))], problems


def _packets(clip: Clip) -> dict[int, tuple[int, int, Fraction]]:
    """By offset in the clip's file: place among its packets, bytes, and when it is heard after the first picture."""
    if not has_sound(clip) or not clip.sound or not clip.sound.times or not clip.picture or not clip.picture.times:
        return {}
    times = clip.sound.times
    begin = times.start_seconds - clip.picture.times.start_seconds
    return {
        offset: (at, size, begin + Fraction(at * AAC_FRAME_SAMPLES - times.priming, times.timescale))
        for at, (offset, size) in enumerate(_samples(clip.sound.tables))
    }


def _samples(tables: SampleTables) -> Iterator[Place]:
    """Offset and bytes of each sample."""
    sizes = iter(tables.sizes.expanded())
    for offset, count in zip(tables.chunk_offsets, tables.chunk_samples, strict=True):
        at = offset
        for _ in range(count):
            size = next(sizes)
            yield at, size
            at += size
