"""Every reason why clips cannot be spliced; the clips that have none can."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from operator import gt

from shared.domain.errors import BadMedia
from shared.media.aac.silence import can_be_silent
from shared.media.clip import Clip, EqualConfig, Picture, PictureConfig, Sound
from shared.media.h264.config import AvcConfig
from shared.media.heads import SyncScan
from shared.media.hevc import HevcConfig
from shared.media.presentation import HELD_ABOVE_SECONDS
from shared.media.splice.parameter_sets import cannot_be_united
from shared.media.splice.sound import FRAME
from shared.media.splice.tracks import film_timescale
from shared.media.splice.traits import (
    NAMES,
    PictureTraits,
    audio_config,
    has_sound,
    layout,
    most_usual,
    picture_traits,
    pictures_alone,
    usual_sound,
)
from shared.media.timeline import AAC_FRAME_SAMPLES

LARGEST_TICKS = 2**30
LONGEST_FILM_SECONDS = 4 * 3600
# Half a packet of it is 23 ms, which nobody notices beside a picture (ITU-R BT.1359: 45 ms early is detected).
LOWEST_RATE = 22050
LATEST_SOUND_SECONDS = Fraction(12, 1000)  # half a packet of AAC at 44.1 kHz, as at a join
MOST_CHANNELS, MOST_CHANNELS_OF_WHOLE = 2, 6
MOST_CLIPS = 10_000
MOST_SAMPLES = 4_000_000
HARMLESS = {"mp4_payload_cut_off"}  # whether a sample is missing is seen sample by sample
Reason = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: of which clip (None: of all together), a stable code, a sentence for people."""

    clip: int | None
    code: str
    sentence: str


class CannotSplice(BadMedia):
    """The clips cannot lie in one track as they are; `refusals` say why."""

    code = "cannot_splice"

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        first = refusals[0]
        remedy = (
            "Compile again, with fewer clips." if first.clip is None else "Re-encode the clip, or compile without it."
        )
        super().__init__(f"{first.sentence} {remedy}")
        self.refusals = tuple(refusals)


def refusals(clips: Sequence[Clip], *, whole_sound: bool = False) -> tuple[Refusal, ...]:
    """All reasons, first those of single clips, then those of clips beside each other; none: `splice` will do it.

    `whole_sound`: the film's sound comes from another file, and whatever is wrong with the clips' own does not matter.
    """
    clips = pictures_alone(clips) if whole_sound else clips
    if not 0 < len(clips) <= MOST_CLIPS:
        return (Refusal(None, "number_of_clips", f"A film is made of 1 to {MOST_CLIPS} clips."),)
    own = [_refusal(number, reason) for number, clip in enumerate(clips) for reason in _of_one(clip)]
    refused = {one.clip for one in own}
    others = [(number, clip) for number, clip in enumerate(clips) if number not in refused]
    return (*own, *_beside_each_other(others))


def sound_refusals(whole: Clip, film_seconds: Fraction) -> tuple[Refusal, ...]:
    """Every reason why a file cannot be the sound of a film of this length, which it begins and ends with."""
    reasons = [(fault, f"has a damaged index ({fault})") for fault in whole.faults if fault not in HARMLESS]
    if whole.sound is None or not has_sound(whole):
        reasons.append(("no_sound", "has no sound"))
    else:
        reasons += _of_sound(whole.sound, MOST_CHANNELS_OF_WHOLE)
        reasons += [] if reasons else [*_of_payload(whole), *_of_length(whole.sound, film_seconds)]
    return tuple(Refusal(None, code, f"The file of the film's sound {what}.") for code, what in reasons)


def _of_length(sound: Sound, film_seconds: Fraction) -> Iterator[Reason]:
    times = sound.times
    assert times is not None
    heard = Fraction(times.heard_end - times.priming, times.timescale)
    if times.start_seconds > LATEST_SOUND_SECONDS:
        yield "sound_starts_late", f"begins {float(times.start_seconds):.3f} s after the first picture"
    if abs(heard - film_seconds) > Fraction(AAC_FRAME_SAMPLES, times.timescale):
        yield "sound_length_differs", f"lasts {float(heard):.3f} s, the film {float(film_seconds):.3f} s"


def _refusal(number: int, reason: Reason) -> Refusal:
    return Refusal(number, reason[0], f"Clip {number + 1} {reason[1]}.")


