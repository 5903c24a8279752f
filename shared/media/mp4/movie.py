"""A movie as its `moov` box describes it (ISO 14496-12, 8.2 to 8.10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from shared.domain.errors import BadMedia
from shared.media.mp4.boxes import Box
from shared.media.mp4.entries import AudioEntry, VisualEntry, parse_audio, parse_visual
from shared.media.mp4.fields import BadMp4, Fields
from shared.media.mp4.tables import SampleTables, parse_tables

MOST_TRACKS = 100
MOST_EDITS = 100_000
UNIT_MATRIX = bytes.fromhex("0001000000000000000000000000000000010000000000000000000000000000" + "40000000")
PICTURE, SOUND = "vide", "soun"
_SELF_CONTAINED = 1


@dataclass(frozen=True, slots=True)
class Edit:
    """One row of an edit list: length in the movie's timescale, start in the track's (-1: nothing), 16.16 rate."""

    duration: int
    media_time: int
    rate: int

    @property
    def is_empty(self) -> bool:
        """Whether it shows nothing."""
        return self.media_time == -1


@dataclass(frozen=True, slots=True)
class Track:
    """One track. `matrix` is tkhd's 36 bytes; `duration` the header's word, in `timescale`; faults by name.

    `width` and `height` are tkhd's, in pixels before the matrix; 0 where it says nothing. `chapters` are the ids of
    tracks that hold this one's chapters (QuickTime `tref/chap`), `thumbnail_of` those this one is a thumbnail of.
    `entry` and `tables` are None for kinds of track that are not read, and where a fault says why; `coding` is the
    sample entry's box as it stands.
    """

    id: int
    handler: str
    enabled: bool
    matrix: bytes
    timescale: int
    duration: int
    language: int
    edits: tuple[Edit, ...]
    entries: int
    entry: VisualEntry | AudioEntry | None
    tables: SampleTables | None
    external: bool
    faults: tuple[str, ...]
    width: Fraction = Fraction(0)
    height: Fraction = Fraction(0)
    coding: bytes = b""
    chapters: frozenset[int] = frozenset()
    thumbnail_of: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Movie:
    """All tracks; `duration` is the header's word in `timescale`."""

    timescale: int
    duration: int
    fragmented: bool
    tracks: tuple[Track, ...]


def parse_movie(moov: Box) -> Movie:
    """Raises BadMp4 where the tree itself is broken; what is wrong with one track is that track's fault."""
    header = moov.child("mvhd")
    if header is None:
        raise BadMp4("mp4_no_movie_header", "it has no movie header")
    _, timescale, duration = _times(header.fields())
    if timescale == 0:
        raise BadMp4("mp4_bad_timescale", "its timescale is zero")
    boxes = [box for box in moov.children() if box.kind == "trak"]
    if len(boxes) > MOST_TRACKS:
        raise BadMp4("mp4_too_many_tracks", f"it has more than {MOST_TRACKS} tracks")
    return Movie(timescale, duration, moov.child("mvex") is not None, tuple(_track(box) for box in boxes))


def _times(fields: Fields) -> tuple[Fields, int, int]:
    """The fields behind the times, timescale and duration of mvhd or mdhd, version 0 or 1."""
    long = fields.version() == 1
    fields.take(16 if long else 8)
    timescale = fields.unsigned(4)
    return fields, timescale, fields.unsigned(8 if long else 4)


def _needed(box: Box, kind: str) -> Box:
    found = box.child(kind)
    if found is None:
        raise BadMp4("mp4_box_missing", f"its {box.kind} has no {kind}")
    return found


def _track(trak: Box) -> Track:
    media = _needed(trak, "mdia")
    header = _header(_needed(trak, "tkhd").fields())
    rest, timescale, duration = _times(_needed(media, "mdhd").fields())
    if timescale == 0:
        raise BadMp4("mp4_bad_timescale", "a track's timescale is zero")
    handler = _handler(_needed(media, "hdlr").fields())
    content = _Content(media, handler)
    return Track(
        id=header.id,
        handler=handler,
        enabled=header.enabled,
        matrix=header.matrix,
        timescale=timescale,
        duration=duration,
        language=rest.unsigned(2),
        edits=tuple(_edits(trak)),
        entries=content.entries,
        entry=content.entry,
        tables=content.tables,
        external=content.external,
        faults=tuple(content.faults),
        width=header.width,
        height=header.height,
        coding=content.coding,
        chapters=_references(trak, "chap"),
        thumbnail_of=_references(trak, "thmb"),
    )


