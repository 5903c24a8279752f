"""Is the film its clips? Its index is read back as a stranger reads it and held against the clips', sample by sample.

Bytes that the store copies were decoded when their clips came in, and are pinned by ETags: where every sample of the
film is the same bytes at the right time, under parameter sets that each clip began with, it decodes as its clips do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, count

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
        expected = sum(clip.picture.tables.sizes.count for clip in self._clips if clip.picture)
        if expected != len(shown):
            yield f"it has {len(shown)} pictures where its clips have {expected}"
            return
        first = min(shown, default=0)
        keys = set(tables.sync) if tables.sync is not None else None
        film = zip(_samples(tables), shown, count(1), strict=False)
        for number, clip in enumerate(self._clips):
            yield from self._clip_pictures(number, clip, film, first, timescale, keys)

    def _clip_pictures(
        self, number: int, clip: Clip, film: Iterator[tuple[Place, int, int]], first: int, timescale: int,
        keys: set[int] | None,
    ) -> Iterator[str]:  # fmt: skip
        """A clip's pictures beside the next ones of the film; times are compared as whole numbers."""
        picture = clip.picture
        assert isinstance(picture, Picture)
        assert picture.times is not None
        own_keys = set(picture.tables.sync) if picture.tables.sync is not None else None
        own_first, own_scale = picture.times.first_shown, picture.track.timescale
        begin = first + self._begins[number] * timescale
        if begin.denominator != 1:
            yield f"clip {number + 1} begins between two units of its time"
            return
        own = zip(_samples(picture.tables), shown_at(picture.tables), count(1), strict=False)
        for ((offset, size), own_shown, own_at), (place, shown, at) in zip(own, film, strict=False):
            if not self._is_there(place, (number, offset), size):
                yield f"picture {at} is not the one of clip {number + 1}"
            elif (shown - begin.numerator) * own_scale != (own_shown - own_first) * timescale:
                yield f"picture {at} is shown at the wrong time"
            elif (keys is None or at in keys) != (own_keys is None or own_at in own_keys):
                yield f"picture {at} is wrongly marked as one to seek to"

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
        even = {value for samples, value in sound.tables.deltas if samples} == {AAC_FRAME_SAMPLES}
        problems, follows, made_bytes = [] if even else ["its sound is off its grid"], dict[int, int](), 0
        for at, (offset, size) in enumerate(_samples(sound.tables)):
            number, own = self._source(offset) or (-1, 0)
            if number < 0:
                made_bytes += size
                continue
            place, length = packets[number].get(own, (-1, 0))
            if length != size or follows.get(number, place) != place:
                problems.append(f"the sound of clip {number + 1} is not whole")
            follows[number] = place + 1
            if number not in heard:
                film = times.start_seconds + Fraction(at * AAC_FRAME_SAMPLES - times.priming, times.timescale)
                heard[number] = float(film - self._begins[number] - _own_moment(self._clips[number], place))
        if len(self._copied) == len(self._clips) and made_bytes != self._made_bytes:
            problems.append("it has another silence than was made for it")
        problems += [
            f"the sound of clip {number + 1} is {offset * 1000:.0f} ms off its picture"
            for number, offset in heard.items()
            if abs(offset) > LARGEST_OFFSET_SECONDS
        ]
        return [heard.get(number) for number in range(len(self._clips))], problems


def _packets(clip: Clip) -> dict[int, Place]:
    """By offset in the clip's file, each packet's place among the others and its bytes."""
    if not has_sound(clip) or clip.sound is None:
        return {}
    return {offset: (at, size) for at, (offset, size) in enumerate(_samples(clip.sound.tables))}


def _own_moment(clip: Clip, packet: int) -> Fraction:
    """When a packet is heard in the clip itself, after the clip's first picture."""
    if clip.sound is None or clip.sound.times is None or clip.picture is None or clip.picture.times is None:
        return Fraction(0)
    times = clip.sound.times
    begin = times.start_seconds - clip.picture.times.start_seconds
    return begin + Fraction(packet * AAC_FRAME_SAMPLES - times.priming, times.timescale)


def _samples(tables: SampleTables) -> Iterator[Place]:
    """Offset and bytes of each sample."""
    sizes = iter(tables.sizes.expanded())
    for offset, samples in zip(tables.chunk_offsets, tables.chunk_samples, strict=True):
        at = offset
        for _ in range(samples):
            size = next(sizes)
            yield at, size
            at += size
