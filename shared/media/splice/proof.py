"""Is the film its clips? Its index is read back as a stranger reads it and held against the clips', sample by sample.

Bytes that the store copies were decoded when their clips came in, and are pinned by ETags: where every sample of the
film is the same bytes at the right time, under parameter sets that each clip began with, it decodes as its clips do.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, islice, takewhile

from shared.domain.errors import BadMedia
from shared.media.clip import Clip, Picture, Sound
from shared.media.mp4.entries import AudioEntry
from shared.media.mp4.movie import PICTURE, SOUND, Movie, Track
from shared.media.mp4.reading import read_mp4
from shared.media.mp4.tables import SampleTables
from shared.media.splice.film import CopiedRange, Splice
from shared.media.splice.traits import has_sound, pictures_alone
from shared.media.timeline import AAC_FRAME_SAMPLES, has_times, picture_times, shown_at, sound_times

# Half a packet of AAC at 44.1 kHz, and rounding to the film's units; of a lower rate, half of its longer packets.
LARGEST_OFFSET_SECONDS = 0.012
ROUNDING_SECONDS = 0.0005
MOST_PROBLEMS = 5


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


def prove(film: Splice, clips: Sequence[Clip], sound: Clip | None = None) -> Proof:
    """`sound`: the file whose sound is the film's instead of the clips' own.

    Never raises for a wrong film: `problems` says what is wrong with it.
    """
    clips = pictures_alone(clips) if sound is not None else clips
    try:
        movie = read_mp4(_Head(film)).movie
        tracks = {track.handler: track for track in movie.tracks}
        return _Comparison(film, clips, movie, sound.sound if sound else None).of(tracks[PICTURE], tracks.get(SOUND))
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

    def __init__(self, film: Splice, clips: Sequence[Clip], movie: Movie, whole: Sound | None) -> None:
        self._clips, self._movie, self._whole = clips, movie, whole
        self._pieces = film.pieces
        self._starts = list(accumulate((piece.length for piece in film.pieces), initial=len(film.head)))
        # How far behind its place in its own file everything of a clip lies in the film.
        self._shifts = {
            piece.clip: start - piece.offset
            for piece, start in zip(film.pieces, self._starts, strict=False)
            if isinstance(piece, CopiedRange) and piece.clip < len(clips)
        }
        self._made_bytes = sum(piece.length for piece in film.pieces if not isinstance(piece, CopiedRange))
        seconds = [clip.picture.times.seconds for clip in clips if clip.picture and clip.picture.times]
        self._begins = list(accumulate(seconds, initial=Fraction(0)))

    def of(self, picture: Track, sound: Track | None) -> Proof:
        both = (picture, sound) if sound else (picture,)
        if picture.tables is None or not all(track.tables and has_times(track.tables) for track in both):
            return _unreadable("its tables do not fit together")
        times = picture_times(picture, picture.tables, self._movie.timescale)
        offsets, wrong = self._sounds(sound) if self._whole is None else self._one_sound(sound, self._whole)
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
        film = _Samples.of(tables)
        expected = sum(clip.picture.tables.sizes.count for clip in self._clips if clip.picture)
        if expected != len(film.places):
            yield f"it has {len(film.places)} pictures where its clips have {expected}"
            return
        shown, at = list(shown_at(tables)), 0
        first, keys = min(shown, default=0), _keys(tables, 0, len(shown))
        for number, clip in enumerate(self._clips):
            assert isinstance(clip.picture, Picture)
            count = clip.picture.tables.sizes.count
            if not self._are_there(number, film.part(at, count), _Samples.of(clip.picture.tables)):
                yield f"its pictures {at + 1} to {at + count} are not those of clip {number + 1}"
            begin = first + round(self._begins[number] * timescale)
            if not _is_in_time(clip.picture, shown[at : at + count], begin, timescale):
                yield f"the pictures of clip {number + 1} are shown at the wrong time"
            if _keys(clip.picture.tables, at, count) != {key for key in keys if at < key <= at + count}:
                yield f"the pictures of clip {number + 1} are wrongly marked as ones to seek to"
            at += count

    def _are_there(self, number: int, film: _Samples, own: _Samples) -> bool:
        """Whether these are a clip's bytes; of a clip that was rewritten, whether they were made."""
        if number not in self._shifts:
            return all(self._is_made(place) for place in film.places)
        shift = self._shifts[number]
        return film.sizes == own.sizes and film.places == [place + shift for place in own.places]

    def _is_made(self, place: int) -> bool:
        """Whether a byte of the film stands in no clip's file."""
        number = bisect_right(self._starts, place) - 1
        return 0 <= number < len(self._pieces) and not isinstance(self._pieces[number], CopiedRange)

    def _sounds(self, sound: Track | None) -> tuple[list[float | None], list[str]]:
        """By clip, how much later its sound is than beside its picture in its own file; and what is wrong."""
        heard: dict[int, float] = {}
        if sound is None or sound.tables is None:
            missing = any(has_sound(clip) for clip in self._clips)
            return [None] * len(self._clips), ["the sound is missing"] if missing else []
        times = sound_times(sound, sound.tables, self._movie.timescale)
        film, at, silent_bytes = _Samples.of(sound.tables), 0, 0
        problems = [] if _is_even(sound.tables) else ["its sound is off its grid"]
        for number, clip in enumerate(self._clips):
            if clip.sound is None or not has_sound(clip) or number not in self._shifts:
                continue
            passed = self._made_from(film, at)
            silent_bytes, at = silent_bytes + sum(film.sizes[at : at + passed]), at + passed
            own, shift = _Samples.of(clip.sound.tables), self._shifts[number]
            unheard = own.before(film.places[at] - shift) if at < len(film.places) else 0
            skipped = Fraction(unheard * AAC_FRAME_SAMPLES, times.timescale)
            same = film.alike(at, own.part(unheard, len(own.places)), shift)
            # In front only what would be heard before its picture may be left out.
            if not same or (skipped and _own_moment(clip) + skipped > 0):
                problems.append(f"the sound of clip {number + 1} is missing")
                continue
            moment = times.start_seconds + Fraction(at * AAC_FRAME_SAMPLES - times.priming, times.timescale)
            heard[number] = float(moment - self._begins[number] - _own_moment(clip) - skipped)
            at += same
        rest = self._made_from(film, at)
        silent_bytes += sum(film.sizes[at : at + rest])
        if at + rest < len(film.places):
            problems.append("it has sound of no clip")
        if len(self._shifts) == len(self._clips) and silent_bytes != self._made_bytes:
            problems.append("it has another silence than was made for it")
        problems += [
            f"the sound of clip {number + 1} is {offset * 1000:.0f} ms off its picture"
            for number, offset in heard.items()
            if abs(offset) > _largest_offset(times.timescale)
        ]
        return [heard.get(number) for number in range(len(self._clips))], problems

    def _one_sound(self, sound: Track | None, whole: Sound) -> tuple[list[float | None], list[str]]:
        """As `_sounds`, where every packet is to be the whole sound's, from first to last."""
        joins = len(self._clips)
        if sound is None or sound.tables is None or whole.times is None or not isinstance(sound.entry, AudioEntry):
            return [None] * joins, ["the sound is missing"]
        times, film = sound_times(sound, sound.tables, self._movie.timescale), _Samples.of(sound.tables)
        own = _Samples.of(whole.tables)
        origins = list(map(self._origin, film.places, film.sizes))
        same = film.sizes == own.sizes and origins == [(joins, place) for place in own.places]
        begin, own_begin = (one.start_seconds - Fraction(one.priming, one.timescale) for one in (times, whole.times))
        late, longer = begin - own_begin, times.end_seconds - self._begins[-1]
        longest = LARGEST_OFFSET_SECONDS + Fraction(AAC_FRAME_SAMPLES, times.timescale)
        wrong = {
            "its sound is off its grid": not _is_even(sound.tables),
            "its sound is coded otherwise than what was made for it": sound.entry.aac != whole.entry.aac,
            "its sound is not what was made for it": not same,
            "its sound lies otherwise than it is heard": film.places != sorted(film.places),
            f"its sound is {float(late) * 1000:.0f} ms off its pictures": abs(late) > LARGEST_OFFSET_SECONDS,
            f"its sound ends {float(longer) * 1000:.0f} ms off its pictures": abs(longer) > longest,
        }
        return [float(late)] * joins, [problem for problem, found in wrong.items() if found]

    def _origin(self, place: int, size: int) -> tuple[int, int] | None:
        """Of bytes of the film: whose they are and where they lie there; None for what was made."""
        number = bisect_right(self._starts, place) - 1
        piece = self._pieces[number] if 0 <= number < len(self._pieces) else None
        if not isinstance(piece, CopiedRange) or place + size > self._starts[number + 1]:
            return None
        return piece.clip, piece.offset + place - self._starts[number]

    def _made_from(self, film: _Samples, at: int) -> int:
        """How many packets from there on stand in no clip's file."""
        return sum(1 for _ in takewhile(self._is_made, islice(film.places, at, None)))


