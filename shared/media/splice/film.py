"""The film: a head in front of the clips' payloads, which nobody has to look into.

Its sound is the clips' own, with silence where they have none, or comes whole from one more file:
then theirs is ignored.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from shared.media.aac.silence import silent_frame
from shared.media.clip import Clip, Sound
from shared.media.h264.renumber import CannotRenumber
from shared.media.mp4.writing import LARGEST_32, NewTrack, ftyp, mdat_header, moov
from shared.media.splice.parameter_sets import SharedSets, shared_sets
from shared.media.splice.payload import Payload, payload_as_it_is, rewritten_payload, sample_places, used_range
from shared.media.splice.refusals import CannotSplice, Refusal, refusals, sound_refusals
from shared.media.splice.sound import FRAME, ClipSound, SoundPlan, Stretch, plan_sound, plan_whole
from shared.media.splice.tracks import Clock, Placed, picture_track, sound_track
from shared.media.splice.traits import has_sound, pictures_alone, usual_sound

# By what a picture track's samples are.
BRANDS = {b"avc1": "avc1", b"hvc1": "hvc1", b"hev1": "hvc1", b"av01": "av01"}


@dataclass(frozen=True, slots=True)
class CopiedRange:
    """Bytes of a clip's own file, or of the whole sound's, which is numbered behind the clips."""

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


def payloads_needed(clips: Sequence[Clip], *, whole_sound: bool = False) -> tuple[CopiedRange, ...]:
    """What has to be read whole before `splice`: clips whose parameter sets get other ids. For clips without refusals;
    `splice` itself checks them. `whole_sound`: whether it will be given one."""
    clips = pictures_alone(clips) if whole_sound else clips
    changes = shared_sets(clips).changes
    ranges = [(number, used_range(clip)) for number, clip in enumerate(clips) if changes[number] is not None]
    return tuple(CopiedRange(number, first, end - first) for number, (first, end) in ranges)


def splice(
    clips: Sequence[Clip],
    payloads: Mapping[int, bytes] | None = None,
    *,
    checked: bool = False,
    sound: Clip | None = None,
) -> Splice:
    """`payloads`: by clip, what `payloads_needed` named. `checked`: these clips are known to have no refusals.

    `sound`: a file whose sound, made for these clips, is the film's instead of theirs; it is checked in any case.
    Raises CannotSplice, KeyError for a payload not given.
    """
    if not checked:
        _check(refusals(clips, whole_sound=sound is not None))
    clips = pictures_alone(clips) if sound is not None else clips
    sources = (*clips, sound) if sound is not None else clips
    sets = shared_sets(clips)
    clock = Clock.of(clips)
    plan = _plan(clips, sound, clock)
    taken = [_payload(number, clip, sets, payloads or {}) for number, clip in enumerate(clips)]
    placed, pieces = _placed(sources, taken, plan)
    tracks = [picture_track(clips, placed, clock, sets.record)]
    config = usual_sound(sources)
    if plan is not None and config is not None:
        tracks.append(sound_track(sources, placed, clock, plan, config))
    return Splice(
        head=_head(clock, tracks, sum(piece.length for piece in pieces)),
        pieces=tuple(pieces),
        pictures=len(tracks[0].sizes),
        duration_seconds=float(clock.seconds[-1]),
        has_sound=plan is not None,
        joins=tuple(
            Join(clip, float(clock.seconds[clip]), plan.offsets_seconds[clip] if plan else None)
            for clip in range(len(clips))
        ),
    )


def _check(found: Sequence[Refusal]) -> None:
    if found:
        raise CannotSplice(found)


def _plan(clips: Sequence[Clip], whole: Clip | None, clock: Clock) -> SoundPlan | None:
    if whole is not None:
        _check(sound_refusals(whole, clock.seconds[-1]))
        assert whole.sound is not None
        return plan_whole(whole.sound, len(clips), clock.seconds)
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


def _placed(sources: Sequence[Clip], payloads: Sequence[Payload], plan: SoundPlan | None) -> tuple[Placed, list[Piece]]:
    """Where everything lies, counted from the first byte of the payload, and what it consists of."""
    config = usual_sound(sources)
    frame = silent_frame(config.channel_config) if config else b""
    whole = next((source.sound for source in sources[len(payloads) :]), None)
    beside = _pieces_beside(whole, plan, frame)
    parts: list[tuple[Stretch | int, Piece]] = []
    for number, payload in enumerate(payloads):
        before, behind = _stretches_beside(plan, number)
        first, _ = used_range(sources[number])
        own = CopiedRange(number, first, payload.length) if payload.data is None else Made(payload.data)
        parts += [(one, beside[one]) for one in before]
        parts.append((number, own))
        parts += [(one, beside[one]) for one in behind]
    offsets = array("Q", accumulate((piece.length for _, piece in parts), initial=0))
    at = {what: offset for (what, _), offset in zip(parts, offsets, strict=False)}
    return Placed(tuple(payloads), at, len(frame)), _joined([piece for _, piece in parts])


def _pieces_beside(whole: Sound | None, plan: SoundPlan | None, silence: bytes) -> dict[Stretch, Piece]:
    """The bytes of each stretch that does not lie in its clip's payload; `silence` is a packet of it."""
    places = sample_places(whole.tables) if whole is not None else array("Q")
    sizes = whole.tables.sizes.expanded() if whole is not None else array("I")
    found: dict[Stretch, Piece] = {}
    for one in plan.stretches if plan else ():
        if one.source is None:
            found[one] = Made(silence * one.packets)
        elif not one.is_own:
            length = sum(sizes[one.first : one.first + one.packets])
            found[one] = CopiedRange(one.source, places[one.first], length)
    return found


def _stretches_beside(plan: SoundPlan | None, clip: int) -> tuple[list[Stretch], list[Stretch]]:
    """What is heard with a clip before and behind its own sound; without own sound all goes before its pictures.

    Sound lies in the file as it is heard: Chromium's demuxer drops a packet of sound that lies before the last one,
    and all sound after it then comes too early.
    """
    mine = [one for one in plan.stretches if one.clip == clip] if plan else []
    own = next((at for at, one in enumerate(mine) if one.is_own), len(mine))
    return mine[:own], mine[own + 1 :]


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
    brand = ftyp(BRANDS.get(tracks[0].entry[4:8], "mp42"))
    header = mdat_header(payload_bytes)
    # Built with long offsets, the movie tells its length; short ones take four bytes less a chunk.
    movie_bytes = len(moov(clock.timescale, tracks, 0, long_offsets=True))
    long = len(brand) + movie_bytes + len(header) + payload_bytes > LARGEST_32
    if not long:
        movie_bytes -= sum(4 * len(track.chunk_offsets) for track in tracks)
    begin = len(brand) + movie_bytes + len(header)
    return brand + moov(clock.timescale, tracks, begin, long_offsets=long) + header
