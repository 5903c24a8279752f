"""A movie written in fragments (ISO 14496-12, 8.8), each with frames and audio of the same time."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

from tests.odd_films.boxes import box, full_box, run_table, word
from tests.odd_films.movie import VIDEO, Movie, Sample, Track
from tests.odd_films.writing import Layout, file_head, movie_header, trak

NO_SYNC, SYNC = 0x01010000, 0x02000000
Cut = list[tuple[int, int]]


def written_in_fragments(movie: Movie, layout: Layout) -> bytes:
    """The file; edit lists stand in its index."""
    empty = [
        run_table(b"stts", []),
        full_box(b"stsc", 0, 0, word(0)),
        full_box(b"stsz", 0, 0, word(0), word(0)),
        full_box(b"stco", 0, 0, word(0)),
    ]
    traks = [trak(movie, place, empty, timed=False) for place in range(len(movie.tracks))]
    defaults = [full_box(b"trex", 0, 0, word(place + 1), word(1), bytes(12)) for place in range(len(movie.tracks))]
    moov = box(b"moov", movie_header(movie, timed=False), *traks, box(b"mvex", *defaults))
    cuts = [_cuts(track, movie, layout.fragments) for track in movie.tracks]
    fragments = [_fragment(movie, [cut[n] for cut in cuts], n + 1) for n in range(len(cuts[0]))]
    return b"".join([file_head(layout.brand), moov, *fragments])


def _cuts(track: Track, movie: Movie, frames: int) -> Cut:
    """First sample and the one after the last, by fragment."""
    video = next(one for one in movie.tracks if one.handler == VIDEO)
    starts = list(accumulate((sample.duration for sample in video.samples), initial=0))
    moments = [Fraction(at, video.timescale) for at in starts[:-1:frames]]
    own = list(accumulate((sample.duration for sample in track.samples), initial=0))[:-1]
    firsts = [
        next((n for n, at in enumerate(own) if Fraction(at, track.timescale) >= moment), len(own)) for moment in moments
    ]
    return list(zip([0, *firsts[1:]], [*firsts[1:], len(own)], strict=True))


def _fragment(movie: Movie, cuts: Sequence[tuple[int, int]], number: int) -> bytes:
    parts = [
        (place, track, track.samples[a:b], a)
        for place, (track, (a, b)) in enumerate(zip(movie.tracks, cuts, strict=True))
        if b > a
    ]
    size = len(_head(parts, number, 0))
    data = b"".join(sample.data for _, _, samples, _ in parts for sample in samples)
    return _head(parts, number, size + 8) + box(b"mdat", data)


def _head(parts: Sequence[tuple[int, Track, list[Sample], int]], number: int, offset: int) -> bytes:
    trafs = []
    for place, track, samples, first in parts:
        decoded = sum(sample.duration for sample in track.samples[:first])
        time = full_box(b"tfdt", 1, 0, word(decoded, 8))
        rows = [_row(sample) for sample in samples]
        trun = full_box(b"trun", 1, 0xF01, word(len(samples)), word(offset), *rows)
        trafs.append(box(b"traf", full_box(b"tfhd", 0, 0x20000, word(place + 1)), time, trun))
        offset += sum(len(sample.data) for sample in samples)
    return box(b"moof", full_box(b"mfhd", 0, 0, word(number)), *trafs)


def _row(sample: Sample) -> bytes:
    flags = SYNC if sample.sync else NO_SYNC
    return word(sample.duration) + word(len(sample.data)) + word(flags) + word(sample.shift)
