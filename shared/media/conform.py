"""FFmpeg's arguments that bring one clip to a film's format: size, rate, colours, sound, to the very picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from shared.domain.errors import BadMedia
from shared.media.colour_filters import matrix_of, read_colours, tone_map
from shared.media.commands import AAC, EVEN_TICKS, NAMELESS_FILM, QUIET, reading, strictness, writing
from shared.media.probe import MediaFacts, VideoFacts
from shared.media.sound import held_seconds, piece_of, sound_graph
from shared.media.streams import MediaInput, MediaResult
from shared.media.target import Target

LEAST_TIMESCALE = 10_000
NEAR_RATE = Fraction(1, 100)
_PROFILES = {"Constrained Baseline": "baseline", "Baseline": "baseline", "Main": "main", "High": "high"}
_SDR_TAGS = {"bt709", "smpte170m", "bt470bg"}
# The native decoders leave a WebM's transparency out.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def conform_command(
    clip: MediaInput,
    facts: MediaFacts,
    target: Target,
    result: MediaResult,
    *,
    model: VideoFacts | None = None,
    timing: Timing | None = None,
    changing: bool = False,
) -> list[str]:
    """Re-encodes a clip to the target. It starts at 0, its audio lasts as long as its frames. Where its first frame is
    late, it is held from 0 on. `timing` is that of a film of its own where none is given.

    `changing`: the clip changes its frame size or a format on the way. The log tells whether one does (`has_changed`).

    With `model` the result is made like that H.264 picture (profile, colours), so that it may be copied next to it:
    the splice numbers their parameter sets apart.
    """
    video = facts.video
    if video is None:
        raise ValueError("a clip without a picture cannot be conformed")
    (timing,) = [timing] if timing is not None else conformed_timings([(facts, False)], target)
    seconds, held = shown_seconds(facts) if timing.own else timing.frames / target.fps, held_seconds(facts)
    begin, sound = f"PTS+round({held - video.start_seconds - timing.late_seconds}/TB)", []
    if timing.one_by_one and not changing:
        begin = f"round((N+{timing.frames - video.frames})/({target.fps})/TB)"
    if timing.own:
        graphs = _with_own_times(video, target, model, begin, timing.frames)
    else:
        graphs = _at_even_rate(video, target, model, begin, timing.frames, changing=changing)
    if target.sample_rate is not None:
        samples, piece = round(seconds * target.sample_rate), piece_of(clip, facts, seconds, held=held)
        graphs += sound_graph(piece, samples, target.sample_rate, target.channels, changing=changing)
        sound = ["-map", "[sound]", *AAC]
    decoder = ["-c:v", _ALPHA_DECODERS[video.codec]] if video.alpha and video.codec in _ALPHA_DECODERS else []
    return [
        *QUIET, "-v", "info", "-nostats", "-xerror", *strictness(video), "-copyts", *decoder, *reading(clip),
        *graphs, "-map", "[picture]", *_encoder(video.fps if timing.own else target.fps, model, own_times=timing.own),
        *sound, *NAMELESS_FILM, *writing(result),
    ]  # fmt: skip


class ClipChanges(BadMedia):
    """The clip changes its frame size or a format on the way: it has to be encoded as one that does."""

    code = "clip_changes"

    def __init__(self) -> None:
        super().__init__("The clip changes its format on the way: export it anew in one format.")


@dataclass(frozen=True, slots=True)
class Timing:
    """How many frames an encoded clip gets: its own, each at its own time, or as many of an even rate as it lasts.

    `late_seconds`: how much later the clip begins in the film than it should, by what was rounded before; half a frame
    at most. `one_by_one`: the clip is even at the film's own rate, so that each frame takes the next place, whatever
    its container rounds its time to; the first one takes those that are more than the clip has.
    """

    frames: int
    own: bool
    late_seconds: Fraction = Fraction(0)
    one_by_one: bool = False


def conformed_timings(encoded: Iterable[tuple[MediaFacts, bool]], target: Target) -> list[Timing]:
    """Of the film's encoded clips in their order, each with whether its frames keep their own times; clips that are
    copied between them keep their exact lengths and do not matter.

    What is rounded off one clip is carried to the next: wherever an encoded clip ends, the film is half a frame off
    the clips' own time at most (more only after a clip shorter than a frame, which gets one all the same).
    """
    timings, carried = [], Fraction(0)
    for facts, own in encoded:
        if own and facts.video is not None:
            timings.append(Timing(facts.video.frames, True))
            continue
        late, carried = -carried, carried + shown_seconds(facts)
        frames, one_by_one = max(round(carried * target.fps), 1), _is_even_at(facts, target.fps)
        if one_by_one and facts.video is not None:
            frames = max(frames, facts.video.frames) if held_seconds(facts) else facts.video.frames
        carried -= frames / target.fps
        timings.append(Timing(frames, False, late if _is_far(facts, target.fps) else Fraction(0), one_by_one))
    return timings


def _is_even_at(facts: MediaFacts, rate: Fraction) -> bool:
    return facts.video is not None and facts.video.fps == rate and not facts.video.variable_rate


def _is_far(facts: MediaFacts, rate: Fraction) -> bool:
    """Whether a clip's rate is another one: frames of about the film's rate, half a frame off, would fall on either
    side of a border by the least jitter.
    """
    return facts.video is not None and abs(facts.video.fps / rate - 1) > NEAR_RATE


def shown_seconds(facts: MediaFacts) -> Fraction:
    """How long a clip's frames are shown in a film, the first one from the beginning of its audio on."""
    return held_seconds(facts) + facts.video.duration_seconds if facts.video is not None else Fraction(0)


