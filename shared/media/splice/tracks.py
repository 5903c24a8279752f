"""The clips' tables one after another, as one picture track and one sound track."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, chain
from math import lcm

from shared.media.aac.config import AudioConfig
from shared.media.clip import Clip, Picture
from shared.media.h264.config import AvcConfig
from shared.media.mp4.movie import PICTURE, SOUND, UNIT_MATRIX
from shared.media.mp4.tables import Runs
from shared.media.mp4.writing import NewTrack, aac_entry, merged, visual_entry
from shared.media.splice.payload import Payload
from shared.media.splice.sound import FRAME, SoundPlan, Stretch
from shared.media.splice.traits import coded_size, colour, pixel_aspect
from shared.media.timeline import PictureTimes

# Some players round times to the film's ticks.
COARSEST_TIMESCALE = 10_000
FINEST_TIMESCALE = 2**24
CONFIG_BOXES = {"avc1": "avcC", "av01": "av1C", "vp09": "vpcC", "mp4v": "esds"}


def film_timescale(timescales: Iterable[int]) -> int:
    """The least one that all go into, made fine enough for players; it may be over FINEST_TIMESCALE."""
    least = lcm(*timescales)
    return least if least >= COARSEST_TIMESCALE else least * 1000


@dataclass(frozen=True, slots=True)
class Clock:
    """The film's timescale, in which all ticks are whole numbers; `seconds`: when each clip begins, last the end."""

    timescale: int
    seconds: tuple[Fraction, ...]

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> Clock:
        """Of clips that all have pictures."""
        timescale = film_timescale(_times(clip).coarsest_timescale for clip in clips)
        return cls(timescale, tuple(accumulate((times.seconds for times in map(_times, clips)), initial=Fraction(0))))

    @property
    def ticks(self) -> int:
        """How long the film is."""
        return int(self.seconds[-1] * self.timescale)


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
    scales = [Fraction(clock.timescale, picture.track.timescale) for picture in pictures]
    edit_start = max(_scaled(_times(clip).first_shown, scale) for clip, scale in zip(clips, scales, strict=True))
    size = coded_size(model)
    kind = "avc1" if isinstance(model.config, AvcConfig) else model.entry.kind
    config_kind = CONFIG_BOXES.get(kind, "hvcC")
    told = model.entry.colour and colour(model)
    return NewTrack(
        id=1,
        handler=PICTURE,
        timescale=clock.timescale,
        edit_start=edit_start,
        shown=clock.ticks,
        matrix=model.track.matrix,
        width=round(size[0] * pixel_aspect(model)),
        height=size[1],
        language=model.track.language,
        entry=visual_entry(kind, size, config_kind, record, model.entry, told),
        deltas=merged(chain.from_iterable(map(_scaled_deltas, pictures, scales))),
        shifts=_shifts(pictures, scales, edit_start),
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


def _scaled_deltas(picture: Picture, scale: Fraction) -> Iterator[tuple[int, int]]:
    return ((count, _scaled(delta, scale)) for count, delta in picture.tables.deltas)


def _scaled(ticks: int, scale: Fraction) -> int:
    """A whole number, as the film's timescale was chosen so."""
    return ticks * scale.numerator // scale.denominator


def _shifts(pictures: Sequence[Picture], scales: Sequence[Fraction], edit_start: int) -> Runs | None:
    """So that each clip's first picture is shown when its own time begins, after the one edit of all."""
    rows: list[tuple[int, int]] = []
    for picture, scale in zip(pictures, scales, strict=True):
        assert picture.times is not None
        own = picture.tables.shifts or ((picture.tables.sizes.count, 0),)
        moved = edit_start - _scaled(picture.times.first_shown, scale)
        times, by = scale.numerator, scale.denominator
        rows += [(count, value * times // by + moved) for count, value in own]
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
