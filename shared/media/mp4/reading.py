"""From a file in ranges to its movie: the head, at most two jumps, and the `moov`."""

from __future__ import annotations

from dataclasses import dataclass

from shared.media.mp4.boxes import LARGEST_MOOV_BYTES, Box, ByteSource, FileBox, Window, top_boxes
from shared.media.mp4.fields import BadMp4
from shared.media.mp4.movie import Movie, parse_movie

_FIRST_BOXES = {"ftyp", "moov", "mdat", "free", "skip", "wide", "pnot", "styp", "uuid", "sidx"}


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
    boxes = _boxes(window, source.size_bytes)
    moovs = [number for number, box in enumerate(boxes) if box.kind == "moov"]
    if not moovs:
        raise BadMp4("mp4_no_moov", "it was cut off or never finished")
    moov = boxes[moovs[0]]
    movie = _movie(window, moov)
    mdats = [(number, box) for number, box in enumerate(boxes) if box.kind == "mdat"]
    return Mp4File(
        size_bytes=source.size_bytes,
        brand=_brand(window, boxes[0]),
        movie=movie,
        payloads=tuple((box.payload, box.end) for _, box in mdats),
        moov_first=not mdats or moovs[0] < mdats[0][0],
        fragmented=movie.fragmented or any(box.kind == "moof" for box in boxes),
        faults=tuple(_faults(boxes, len(moovs))),
    )


def _boxes(window: Window, size_bytes: int) -> list[FileBox]:
    """All boxes of the file; of a fragmented one those up to its first fragment."""
    found: list[FileBox] = []
    for box in top_boxes(window, size_bytes):
        if not found and box.kind not in _FIRST_BOXES:
            raise BadMp4("not_mp4", "it is another kind of file")
        found.append(box)
        if box.kind == "moof":
            break
    if not found:
        raise BadMp4("not_mp4", "it is empty")
    return found


def _movie(window: Window, moov: FileBox) -> Movie:
    length = moov.end - moov.payload
    if moov.past_end:
        raise BadMp4("mp4_cut_off", "it ends inside its index")
    if length > LARGEST_MOOV_BYTES:
        raise BadMp4("mp4_index_too_large", f"its index is over {LARGEST_MOOV_BYTES // 1024**2} MiB")
    return parse_movie(Box("moov", memoryview(window.read(moov.payload, length))))


def _brand(window: Window, first: FileBox) -> str:
    """The major brand; files from before brands are QuickTime's."""
    if first.kind != "ftyp" or first.end - first.payload < 4:
        return "qt  "
    return window.read(first.payload, 4).decode("latin-1")


def _faults(boxes: list[FileBox], moovs: int) -> list[str]:
    faults = ["mp4_payload_cut_off"] if any(box.kind == "mdat" and box.past_end for box in boxes) else []
    return [*faults, "mp4_several_indexes"] if moovs > 1 else faults
