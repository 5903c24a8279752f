"""From a file in ranges to its movie: the head, a jump from box to box, the `moov` and what fragments add to it."""

from __future__ import annotations

from dataclasses import dataclass

from shared.media.mp4.boxes import (
    LARGEST_MOOF_BYTES,
    LARGEST_MOOV_BYTES,
    Box,
    ByteSource,
    FileBox,
    Window,
    top_boxes,
)
from shared.media.mp4.fields import BadMp4
from shared.media.mp4.fragments import Fragment, with_fragments
from shared.media.mp4.movie import Movie, parse_movie

_FIRST_BOXES = {"ftyp", "moov", "mdat", "free", "skip", "wide", "pnot", "styp", "uuid", "sidx"}
MOST_FRAGMENTS = 8192
LARGEST_FRAGMENTS_BYTES = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Mp4File:
    """A file's movie and where its payload lies, `(first byte, byte after the last)` for each mdat.

    `moov_first` says that a player can start before it has the whole file. Faults by name.
    """

    size_bytes: int
    brand: str
    movie: Movie
    payloads: tuple[tuple[int, int], ...]
    moov_first: bool
    fragmented: bool
    faults: tuple[str, ...]


def read_mp4(source: ByteSource) -> Mp4File:
    """Reads what describes the media, never the media. Raises BadMp4; `not_mp4` for another kind of file."""
    window = Window(source)
    boxes, fragments = _boxes(window, source.size_bytes)
    moovs = [number for number, box in enumerate(boxes) if box.kind == "moov"]
    if not moovs:
        raise BadMp4("mp4_no_moov", "it was cut off or never finished")
    # A file that was finalised twice has a stale one behind; every player reads the first.
    moov = boxes[moovs[0]]
    index = _box(window, moov, LARGEST_MOOV_BYTES)
    movie, faults = parse_movie(index), _faults(boxes)
    if movie.fragmented or fragments:
        movie, fault = with_fragments(movie, index, fragments)
        faults += [fault] if fault else []
    mdats = [(number, box) for number, box in enumerate(boxes) if box.kind == "mdat"]
    return Mp4File(
        size_bytes=source.size_bytes,
        brand=_brand(window, boxes[0]),
        movie=movie,
        payloads=tuple((box.payload, box.end) for _, box in mdats),
        moov_first=not mdats or moovs[0] < mdats[0][0],
        fragmented=movie.fragmented or bool(fragments),
        faults=tuple(faults),
    )


def _boxes(window: Window, size_bytes: int) -> tuple[list[FileBox], list[Fragment]]:
    """All boxes of the file, and its fragments, read on the way: a jump back would be a request more for each."""
    found: list[FileBox] = []
    fragments: list[Fragment] = []
    left = LARGEST_FRAGMENTS_BYTES
    for box in top_boxes(window, size_bytes):
        if not found and box.kind not in _FIRST_BOXES:
            raise BadMp4("not_mp4", "it is another kind of file")
        found.append(box)
        if box.kind == "moof" and not box.past_end:
            left -= box.end - box.payload
            _check_room(len(fragments), left)
            fragments.append(Fragment(box.start, _box(window, box, LARGEST_MOOF_BYTES)))
    if not found:
        raise BadMp4("not_mp4", "it is empty")
    return found, fragments


def _check_room(fragments: int, bytes_left: int) -> None:
    if fragments == MOST_FRAGMENTS or bytes_left < 0:
        raise BadMp4("mp4_too_many_fragments", f"it has more than {MOST_FRAGMENTS} fragments or too large ones")


def _box(window: Window, box: FileBox, largest_bytes: int) -> Box:
    """One that is not media, whole. Raises BadMp4."""
    length = box.end - box.payload
    if box.past_end:
        raise BadMp4("mp4_cut_off", "it ends inside its index")
    if length > largest_bytes:
        raise BadMp4("mp4_index_too_large", f"its index is over {largest_bytes // 1024**2} MiB")
    return Box(box.kind, memoryview(window.read(box.payload, length)))


def _brand(window: Window, first: FileBox) -> str:
    """The major brand; files from before brands are QuickTime's."""
    if first.kind != "ftyp" or first.end - first.payload < 4:
        return "qt  "
    return window.read(first.payload, 4).decode("latin-1")


def _faults(boxes: list[FileBox]) -> list[str]:
    cut_off = {"mdat": "mp4_payload_cut_off", "moof": "mp4_cut_off"}
    return [cut_off[box.kind] for box in boxes if box.past_end and box.kind in cut_off]