@dataclass(frozen=True, slots=True)
class _Samples:
    """Where each sample of a track lies, and its bytes."""

    places: list[int]
    sizes: array[int]

    @classmethod
    def of(cls, tables: SampleTables) -> _Samples:
        sizes = tables.sizes.expanded()
        places: list[int] = []
        at = 0
        for offset, samples in zip(tables.chunk_offsets, tables.chunk_samples, strict=True):
            places += accumulate(sizes[at : at + samples - 1], initial=offset) if samples > 1 else (offset,) * samples
            at += samples
        return cls(places, sizes)

    def part(self, at: int, count: int) -> _Samples:
        """Some in a row."""
        return _Samples(self.places[at : at + count], self.sizes[at : at + count])

    def before(self, place: int) -> int:
        """How many lie before that place; none where no sample begins there."""
        return self.places.index(place) if place in self.places else 0

    def alike(self, at: int, own: _Samples, shift: int) -> int:
        """How many from there on are a clip's first ones, which lie `shift` behind their places in its file."""
        count = min(len(own.places), len(self.places) - at)
        part, moved = self.part(at, count), [place + shift for place in own.places[:count]]
        if part.places == moved and part.sizes == own.sizes[:count]:
            return count
        pairs = zip(part.places, moved, part.sizes, own.sizes, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1] and pair[2] == pair[3], pairs))


