"""The clips' tables one after another, as one picture track and one sound track."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, chain, pairwise
from math import lcm

from shared.media.aac.config import AudioConfig
from shared.media.clip import Clip, Picture, shape
from shared.media.h264.config import AvcConfig
from shared.media.mp4.movie import PICTURE, SOUND, UNIT_MATRIX
from shared.media.mp4.tables import Runs, expanded
from shared.media.mp4.writing import NewTrack, aac_entry, merged, visual_entry
from shared.media.presentation import matrix_of
from shared.media.splice.payload import Payload
from shared.media.splice.sound import FRAME, SoundPlan, Stretch
from shared.media.splice.traits import colour
from shared.media.timeline import PictureTimes, shown_at

# Some players round times to the film's ticks.
COARSEST_TIMESCALE = 10_000
FINEST_TIMESCALE = 2**24
# A film's own where none of its clips' fits.
USUAL_TIMESCALE = 90_000
CONFIG_BOXES = {"avc1": "avcC", "av01": "av1C", "vp09": "vpcC", "mp4v": "esds"}


def film_timescale(clips: Sequence[Clip]) -> int:
    """The least one that the clips' own go into, made fine enough for players.

    The clocks that most of the film counts in go first; those that would make it finer than FINEST_TIMESCALE do not fit
    and are rounded to it.
    """
    weights: Counter[int] = Counter()
    for clip in clips:
        weights[_times(clip).coarsest_timescale] += _times(clip).pictures
    fitting: list[int] = []
    for timescale, _ in weights.most_common():
        if _fine_enough(lcm(*fitting, timescale)) <= FINEST_TIMESCALE:
            fitting.append(timescale)
    return _fine_enough(lcm(*fitting)) if fitting else USUAL_TIMESCALE


def _fine_enough(timescale: int) -> int:
    return timescale if timescale >= COARSEST_TIMESCALE else timescale * 1000


@dataclass(frozen=True, slots=True)
class Clock:
    """The film's timescale; `begins`: the tick each clip begins at, last the end.

    They are rounded from the clips' exact lengths added up, so that what rounding leaves never adds up.
    """

    timescale: int
    begins: tuple[int, ...]

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> Clock:
        """Of clips that all have pictures."""
        timescale = film_timescale(clips)
        moments = accumulate((times.seconds for times in map(_times, clips)), initial=Fraction(0))
        return cls(timescale, tuple(round(moment * timescale) for moment in moments))

    @property
    def seconds(self) -> tuple[Fraction, ...]:
        """When each clip begins, last the end."""
        return tuple(Fraction(begin, self.timescale) for begin in self.begins)

    @property
    def ticks(self) -> int:
        """How long the film is."""
        return self.begins[-1]


@dataclass(frozen=True, slots=True)
class _FilmTimes:
    """A clip's times in the film's ticks: what `stts` and `ctts` say, and when its first frame is shown."""

    deltas: Runs
    shifts: Runs | None
    first_shown: int


def _film_times(picture: Picture, clock: Clock, clip: int) -> _FilmTimes:
    assert picture.times is not None
    tables, times = picture.tables, picture.times
    scale = Fraction(clock.timescale, picture.track.timescale)
    if clock.timescale % times.coarsest_timescale:
        return _rounded_times(picture, scale, clock.begins[clip + 1] - clock.begins[clip])
    shifts = tables.shifts and merged((count, _scaled(value, scale)) for count, value in tables.shifts)
    deltas = merged((count, _scaled(delta, scale)) for count, delta in tables.deltas)
    return _FilmTimes(deltas, shifts, _scaled(times.first_shown, scale))


def _rounded_times(picture: Picture, scale: Fraction, ticks: int) -> _FilmTimes:
    """Each frame's time rounded by itself; the clip lasts exactly so many ticks."""
    assert picture.times is not None
    decoded = list(accumulate(expanded(picture.tables.deltas), initial=0))
    moments = [round(one * scale) for one in decoded]
    moments[-1] = ticks
    shown = [round(one * scale) for one in shown_at(picture.tables)]
    deltas = merged((1, later - one) for one, later in pairwise(moments))
    shifts = merged((1, at - one) for at, one in zip(shown, moments, strict=False))
    return _FilmTimes(deltas, shifts if any(shifts.values) else None, round(picture.times.first_shown * scale))


@dataclass(frozen=True, slots=True)
class Placed:
    """The clips' payloads, and where each of them and each stretch beside them begins in the film's own."""

    payloads: tuple[Payload, ...]
    begins: Mapping[Stretch | int, int]
    silent_frame_bytes: int

    def shift(self, clip: int) -> int:
        """What to add to a clip's chunk offsets."""
        return self.begins[clip] - self.payloads[clip].first

    def moved_pictures(self, clip: int) -> Iterator[int]:
        """Where its chunks of pictures lie in the film's payload."""
        return map(self.shift(clip).__add__, self.payloads[clip].picture_chunks)


