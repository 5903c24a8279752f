"""Where a clip's media lie in its file, and the same media with other parameter set ids."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, islice

from shared.media.clip import Clip, Picture
from shared.media.h264 import nal
from shared.media.h264.config import AvcConfig
from shared.media.h264.renumber import CannotRenumber, Renumbering, renumbered_sample
from shared.media.mp4.tables import SampleTables


@dataclass(frozen=True, slots=True)
class Change:
    """New ids of a clip's units; `added` sets are put in front of each key picture."""

    ids: Renumbering
    added: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Payload:
    """A clip's media. Chunk offsets count so that the first byte is number `first`.

    `data` is None where its file holds them as they are.
    """

    length: int
    picture_sizes: array[int]
    picture_chunks: array[int]
    sound_chunks: array[int]
    first: int = 0
    data: bytes | None = None


def used_range(clip: Clip) -> tuple[int, int]:
    """The first byte of the file that joining uses, and the byte after the last."""
    starts = [min(tables.chunk_offsets) for tables in _tables(clip) if tables.chunk_offsets]
    ends = [max(tables.chunk_ends) for tables in _tables(clip) if tables.chunk_ends]
    return min(starts, default=0), max(ends, default=0)


def payload_as_it_is(clip: Clip) -> Payload:
    """Nothing changes but where it lies."""
    assert clip.picture is not None
    first, end = used_range(clip)
    sound = clip.sound.tables.chunk_offsets if clip.sound else array("Q")
    return Payload(
        length=end - first,
        picture_sizes=clip.picture.tables.sizes.expanded(),
        picture_chunks=clip.picture.tables.chunk_offsets,
        sound_chunks=sound,
        first=first,
    )


def rewritten_payload(clip: Clip, data: bytes, change: Change) -> Payload:
    """`data` is the used range, whole. What lies between the chunks is left out. Raises CannotRenumber."""
    assert clip.picture is not None
    first, end = used_range(clip)
    if len(data) != end - first:
        raise CannotRenumber("payload_cut_off")
    rewriting = _Rewriting(clip.picture, change)
    sound_chunks = array("Q", bytes(8 * len(clip.sound.tables.chunk_offsets))) if clip.sound else array("Q")
    written: list[bytes] = []
    at = 0
    for start, stop, number, is_picture in sorted(_numbered_chunks(clip)):
        chunk = data[start - first : stop - first]
        if is_picture:
            rewriting.chunks[number] = at
            chunk = rewriting.chunk(number, chunk)
        else:
            sound_chunks[number] = at
        written.append(chunk)
        at += len(chunk)
    return Payload(at, rewriting.sizes, rewriting.chunks, sound_chunks, data=b"".join(written))


class _Rewriting:
    """Chunk by chunk; `sizes` and `chunks` are filled in on the way."""

    def __init__(self, picture: Picture, change: Change) -> None:
        assert isinstance(picture.config, AvcConfig)
        tables = picture.tables
        self.sizes = array("I", tables.sizes.expanded())
        self.chunks = array("Q", tables.chunk_offsets)
        self._firsts = array("I", accumulate(tables.chunk_samples, initial=0))
        self._sync = frozenset(tables.sync) if tables.sync is not None else None
        self._length_bytes, self._change = picture.config.length_bytes, change

    def chunk(self, number: int, data: bytes) -> bytes:
        """The chunk with its samples changed."""
        samples: list[bytes] = []
        at = 0
        for sample in range(self._firsts[number], self._firsts[number + 1]):
            size = self.sizes[sample]
            samples.append(self._sample(sample, data[at : at + size]))
            at += size
            self.sizes[sample] = len(samples[-1])
        return b"".join(samples)

    def _sample(self, number: int, sample: bytes) -> bytes:
        changed = renumbered_sample(sample, self._length_bytes, self._change.ids)
        is_key = self._sync is None or number + 1 in self._sync
        return self._with_sets(changed) if self._change.added and is_key else changed

    def _with_sets(self, sample: bytes) -> bytes:
        """The sets go first, but for a delimiter (ISO 14496-10, 7.4.1.2.3)."""
        units = list(nal.units(sample, self._length_bytes))
        place = 1 if units and nal.kind(units[0]) == nal.ACCESS_UNIT_DELIMITER else 0
        units[place:place] = self._change.added
        return b"".join(len(unit).to_bytes(self._length_bytes, "big") + unit for unit in units)


def sample_places(tables: SampleTables) -> array[int]:
    """Where each sample begins in its file."""
    sizes, places = tables.sizes.expanded(), array("Q")
    for offset, samples in zip(tables.chunk_offsets, tables.chunk_samples, strict=True):
        at = len(places)
        places.extend(islice(accumulate(sizes[at : at + samples], initial=offset), samples))
    return places


def _numbered_chunks(clip: Clip) -> Iterator[tuple[int, int, int, bool]]:
    """First byte, byte after the last, number in its track, whether it holds pictures."""
    for tables, is_picture in zip(_tables(clip), (True, False), strict=False):
        chunks = zip(tables.chunk_offsets, tables.chunk_ends, strict=True)
        yield from ((start, end, number, is_picture) for number, (start, end) in enumerate(chunks))


def _tables(clip: Clip) -> list[SampleTables]:
    """Of the pictures, then of the sound."""
    return [part.tables for part in (clip.picture, clip.sound) if part is not None]