def _is_in_time(picture: Picture, shown: Sequence[int], begin: int, timescale: int) -> bool:
    """Whether a clip's frames are shown in the film as in the clip, from `begin` on; compared as whole numbers.

    A clip whose clock does not fit into the film's may be a tick off.
    """
    if picture.times is None:
        return False
    first, scale = picture.times.first_shown, picture.track.timescale
    own = [(moment - first) * timescale for moment in shown_at(picture.tables)]
    placed = [(moment - begin) * scale for moment in shown]
    if timescale % picture.times.coarsest_timescale == 0:
        return placed == own
    return all(abs(one - other) <= scale for one, other in zip(placed, own, strict=True))


def _largest_offset(sample_rate: int) -> float:
    return max(LARGEST_OFFSET_SECONDS, AAC_FRAME_SAMPLES / 2 / sample_rate + ROUNDING_SECONDS)


def _is_even(tables: SampleTables) -> bool:
    """Whether each packet of sound lasts as long as one does."""
    return {value for samples, value in tables.deltas if samples} == {AAC_FRAME_SAMPLES}


def _keys(tables: SampleTables, at: int, count: int) -> set[int]:
    """Numbers of the samples to seek to, `at` added to each."""
    return {at + number for number in (tables.sync if tables.sync is not None else range(1, count + 1))}


def _own_moment(clip: Clip) -> Fraction:
    """When a clip's first packet is heard in the clip itself, after its first picture."""
    if clip.sound is None or clip.sound.times is None or clip.picture is None or clip.picture.times is None:
        return Fraction(0)
    times = clip.sound.times
    return times.start_seconds - clip.picture.times.start_seconds - Fraction(times.priming, times.timescale)
