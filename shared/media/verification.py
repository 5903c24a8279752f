"""Does the film hold what its clips held? Judged by what one pass of decoding found, never by exit codes.

How the sound's offset at a join is found: the film's picture number n, n being the pictures of the clips before, says
when a clip starts. Where its first stored sound packets are found again by their checksums, their times say where its
sound lies; the offset is the difference to where it lay in the clip. Where the sound was encoded anew, no packet is
found again, and the sound was cut to the pictures' own samples: the offset is that of the sound's clock, its start and
the gaps so far. `clock_offset_ms` is what a player hears that counts samples and does not mind timestamps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from shared.media.decoded import Decoded, Interval
from shared.media.probe import MediaFacts

# Of the whole film, however many clips it has.
DRIFT_LIMIT_SECONDS = 0.1
# Between a clip's first frame and its time by the clips before it: a frame at 24 per second, rounded to milliseconds.
PLACE_LIMIT_SECONDS = 0.045
# Sound that is later than its picture by more than this is seen by trained viewers (EBU R37: 40 ms early, 60 ms late).
OFFSET_LIMIT_MS = 45.0
SEARCHED_SECONDS = 1.0
# A stretch counts as the clip's own when it sticks out of it by no more.
STRETCH_TOLERANCE_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Join:
    """Where a clip begins in the film, and how far its sound is behind its picture there (negative: ahead)."""

    at_seconds: float
    audio_offset_ms: float
    clock_offset_ms: float


@dataclass(frozen=True, slots=True)
class Verification:
    """`problems` is empty when `ok`. Durations in seconds, drift in milliseconds at the film's end."""

    ok: bool
    frames_expected: int
    frames: int
    duration_expected: float
    duration: float
    drift_ms: float
    problems: tuple[str, ...]
    joins: tuple[Join, ...] = ()
    black: tuple[Interval, ...] = ()
    silent: tuple[Interval, ...] = ()


def verify_film(clips: Sequence[MediaFacts], film: MediaFacts) -> Verification:
    """Compares a film with the clips as they were joined. Dark or silent stretches are a problem only where every
    clip was decoded too, so that it is known which of them are the clips' own. A clip lasts as long as the longer of
    its two.
    """
    expected = sum(clip.video.frames for clip in clips if clip.video is not None)
    wanted = float(sum(clip.duration_seconds for clip in clips))
    joins = tuple(_joins(clips, film))
    problems = (
        *_whole_problems(clips, film, expected, wanted),
        *_join_problems(joins),
        *_place_problems(clips, joins),
        *_lost_sounds(clips, film),
        *_stretches(clips, film),
    )
    return Verification(
        ok=not problems,
        frames_expected=expected,
        frames=film.video.frames if film.video is not None else 0,
        duration_expected=round(wanted, 3),
        duration=round(float(film.duration_seconds), 3),
        drift_ms=round(_drift_seconds(film) * 1000, 1),
        problems=problems,
        joins=joins,
        black=film.decoded.black if film.decoded else (),
        silent=film.decoded.silent if film.decoded else (),
    )


def _whole_problems(clips: Sequence[MediaFacts], film: MediaFacts, expected: int, wanted: float) -> Iterator[str]:
    frames = film.video.frames if film.video is not None else 0
    if frames != expected:
        yield f"{frames} frames decode where the clips have {expected}"
    if abs(float(film.duration_seconds) - wanted) > DRIFT_LIMIT_SECONDS:
        yield f"the film lasts {float(film.duration_seconds):.2f} s where the clips last {wanted:.2f} s"
    drift = _drift_seconds(film)
    if drift > DRIFT_LIMIT_SECONDS + _uneven_seconds(clips):
        yield f"sound and picture end {drift * 1000:.0f} ms apart"
    sounding = any(clip.audio is not None for clip in clips)
    if sounding and film.audio is None:
        yield "the sound is missing"
    if sounding and film.audio is not None and film.decoded is not None and film.decoded.samples == 0:
        yield "no sound can be decoded"


def _drift_seconds(facts: MediaFacts) -> float:
    if facts.video is None or facts.audio is None:
        return 0.0
    ends = [s.start_seconds + s.duration_seconds for s in (facts.video, facts.audio)]
    return abs(float(ends[0] - ends[1]))


def _uneven_seconds(clips: Sequence[MediaFacts]) -> float:
    """A film may end as unevenly as its last clip does."""
    if not clips:
        return 0.0
    return _drift_seconds(clips[-1]) if clips[-1].audio is not None else float(clips[-1].duration_seconds)


def _joins(clips: Sequence[MediaFacts], film: MediaFacts) -> Iterator[Join]:
    decoded = film.decoded
    if decoded is None or not decoded.pictures:
        return
    packets = _packet_times(decoded)
    for clip, at in zip(clips, _begins(clips, decoded), strict=True):
        clock = _clock_offset(decoded, at)
        found = _found_offset(clip, at, packets)
        offset = found if found is not None else clock if film.audio is not None else 0.0
        yield Join(round(at, 3), round(offset * 1000, 1), round(clock * 1000, 1))


def _begins(clips: Sequence[MediaFacts], decoded: Decoded) -> Iterator[float]:
    """When each clip's first frame is shown in the film."""
    first = 0
    for clip in clips:
        yield decoded.pictures[min(first, len(decoded.pictures) - 1)]
        first += clip.video.frames if clip.video is not None else 0