@dataclass(frozen=True, slots=True)
class _Header:
    """What `tkhd` says (8.3.2); sizes are 16.16 numbers."""

    id: int
    enabled: bool
    matrix: bytes
    width: Fraction
    height: Fraction


def _header(fields: Fields) -> _Header:
    first = fields.unsigned(4)
    long = first >> 24 == 1
    fields.take(16 if long else 8)
    track_id = fields.unsigned(4)
    fields.take((12 if long else 8) + 16)
    matrix = bytes(fields.take(36))
    width, height = (Fraction(fields.unsigned(4), 0x10000) if fields.left >= 4 else Fraction(0) for _ in range(2))
    return _Header(track_id, bool(first & 1), matrix, width, height)


def _references(trak: Box, kind: str) -> frozenset[int]:
    """Ids of the tracks that a reference of this kind names (8.3.3)."""
    tref = trak.child("tref")
    box = tref.child(kind) if tref else None
    if box is None:
        return frozenset()
    fields = box.fields()
    return frozenset(fields.table(fields.left // 4, "I"))


def _handler(fields: Fields) -> str:
    fields.version()
    fields.take(4)
    return bytes(fields.take(4)).decode("latin-1")


def _edits(trak: Box) -> Iterator[Edit]:
    edts = trak.child("edts")
    elst = edts.child("elst") if edts else None
    return edits_of(elst) if elst is not None else iter(())


def edits_of(elst: Box) -> Iterator[Edit]:
    """The rows of an edit list (8.6.6). Raises BadMp4."""
    fields = elst.fields()
    width = 8 if fields.version() == 1 else 4
    count = fields.unsigned(4)
    if count > MOST_EDITS:
        raise BadMp4("mp4_too_many_edits", f"a track has more than {MOST_EDITS} edits")
    for _ in range(count):
        yield Edit(fields.unsigned(width), fields.signed(width), fields.unsigned(4))


class _Content:
    """What a track's `minf` holds, as far as it can be read."""

    def __init__(self, media: Box, handler: str) -> None:
        self.entries = 0
        self.entry: VisualEntry | AudioEntry | None = None
        self.tables: SampleTables | None = None
        self.external = False
        self.coding = b""
        self.faults: list[str] = []
        if handler not in (PICTURE, SOUND):
            return
        try:
            self._read(_needed(media, "minf"), handler)
        except BadMedia as error:
            self.faults.append(error.code)

    def _read(self, minf: Box, handler: str) -> None:
        self.external = _is_external(minf)
        stbl = _needed(minf, "stbl")
        fields = _needed(stbl, "stsd").fields()
        fields.version()
        self.entries = fields.unsigned(4)
        entry = next(Box("stsd", fields.take_rest()).children(), None)
        if entry is None:
            raise BadMp4("mp4_no_sample_entry", "a track does not say how it is coded")
        self.coding = (len(entry.payload) + 8).to_bytes(4, "big") + entry.kind.encode("latin-1") + bytes(entry.payload)
        self.entry = parse_visual(entry) if handler == PICTURE else parse_audio(entry)
        self.tables = parse_tables(stbl)
        self._check_counts(self.tables)

    def _check_counts(self, tables: SampleTables) -> None:
        if tables.deltas.samples != tables.sizes.count:
            self.faults.append("mp4_times_do_not_match")
        if tables.shifts is not None and tables.shifts.samples != tables.sizes.count:
            self.faults.append("mp4_shifts_do_not_match")


def _is_external(minf: Box) -> bool:
    """Whether the samples lie in another file (8.7.2)."""
    dinf = minf.child("dinf")
    dref = dinf.child("dref") if dinf else None
    if dref is None:
        return False
    fields = dref.fields()
    fields.take(8)
    return any(not box.fields().unsigned(4) & _SELF_CONTAINED for box in Box("dref", fields.take_rest()).children())