def has_changed(log: str) -> bool:
    """Whether FFmpeg started a filter graph anew, with all counts at 0, as its input changed on the way."""
    return "Reconfiguring filter graph because" in log.rpartition("Stream mapping:")[2]


def _with_own_times(video: VideoFacts, target: Target, model: VideoFacts | None, begin: str, frames: int) -> list[str]:
    """`-filter_complex` with each frame at its own time, the first one from 0 on."""
    times = f"settb=1/{EVEN_TICKS},setpts=if(eq(N\\,0)\\,0\\,{begin})"
    graph = f"{times},{picture_filter(video, target, model)},trim=end_frame={frames}"
    return ["-filter_complex", f"[0:V:{video.stream}]{graph}[picture]"]


def _at_even_rate(
    video: VideoFacts, target: Target, model: VideoFacts | None, begin: str, frames: int, *, changing: bool
) -> list[str]:
    """`-filter_complex` options that end in `[picture]`: so many frames, the first of the clip's own from 0 on.

    Where the clip changes on the way, FFmpeg starts the graph anew: then the first one makes the frames alike and never
    ends, and a second one counts. Not for every clip: with audio that begins late, FFmpeg's graphs wait for each other
    for ever. Not by `-frames:v`, which would end the audio before its last packet.
    """
    # A clip that changes may begin its frames anew: there the first one is at 0 by its time alone.
    begun = begin if changing else f"if(eq(N\\,0)\\,0\\,{begin})"
    endless, counted = "tpad=stop=-1:stop_mode=clone", f"fps={target.fps}:start_time=0"
    last = f"trim=end_frame={frames}[picture]"
    if not changing:
        # The last frame goes on before the rate is made even, which drops one whose length it does not know.
        even = picture_filter(video, target, model, [endless, counted])
        return ["-filter_complex", f"[0:V:{video.stream}]setpts={begun},{even},{last}"]
    alike = f"setpts={begun},{picture_filter(video, target, model, [f'fps={target.fps}'])}"
    return [
        *("-filter_complex", f"[0:V:{video.stream}]{alike},{endless}[frames]"),
        *("-filter_complex", f"[frames]{counted},{last}"),
    ]


def picture_filter(video: VideoFacts, target: Target, model: VideoFacts | None, timed: Sequence[str] = ()) -> str:
    """Upright (FFmpeg turns it before), progressive, `timed` by filters if any, over black, square pixels, in SDR."""
    steps = list(read_colours(video))
    if video.interlaced:
        steps.append("bwdif=mode=send_frame:deint=interlaced")
    steps += timed
    if video.alpha:
        steps.append("format=gbrap,premultiply=inplace=1,format=gbrp")
    if video.hdr:
        steps.append(tone_map())
    tags = _tags(model)
    steps.append(
        f"scale={target.width}:{target.height}:force_original_aspect_ratio=decrease:reset_sar=1:"
        f"out_color_matrix={_written_matrix(model)}:out_range=tv,"
        f"pad={target.width}:{target.height}:(ow-iw)/2:(oh-ih)/2,setsar=1,format=yuv420p,"
        f"setparams=range=tv:colorspace={tags[0]}:color_primaries={tags[1]}:color_trc={tags[2]}"
    )
    return ",".join(steps)


def _tags(model: VideoFacts | None) -> tuple[str, str, str]:
    """Matrix, primaries and transfer the result says it has: the model's where they are SDR's usual ones."""
    if model is None:
        return "bt709", "bt709", "bt709"
    matrix, primaries, transfer = (
        tag if tag in _SDR_TAGS else "unknown" for tag in (model.matrix, model.primaries, model.transfer)
    )
    return matrix, primaries, transfer


def _written_matrix(model: VideoFacts | None) -> str:
    """The matrix of the result's pixels, which a model need not say."""
    matrix = matrix_of(model) if model is not None else "bt709"
    return matrix if matrix in _SDR_TAGS else "bt709"


def _encoder(fps: Fraction, model: VideoFacts | None, *, own_times: bool) -> list[str]:
    """A timescale that divides evenly into pictures: 24000/1001 has no whole ticks in 12800."""
    timescale = fps.numerator * max(-(-LEAST_TIMESCALE // fps.numerator), 1) if fps > 0 else LEAST_TIMESCALE
    timing = ["-fps_mode", "cfr", "-video_track_timescale", str(timescale)]
    if own_times:
        ticks = str(EVEN_TICKS)
        # Uneven frames that are decoded in another order may have no times to be decoded at.
        timing = [
            "-bf",
            "0",
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            f"1/{ticks}",
            "-video_track_timescale",
            ticks,
        ]
    profile = _PROFILES.get(model.profile) if model is not None else None
    return [
        "-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-g", str(max(round(fps * 2), 1)), "-flags", "+cgop",
        *(["-profile:v", profile] if profile else []), *timing,
    ]  # fmt: skip
