"""A clip under an index of the engine's own: its tracks alone, in one piece, in the tables that were read.

FFmpeg misreads some files where the standard is plain: of fragments it moves frames that are shown before they are
decoded, loses times where each frame has a fragment of its own and misreads edit lists; and it begins at the wrong
frame where key frames are marked wrongly. It is given those under this index.
"""

from __future__ import annotations

from array import array
from dataclasses import replace
from fractions import Fraction
from math import ceil

from shared.media.clip import Clip, Picture, Sound
from shared.media.mp4.movie import PICTURE
from shared.media.mp4.tables import Runs, SampleTables
from shared.media.mp4.writing import NewTrack, ftyp, mdat_header, moov
from shared.media.presentation import Streams, presented_span
from shared.media.splice.film import CopiedRange, Made, Piece
from shared.media.splice.payload import used_range
from shared.media.timeline import shown_at

HIGHEST_TIMESCALE = 1_000_000


def needs_plain_index(clip: Clip) -> bool:
    """Whether FFmpeg would misread the file's own."""
    parts = _parts(clip)
    if not parts or any(not _is_plain(part, clip) for part in parts):
        return False
    times = clip.picture.times if clip.picture else None
    hidden = times is not None and times.shown < times.pictures
    if clip.file.fragmented:
        return True
    marked_wrongly = clip.picture is not None and clip.picture.scan is not None and clip.picture.scan.keys is not None
    return hidden and marked_wrongly


def streams_of(clip: Clip) -> Streams:
    """Its tracks as FFmpeg counts them in what it is given to read."""
    streams = clip.streams
    return replace(streams, video=0, audio=0) if needs_plain_index(clip) else streams


def plain_index(clip: Clip) -> tuple[Piece, ...]:
    """The file's parts: a new head, and the bytes that hold the clip's samples as they are."""
    begin, end = used_range(clip)
    units = _movie_timescale(clip)
    tracks = [
        _track(number, part, clip.file.movie.timescale, units) for number, part in enumerate(_parts(clip), start=1)
    ]
    tracks = [replace(one, chunk_offsets=array("Q", (at - begin for at in one.chunk_offsets))) for one in tracks]
    brand, header = ftyp("mp42"), mdat_header(end - begin)
    head = len(brand) + len(moov(units, tracks, 0, long_offsets=True)) + len(header)
    return (Made(brand + moov(units, tracks, head, long_offsets=True) + header), CopiedRange(0, begin, end - begin))


def _parts(clip: Clip) -> list[Picture | Sound]:
    found: list[Picture | Sound] = [clip.picture] if clip.picture is not None else []
    return [*found, clip.sound] if clip.sound is not None and clip.sound.tables.sizes.count else found


def _is_plain(part: Picture | Sound, clip: Clip) -> bool:
    """Whether its tables say all there is to say of it."""
    track = part.track
    known = bool(track.coding) and not track.faults and not track.external and part.times is not None
    one_coding = track.entries == 1 and part.tables.descriptions_used <= {1}
    return known and one_coding and presented_span(track, clip.file.movie.timescale) is not None


def _movie_timescale(clip: Clip) -> int:
    """The frames' own, which counts their ticks exactly, where it is finer than the file's and an hour fits 32 bits."""
    own, of_frames = clip.file.movie.timescale, clip.picture.track.timescale if clip.picture else 0
    return of_frames if own < of_frames <= HIGHEST_TIMESCALE else own


def _track(number: int, part: Picture | Sound, own_units: int, units: int) -> NewTrack:
    track, tables = part.track, part.track.tables
    assert tables is not None
    if isinstance(part, Picture) and part.tables.sizes.count == tables.sizes.count:
        tables = replace(tables, sync=part.tables.sync)
    span = presented_span(track, own_units)
    assert span is not None
    lift = max(0, -min(tables.shifts.values, default=0)) if tables.shifts else 0
    asked = span.begin if span.begin is not None else tables.first_decoded
    # FFmpeg moves what an edit list begins with to its beginning: frames that begin later need the time before written.
    begin = max(asked, tables.first_decoded + min(shown_at(tables)))
    end = span.end if span.end is not None else Fraction(_last(tables) + tables.first_decoded)
    return NewTrack(
        id=number,
        handler=track.handler,
        timescale=track.timescale,
        edit_start=begin - tables.first_decoded + lift,
        shown=max(ceil((end - begin) * units / track.timescale), 1),
        matrix=track.matrix,
        width=int(track.width) if track.handler == PICTURE else 0,
        height=int(track.height) if track.handler == PICTURE else 0,
        language=track.language,
        entry=track.coding,
        deltas=tables.deltas,
        shifts=_lifted(tables.shifts, lift),
        sync=tables.sync,
        sizes=tables.sizes.expanded(),
        chunk_offsets=tables.chunk_offsets,
        chunk_samples=tables.chunk_samples,
        delay=int(span.delay_seconds * units) + ceil((begin - asked) * units / track.timescale),
    )


def _lifted(shifts: Runs | None, lift: int) -> Runs | None:
    return None if shifts is None else Runs(shifts.counts, array("i", (value + lift for value in shifts.values)))


def _last(tables: SampleTables) -> int:
    return tables.deltas.total + (max(tables.shifts.values, default=0) if tables.shifts else 0)