def _of_one(clip: Clip) -> Iterator[Reason]:
    for fault in clip.faults:
        if fault not in HARMLESS:
            yield fault, f"has a damaged index ({fault})"
    if clip.picture is None:
        yield "no_picture", "has no picture"
        return
    reasons = [*_of_picture(clip.picture), *(_of_sound(clip.sound) if clip.sound and has_sound(clip) else ())]
    yield from reasons
    if not reasons:
        yield from _of_lead(clip)
        yield from _of_payload(clip)


def _of_picture(picture: Picture) -> Iterator[Reason]:
    yield from _of_track(picture)
    yield from ((fault, f"has damaged pictures ({fault})") for fault in picture.faults)
    if picture.config is None:
        yield "video_codec", f"is coded as {picture.entry.kind}"
    elif isinstance(picture.config, AvcConfig) and not (picture.config.parsed and picture.config.pps):
        yield "no_parameter_sets", "has its parameter sets in band alone"
    elif picture.scan is not None and not _sets_stay(picture.config, picture.scan):
        yield "parameter_sets_change", "changes its parameter sets on the way"
    if picture.times is None:
        yield "no_times", "does not say when its pictures are shown"
    elif picture.config is not None and not picture.faults and (picture.scan is None or not picture.scan.closed_start):
        yield "open_start", "does not begin with a picture that stands alone"
    yield from _of_times(picture)


def _sets_stay(config: PictureConfig, scan: SyncScan) -> bool:
    """Whether key pictures bring and name no parameter sets but those the file's head lists."""
    if isinstance(config, EqualConfig):
        return True
    if isinstance(config, HevcConfig):
        return scan.sets <= {*config.sets}
    return scan.sets <= {*config.sps.values(), *config.pps.values()} and scan.pps_ids <= {*config.pps}


def _of_times(picture: Picture) -> Iterator[Reason]:
    times = picture.times
    if times is None:
        return
    if times.odd_edits:
        yield "odd_edits", "is shown through an edit list of several entries or another speed"
    if times.hidden_first or times.hidden_last or times.cut_ticks:
        yield "trimmed", f"hides frames at its {'start' if times.hidden_first else 'end'}"
    if not times.ticks:
        yield "no_times", "gives its pictures no time"
    first_shift = next((value for count, value in picture.tables.shifts if count), 0) if picture.tables.shifts else 0
    is_first = first_shift == times.first_shown and times.last_shown - times.first_shown < times.ticks
    if not is_first or picture.tables.deltas.total != times.ticks:
        yield "odd_composition", "shows pictures outside its own time"
    if picture.late_seconds > HELD_ABOVE_SECONDS:
        yield "late_picture", "begins with audio and no frame to hold"


def _of_sound(sound: Sound, most_channels: int = MOST_CHANNELS) -> Iterator[Reason]:
    yield from _of_track(sound)
    yield from ((fault, f"has damaged sound ({fault})") for fault in sound.track.faults)
    aac = sound.entry.aac
    if sound.entry.kind != "mp4a" or aac is None or not aac.is_plain_lc:
        yield "audio_codec", "has sound that is not plain AAC-LC"
    elif not 0 < aac.channels <= most_channels or not can_be_silent(aac.channel_config):
        yield "audio_channels", f"has sound of more than {most_channels} channels"
    elif sound.track.timescale != aac.sample_rate or sound.times is None or not sound.times.on_grid:
        yield "audio_grid", "has packets of sound that do not last 1024 samples each"
    if sound.times is not None and sound.times.odd_edits:
        yield "odd_audio_edits", "has sound heard through an edit list of several entries or another speed"


def _of_lead(clip: Clip) -> Iterator[Reason]:
    """A first packet that stands apart from the others is moved to them: nobody hears it before the first picture."""
    times = clip.sound.times if clip.sound and has_sound(clip) else None
    if times is None or not times.lead_seconds or clip.picture is None or clip.picture.times is None:
        return
    begin = times.start_seconds - Fraction(times.priming, times.timescale) - times.lead_seconds
    if begin + Fraction(FRAME, times.timescale) > clip.picture.times.start_seconds:
        yield "audio_grid", "has a gap in its sound"