def picture_track(clips: Sequence[Clip], placed: Placed, clock: Clock, record: bytes) -> NewTrack:
    """`record` is the decoder configuration of all."""
    model = _picture(clips[0])
    pictures = [_picture(clip) for clip in clips]
    times = [_film_times(picture, clock, clip) for clip, picture in enumerate(pictures)]
    edit_start = max(one.first_shown for one in times)
    shown = shape(model)
    width, height = shown.coded
    kind = "avc1" if isinstance(model.config, AvcConfig) else model.entry.kind
    config_kind = CONFIG_BOXES.get(kind, "hvcC")
    told = model.entry.colour and colour(model)
    return NewTrack(
        id=1,
        handler=PICTURE,
        timescale=clock.timescale,
        edit_start=edit_start,
        shown=clock.ticks,
        matrix=matrix_of(shown.orientation, (round(width * shown.pixel_aspect), height)),
        width=round(width * shown.pixel_aspect),
        height=height,
        language=model.track.language,
        entry=visual_entry(kind, shown, config_kind, record, told),
        deltas=merged(chain.from_iterable(one.deltas for one in times)),
        shifts=_shifts(pictures, times, edit_start),
        sync=_sync(pictures),
        sizes=array("I", chain.from_iterable(payload.picture_sizes for payload in placed.payloads)),
        chunk_offsets=array("Q", chain.from_iterable(map(placed.moved_pictures, range(len(clips))))),
        chunk_samples=array("I", chain.from_iterable(picture.tables.chunk_samples for picture in pictures)),
    )


def sound_track(
    sources: Sequence[Clip], placed: Placed, clock: Clock, plan: SoundPlan, config: AudioConfig
) -> NewTrack:
    """`config` is the layout all `sources` share: the clips and, if there is one, the whole sound behind them."""
    like = next(source.sound for source in sources if source.sound and source.sound.entry.aac == config)
    sizes, offsets, samples = array("I"), array("Q"), array("I")
    for stretch in plan.stretches:
        if stretch.is_own:
            _append_clip(sources[stretch.clip], stretch, placed, (sizes, offsets, samples))
            continue
        sizes.extend(_sizes_beside(sources, stretch, placed))
        offsets.append(placed.begins[stretch])
        samples.append(stretch.packets)
    return NewTrack(
        id=2,
        handler=SOUND,
        timescale=config.sample_rate,
        edit_start=plan.edit_start,
        shown=int(plan.seconds * clock.timescale),
        matrix=UNIT_MATRIX,
        width=0,
        height=0,
        language=like.track.language,
        entry=aac_entry(like.entry, config),
        deltas=Runs(array("I", [len(sizes)]), array("I", [FRAME])),
        shifts=None,
        sync=None,
        sizes=sizes,
        chunk_offsets=offsets,
        chunk_samples=samples,
    )


def _sizes_beside(sources: Sequence[Clip], stretch: Stretch, placed: Placed) -> array[int]:
    """Bytes of each packet of a stretch that lies beside its clip's payload."""
    if stretch.source is None:
        return array("I", [placed.silent_frame_bytes]) * stretch.packets
    sound = sources[stretch.source].sound
    assert sound is not None
    return sound.tables.sizes.expanded()[stretch.first : stretch.first + stretch.packets]


def _append_clip(
    clip: Clip, stretch: Stretch, placed: Placed, columns: tuple[array[int], array[int], array[int]]
) -> None:
    """The stretch's packets, chunk by chunk; of a chunk it begins or ends in, only its own."""
    assert clip.sound is not None
    sizes, offsets, samples = columns
    every = clip.sound.tables.sizes.expanded()
    end = stretch.first + stretch.packets
    sizes.extend(every[stretch.first : end])
    firsts = list(accumulate(clip.sound.tables.chunk_samples, initial=0))
    begin_chunk, end_chunk = bisect_right(firsts, stretch.first) - 1, bisect_left(firsts, end)
    chunks = slice(begin_chunk, end_chunk)
    kept_offsets = array(
        "Q", map(placed.shift(stretch.clip).__add__, placed.payloads[stretch.clip].sound_chunks[chunks])
    )
    kept_samples = clip.sound.tables.chunk_samples[chunks]
    left_out = stretch.first - firsts[begin_chunk]
    kept_offsets[0] += sum(every[firsts[begin_chunk] : stretch.first])
    kept_samples[0] -= left_out
    kept_samples[-1] -= firsts[end_chunk] - end
    offsets.extend(kept_offsets)
    samples.extend(kept_samples)


def _scaled(ticks: int, scale: Fraction) -> int:
    """A whole number, as the film's timescale was chosen so."""
    return ticks * scale.numerator // scale.denominator


def _shifts(pictures: Sequence[Picture], times: Sequence[_FilmTimes], edit_start: int) -> Runs | None:
    """So that each clip's first frame is shown when its own time begins, after the one edit of all."""
    rows: list[tuple[int, int]] = []
    for picture, one in zip(pictures, times, strict=True):
        own = one.shifts or ((picture.tables.sizes.count, 0),)
        rows += [(count, value + edit_start - one.first_shown) for count, value in own]
    runs = merged(rows)
    return runs if any(runs.values) else None


def _sync(pictures: Sequence[Picture]) -> array[int] | None:
    """None where every picture of every clip stands alone."""
    if all(picture.tables.sync is None for picture in pictures):
        return None
    numbers = array("I")
    before = 0
    for picture in pictures:
        count = picture.tables.sizes.count
        own = picture.tables.sync if picture.tables.sync is not None else range(1, count + 1)
        numbers.extend(map(before.__add__, own))
        before += count
    return numbers


def _picture(clip: Clip) -> Picture:
    assert clip.picture is not None
    return clip.picture


def _times(clip: Clip) -> PictureTimes:
    times = _picture(clip).times
    assert times is not None
    return times
