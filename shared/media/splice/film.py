"""The film: a head in front of the clips' payloads, which nobody has to look into."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from shared.media.aac.silence import silent_frame
from shared.media.clip import Clip
from shared.media.h264.renumber import CannotRenumber
from shared.media.mp4.writing import LARGEST_32, NewTrack, ftyp, mdat_header, moov
from shared.media.splice.parameter_sets import SharedSets, shared_sets
from shared.media.splice.payload import Payload, payload_as_it_is, rewritten_payload, used_range
from shared.media.splice.refusals import CannotSplice, Refusal, refusals
from shared.media.splice.sound import FRAME, ClipSound, SoundPlan, Stretch, plan_sound
from shared.media.splice.tracks import Clock, Placed, picture_track, sound_track
from shared.media.splice.traits import has_sound, usual_sound


@dataclass(frozen=True, slots=True)
class CopiedRange:
    """Bytes of a clip's own file."""

    clip: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Made:
    """Bytes that stand in no file."""

    data: bytes | memoryview

    @property
    def length(self) -> int:
        """How many."""
        return len(self.data)


Piece = CopiedRange | Made


@dataclass(frozen=True, slots=True)
class Join:
    """Where a clip begins: its first picture's time, and how much later its sound is; None for a silent clip."""

    clip: int
    picture_seconds: float
    sound_offset_seconds: float | None


@dataclass(frozen=True, slots=True)
class Splice:
    """The file is `head` and then `pieces` in order. `joins` has one entry for each clip, the first included."""

    head: bytes
    pieces: tuple[Piece, ...]
    pictures: int
    duration_seconds: float
    has_sound: bool
    joins: tuple[Join, ...]

    @property
    def size_bytes(self) -> int:
        """Of the whole file."""
        return len(self.head) + sum(piece.length for piece in self.pieces)


def payloads_needed(clips: Sequence[Clip]) -> tuple[CopiedRange, ...]:
    """What has to be read whole before `splice`: clips whose parameter sets get other ids. For clips without refusals;
    `splice` itself checks them."""
    changes = shared_sets(clips).changes
    ranges = [(number, used_range(clip)) for number, clip in enumerate(clips) if changes[number] is not None]
    return tuple(CopiedRange(number, first, end - first) for number, (first, end) in ranges)


def splice(clips: Sequence[Clip], payloads: Mapping[int, bytes] | None = None, *, checked: bool = False) -> Splice:
    """`payloads`: by clip, what `payloads_needed` named. `checked`: these clips are known to have no refusals.

    Raises CannotSplice, KeyError for a payload not given.
    """
    if not checked:
        _check(clips)
    sets = shared_sets(clips)
    clock = Clock.of(clips)
    sound = _sound(clips, clock)
    sources = [_payload(number, clip, sets, payloads or {}) for number, clip in enumerate(clips)]
    placed, pieces = _placed(clips, sources, sound)
    tracks = [picture_track(clips, placed, clock, sets.record)]
    config = usual_sound(clips)
    if sound is not None and config is not None:
        tracks.append(sound_track(clips, placed, clock, sound, config))
    return Splice(
        head=_head(clock, tracks, sum(piece.length for piece in pieces)),
        pieces=tuple(pieces),
        pictures=len(tracks[0].sizes),
        duration_seconds=float(clock.seconds[-1]),
        has_sound=sound is not None,
        joins=tuple(
            Join(clip, float(clock.seconds[clip]), sound.offsets_seconds[clip] if sound else None)
            for clip in range(len(clips))
        ),
    )


def _check(clips: Sequence[Clip]) -> None:
    found = refusals(clips)
    if found:
        raise CannotSplice(found)


def _sound(clips: Sequence[Clip], clock: Clock) -> SoundPlan | None:
    config = usual_sound(clips)
    if config is None:
        return None
    return plan_sound([_clip_sound(clip) for clip in clips], clock.seconds, config.sample_rate)


def _clip_sound(clip: Clip) -> ClipSound | None:
    times = clip.sound.times if clip.sound and has_sound(clip) else None
    if times is None or clip.picture is None or clip.picture.times is None:
        return None
    late = times.start_seconds - clip.picture.times.start_seconds
    return ClipSound(min(times.packets, -(-times.heard_end // FRAME)), times.priming, late)


def _payload(number: int, clip: Clip, sets: SharedSets, payloads: Mapping[int, bytes]) -> Payload:
    change = sets.changes[number]
    if change is None:
        return payload_as_it_is(clip)
    try:
        return rewritten_payload(clip, payloads[number], change)
    except CannotRenumber as error:
        sentence = f"Clip {number + 1} has other parameter sets that cannot be rewritten ({error.reason})."
        raise CannotSplice([Refusal(number, error.reason, sentence)]) from error


def _placed(clips: Sequence[Clip], sources: Sequence[Payload], sound: SoundPlan | None) -> tuple[Placed, list[Piece]]:
    """Where everything lies, counted from the first byte of the payload, and what it consists of."""
    config = usual_sound(clips)
    frame = silent_frame(config.channel_config) if config else b""
    parts: list[tuple[Stretch | int, Piece]] = []
    for number, (clip, source) in enumerate(zip(clips, sources, strict=True)):
        before, behind = _silences(sound, number)
        first, _ = used_range(clip)
        whole = CopiedRange(number, first, source.length) if source.data is None else Made(source.data)
        parts += [(one, Made(frame * one.packets)) for one in before]
        parts.append((number, whole))
        parts += [(one, Made(frame * one.packets)) for one in behind]
    offsets = array("Q", accumulate((piece.length for _, piece in parts), initial=0))
    at = {what: offset for (what, _), offset in zip(parts, offsets, strict=False)}
    return Placed(tuple(sources), at, len(frame)), _joined([piece for _, piece in parts])


def _silences(sound: SoundPlan | None, clip: int) -> tuple[list[Stretch], list[Stretch]]:
    """A clip's silence before and behind its own sound.

    It lies in the file as it is heard: Chromium's demuxer drops a packet of sound that lies before the last one, and
    all sound after it then comes too early.
    """
    mine = [one for one in sound.stretches if one.clip == clip] if sound else []
    own = next((at for at, one in enumerate(mine) if not one.is_silent), 0)
    return mine[:own], [one for one in mine[own:] if one.is_silent]


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours that were made become one piece."""
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if isinstance(piece, Made) and isinstance(last, Made):
            joined[-1] = Made(b"".join((last.data, piece.data)))
        else:
            joined.append(piece)
    return joined


def _head(clock: Clock, tracks: Sequence[NewTrack], payload_bytes: int) -> bytes:
    brand = ftyp("avc1" if tracks[0].entry[4:8] == b"avc1" else "hvc1")
    header = mdat_header(payload_bytes)
    # Built with long offsets, the movie tells its length; short ones take four bytes less a chunk.
    movie_bytes = len(moov(clock.timescale, tracks, 0, long_offsets=True))
    long = len(brand) + movie_bytes + len(header) + payload_bytes > LARGEST_32
    if not long:
        movie_bytes -= sum(4 * len(track.chunk_offsets) for track in tracks)
    begin = len(brand) + movie_bytes + len(header)
    return brand + moov(clock.timescale, tracks, begin, long_offsets=long) + header