def _of_track(part: Picture | Sound) -> Iterator[Reason]:
    if part.entry.kind in ("encv", "enca"):
        yield "encrypted", "is encrypted"
    if part.track.entries != 1 or part.tables.descriptions_used != frozenset({1}):
        yield "several_descriptions", "changes its coding on the way"
    if part.track.external:
        yield "external_data", "keeps its media in another file"


def _of_payload(clip: Clip) -> Iterator[Reason]:
    """Every chunk lies in one of the payloads and no byte is used twice."""
    starts = sorted(start for part in _parts(clip) for start in part.tables.chunk_offsets)
    ends = sorted(end for part in _parts(clip) for end in part.tables.chunk_ends)
    if any(map(gt, ends, islice(starts, 1, None))):
        yield "chunks_overlap", "uses the same bytes twice"
    elif not starts or not _inside(starts, ends, clip.file.payloads):
        yield "chunk_outside", "is cut off or names media outside its payload"


def _inside(starts: Sequence[int], ends: Sequence[int], payloads: Sequence[tuple[int, int]]) -> bool:
    """Whether each chunk lies in a payload. Of chunks that do not overlap, the nth start and the nth end belong
    together."""
    firsts = [first for first, _ in payloads]
    places = (bisect_right(firsts, start) - 1 for start in starts)
    return all(place >= 0 and end <= payloads[place][1] for place, end in zip(places, ends, strict=True))


def _parts(clip: Clip) -> list[Picture | Sound]:
    parts: list[Picture | Sound] = [clip.picture] if clip.picture else []
    return [*parts, clip.sound] if clip.sound and has_sound(clip) else parts


def _beside_each_other(numbered: Sequence[tuple[int, Clip]]) -> Iterator[Refusal]:
    clips = [clip for _, clip in numbered]
    usual = most_usual(clips, _traits, lambda clip: clip.picture.tables.sizes.count if clip.picture else 0)
    if usual is None:
        return
    for number, clip in numbered:
        for code in usual.differing(_traits(clip)):
            yield _refusal(number, (code, f"has {NAMES[code]} than most of the film"))
    alike = [(number, clip) for number, clip in numbered if _traits(clip) == usual]
    yield from _of_layouts(numbered)
    yield from _of_clocks(alike)
    yield from (_refusal(alike[place][0], reason) for place, reason in cannot_be_united([one for _, one in alike]))
    yield from _of_the_film(clips)


def _traits(clip: Clip) -> PictureTraits:
    assert clip.picture is not None
    return picture_traits(clip.picture)


def _of_layouts(numbered: Sequence[tuple[int, Clip]]) -> Iterator[Refusal]:
    usual = usual_sound([clip for _, clip in numbered])
    for number, clip in numbered:
        config = audio_config(clip)
        if config is None or usual is None:
            continue
        if layout(config) != layout(usual):
            yield _refusal(number, ("audio_differs", "has sound of another rate or channels than most of the film"))
        elif config.sample_rate < LOWEST_RATE and len(numbered) > 1:
            yield _refusal(
                number, ("audio_rate", "has sound of so low a rate that it would be heard to be out of time")
            )


def _of_clocks(numbered: Sequence[tuple[int, Clip]]) -> Iterator[Refusal]:
    """Clips whose times would leave 32 bits in the film's units; a clock that does not fit is rounded to the film's."""
    film = film_timescale([clip for _, clip in numbered])
    for number, clip in numbered:
        if _overflows(clip, film):
            yield _refusal(number, ("timescale", "counts time in units that do not fit the others'"))


def _overflows(clip: Clip, film: int) -> bool:
    assert clip.picture is not None
    tables = clip.picture.tables
    shifts = tables.shifts.values if tables.shifts else ()
    largest = max(chain(tables.deltas.values, map(abs, shifts)), default=0)
    return largest * film > LARGEST_TICKS * clip.picture.track.timescale


def _of_the_film(clips: Sequence[Clip]) -> Iterator[Refusal]:
    if sum(clip.seconds_of_picture for clip in clips) > LONGEST_FILM_SECONDS:
        yield Refusal(None, "too_long", f"The film would last over {LONGEST_FILM_SECONDS // 3600} hours.")
    if sum(part.tables.sizes.count for clip in clips for part in _parts(clip)) > MOST_SAMPLES:
        yield Refusal(None, "too_many_samples", f"The film would hold over {MOST_SAMPLES} pictures and packets.")