def _packet_times(decoded: Decoded) -> dict[str, list[float]]:
    """By checksum, when packets of audio stand in the film."""
    packets: dict[str, list[float]] = defaultdict(list)
    for at, checksum in decoded.sound_packets:
        packets[checksum].append(at)
    return packets


def _clock_offset(decoded: Decoded, at: float) -> float:
    """Seconds the sound's timestamps are behind or ahead of its samples counted from the film's first picture."""
    ahead = [step for since, step in decoded.sound_steps if since <= at]
    return decoded.sound_start - decoded.pictures[0] + (ahead[-1] if ahead else 0.0) if decoded.samples else 0.0


def _found_offset(clip: MediaFacts, at: float, packets: dict[str, list[float]]) -> float | None:
    """None where none of the clip's first packets is in the film near its picture."""
    if clip.audio is None or clip.video is None:
        return None
    offsets = []
    for time, checksum in clip.audio.head:
        wanted = at + float(time - clip.video.start_seconds)
        near = min((abs(found - wanted), found - wanted) for found in packets[checksum]) if packets[checksum] else None
        if near is not None and near[0] < SEARCHED_SECONDS:
            offsets.append(near[1])
    return median(offsets) if offsets else None


def _join_problems(joins: Sequence[Join]) -> Iterator[str]:
    for number, join in enumerate(joins):
        if abs(join.audio_offset_ms) > OFFSET_LIMIT_MS:
            yield f"the sound of clip {number + 1} is {join.audio_offset_ms:.0f} ms off its picture"


def _place_problems(clips: Sequence[MediaFacts], joins: Sequence[Join]) -> Iterator[str]:
    """Clips that do not begin where those before them end: an error at each join would add up."""
    wanted = 0.0
    for number, (clip, join) in enumerate(zip(clips, joins, strict=False)):
        off = join.at_seconds - joins[0].at_seconds - (wanted + _late_seconds(clip) - _late_seconds(clips[0]))
        if abs(off) > PLACE_LIMIT_SECONDS:
            yield f"clip {number + 1} begins {off * 1000:.0f} ms off its time"
        wanted += float(clip.duration_seconds)


def _late_seconds(clip: MediaFacts) -> float:
    """How long a clip has audio and no frame yet."""
    if clip.audio is None or clip.video is None:
        return 0.0
    return max(float(clip.video.start_seconds - clip.audio.start_seconds), 0.0)


def _lost_sounds(clips: Sequence[MediaFacts], film: MediaFacts) -> Iterator[str]:
    """Clips whose packets are not near their place in a film that has others' packets as they are."""
    if film.decoded is None or not film.decoded.pictures:
        return
    packets, begins = _packet_times(film.decoded), _begins(clips, film.decoded)
    found = [_found_offset(clip, at, packets) for clip, at in zip(clips, begins, strict=True)]
    if all(one is None for one in found):
        return
    for number, (clip, offset) in enumerate(zip(clips, found, strict=True)):
        if clip.audio is not None and offset is None:
            yield f"the sound of clip {number + 1} is not where its picture is"


def _stretches(clips: Sequence[MediaFacts], film: MediaFacts) -> Iterator[str]:
    if film.decoded is None or any(clip.decoded is None for clip in clips):
        return
    black: list[Interval] = []
    silent: list[Interval] = []
    starts = [join.at_seconds for join in _joins(clips, film)]
    for clip, start in zip(clips, starts, strict=False):
        assert clip.decoded is not None
        offset = start - (clip.decoded.pictures[0] if clip.decoded.pictures else 0.0)
        black += [_moved(one, offset) for one in clip.decoded.black]
        quiet = [Interval(0.0, float(clip.duration_seconds))] if clip.audio is None else clip.decoded.silent
        silent += [_moved(one, offset) for one in quiet]
        # Where a clip's sound begins late or ends early, the film has silence of its own right.
        silent += [_moved(one, offset) for one in _unheard(clip)]
    yield from _unexplained("black", film.decoded.black, black)
    yield from _unexplained("silent", film.decoded.silent, silent)


def _unheard(clip: MediaFacts) -> Iterator[Interval]:
    if clip.audio is not None:
        start, end = clip.audio.start_seconds, clip.audio.start_seconds + clip.audio.duration_seconds
        yield Interval(0.0, float(start))
        yield Interval(float(end), float(max(clip.duration_seconds, end)))


def _moved(one: Interval, seconds: float) -> Interval:
    return Interval(one.start_seconds + seconds, one.end_seconds + seconds)


def _unexplained(kind: str, found: Sequence[Interval], known: Sequence[Interval]) -> Iterator[str]:
    """Sentences for stretches that the known ones, which may follow one another, do not cover."""
    for one in found:
        if _covered_until(one.start_seconds, known) + STRETCH_TOLERANCE_SECONDS < one.end_seconds:
            yield f"the film is {kind} from {one.start_seconds:.2f} s to {one.end_seconds:.2f} s, its clips are not"


def _covered_until(seconds: float, known: Sequence[Interval]) -> float:
    for one in sorted(known, key=lambda interval: interval.start_seconds):
        if one.start_seconds <= seconds + STRETCH_TOLERANCE_SECONDS:
            seconds = max(seconds, one.end_seconds)
    return seconds
