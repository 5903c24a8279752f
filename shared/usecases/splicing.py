"""Clips in the bucket become a film in the bucket: S3 copies what stays as it is, only the rest passes through here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from threading import Lock, Semaphore
from typing import TypeVar

from shared.domain.errors import BadMedia
from shared.media.clip import Clip, read_clip
from shared.media.heads import SyncScan
from shared.media.splice.film import Made, Piece, Splice, payloads_needed, splice
from shared.media.splice.parts import SMALLEST_PART_BYTES, BytePart, Part, in_memory, plan_parts
from shared.media.splice.proof import Proof, prove
from shared.ports import MediaStore, OpenUpload
from shared.ports import Part as SentPart
from shared.usecases.object_source import ObjectSource
from shared.usecases.transfers import BYTE_PARTS_AT_ONCE, bytes_of, reads_of, side_by_side, threads, upload_in_parts

# Larger films are sent over several connections at once.
ONE_CONNECTION_BYTES = 12 * 1024**2
CONNECTIONS = 4
T = TypeVar("T")
R = TypeVar("R")


class Progress:
    """Work done of the work there is, counted by any thread. `tell` hears of it from the thread that waits alone."""

    def __init__(self, check: Callable[[], None], tell: Callable[[float], None]) -> None:
        self._check, self._tell, self._counting = check, tell, Lock()
        self._done = self._whole = 0

    def begin(self, whole: int) -> None:
        """What follows counts of so many bytes or pictures."""
        self._done, self._whole = 0, whole

    def add(self, done: int) -> None:
        """Raises what `check` does: Conflict when the job was stopped."""
        self._check()
        with self._counting:
            self._done += done

    @property
    def done(self) -> int:
        """So many by now."""
        return self._done

    def reach(self, done: int) -> None:
        """So many are done in all, which never falls; by the thread that waits. Raises what `check` does."""
        self._check()
        self._done = max(self._done, done)
        self.tell()

    def tell(self) -> None:
        """Says how far it has come, as a share of 1."""
        self._tell(min(self._done / self._whole, 1.0) if self._whole else 0.0)


@dataclass(frozen=True, slots=True)
class WrittenFilm:
    """A film that lies in the bucket. `data` is all of it where it was small enough to be held."""

    splice: Splice
    proof: Proof
    bytes_copied: int
    data: bytes | None = field(repr=False, default=None)


def read_clips(
    sources: Sequence[ObjectSource], known: Sequence[SyncScan | None] | None = None
) -> list[Clip | BadMedia]:
    """What each is; for those that are no MP4 the reason. `known`: what was found in the heads of key pictures before.

    Raises NotFound, DependencyDown, BadMedia for a changed or archived source.
    """
    small = in_memory(sum(source.size_bytes for source in sources))
    scans = known or [None] * len(sources)
    return side_by_side(lambda one: _read(*one, small), zip(sources, scans, strict=True))


def _read(source: ObjectSource, known: SyncScan | None, whole: bool) -> Clip | BadMedia:
    if whole:
        # All of it will be needed: one request instead of several.
        source.keep_whole()
    try:
        return read_clip(source, known)
    except BadMedia as error:
        if error.code.startswith("source_"):
            raise
        return error


def write_film(
    media: MediaStore,
    sources: Sequence[ObjectSource],
    clips: Sequence[Clip],
    key: str,
    progress: Progress,
    *,
    sound: tuple[ObjectSource, Clip] | None = None,
) -> WrittenFilm:
    """Joins clips that have no refusals. All of the film or none of it is at `key` afterwards, and no upload is open.

    `sound`: an object whose sound, made for these clips, is the film's instead of theirs.

    Raises CannotSplice, NotFound, BadMedia (`source_changed`, `too_many_parts`), DependencyDown.
    """
    whole = None
    if sound is not None:
        # Ranges number it behind the clips.
        sources, whole = (*sources, sound[0]), sound[1]
    needed = payloads_needed(clips, whole_sound=whole is not None)
    payloads = side_by_side(lambda one: (one.clip, bytes(bytes_of(sources, one))), needed)
    film = splice(clips, dict(payloads), checked=True, sound=whole)
    progress.begin(film.size_bytes)
    if in_memory(film.size_bytes):
        data = _whole(film, sources, progress)
        if len(data) > ONE_CONNECTION_BYTES:
            return WrittenFilm(film, _sent_in_parts(media, key, data, lambda: prove(film, clips, whole)), 0, data)
        # The store takes longer to receive a film than it takes to prove it.
        sending = threads().submit(media.put, key, data, "video/mp4")
        proof = prove(film, clips, whole)
        sending.result()
        return WrittenFilm(film, proof, 0, data)
    parts = plan_parts(film.head, film.pieces, [source.size_bytes for source in sources])
    with upload_in_parts(media, key) as upload:
        media.complete_upload(upload, _Sender(media, upload, sources, progress).send(parts))
    copied = sum(part.length for part in parts if not isinstance(part, BytePart))
    return WrittenFilm(film, prove(film, clips, whole), copied)


def _sent_in_parts(media: MediaStore, key: str, data: bytes, meanwhile: Callable[[], R]) -> R:
    """One connection to the store is slower than several; what `meanwhile` answers while they send."""
    size = max(-(-len(data) // CONNECTIONS), SMALLEST_PART_BYTES)
    with upload_in_parts(media, key) as upload:
        sending = [
            threads().submit(media.upload_part, upload, number, data[at : at + size])
            for number, at in enumerate(range(0, len(data), size), start=1)
        ]
        answer = meanwhile()
        wait(sending)
        media.complete_upload(upload, [part.result() for part in sending])
    return answer


def _whole(film: Splice, sources: Sequence[ObjectSource], progress: Progress) -> bytes:
    pieces = [Made(film.head), *(part for piece in film.pieces for part in reads_of(piece))]

    def fetched(piece: Piece) -> bytes | memoryview:
        data = bytes_of(sources, piece)
        progress.add(len(data))
        return data

    return b"".join(side_by_side(fetched, pieces, progress.tell))


class _Sender:
    """Sends the parts of one upload, several at once; memory bounds how many of them hold bytes."""

    def __init__(
        self, media: MediaStore, upload: OpenUpload, sources: Sequence[ObjectSource], progress: Progress
    ) -> None:
        self._media, self._upload, self._sources, self._progress = media, upload, sources, progress
        self._room = Semaphore(BYTE_PARTS_AT_ONCE)

    def send(self, parts: Sequence[Part]) -> list[SentPart]:
        """In order."""
        numbered = enumerate(parts, start=1)
        return side_by_side(lambda one: self._send(*one), numbered, self._progress.tell)

    def _send(self, number: int, part: Part) -> SentPart:
        self._progress.add(0)
        if isinstance(part, BytePart):
            with self._room:
                data = b"".join(bytes_of(self._sources, piece) for piece in part.pieces)
                sent = self._media.upload_part(self._upload, number, data)
        else:
            source = self._sources[part.clip].stored
            sent = self._media.copy_part(self._upload, number, source, part.offset, part.length)
        self._progress.add(part.length)
        return sent
