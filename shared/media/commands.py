"""FFmpeg's arguments. Inputs are our own files by absolute `file:` names, or what comes through standard input; no
user's text ever gets in here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from shared.media.colour_filters import read_colours
from shared.media.decoded import DARK_PIXEL, SHORTEST_STRETCH_SECONDS, SILENT_BELOW
from shared.media.probe import AudioFacts, MediaFacts, VideoFacts
from shared.media.sound import BITS_PER_SECOND, SoundPiece, sound_graph
from shared.media.streams import MediaInput, MediaResult
from shared.media.timeline import AAC_FRAME_SAMPLES

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,wav,mp3,flac,ogg,aac,"
    "png_pipe,jpeg_pipe,webp_pipe,webp_anim,apng,gif,gif_pipe,image2"
)
JOINED_FORMATS = "concat,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,flv,mpegts"
# FFmpeg hands the lists on to what a concat script opens.
JOINING = ["-protocol_whitelist", "file", "-format_whitelist", JOINED_FORMATS, "-f", "concat", "-safe", "1"]
MAX_PIXELS = 7680 * 4320
MAX_ALLOC_BYTES = 1024**3
MAX_STREAMS = 64
_OUR_NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
THUMBNAIL_PIXELS = 640
# A second in the times of rewrapped pictures, at least.
EVEN_TICKS = 90_000
QUIET = ["-nostdin", "-hide_banner", "-y", "-max_alloc", str(MAX_ALLOC_BYTES)]
NAMELESS_FILM = ["-map_metadata", "-1", "-map_chapters", "-1"]
AAC = ["-c:a", "aac", "-b:a", str(BITS_PER_SECOND)]
# Of a pipe the index cannot be put in front afterwards: it comes in pieces. The first tells when things begin.
_IN_PIECES = ["-movflags", "+delay_moov+default_base_moof", "-frag_duration", "2000000", "-f", "mp4", "pipe:1"]
# Sound between two runs: nothing is lost and every sample counts.
_RAW_SOUND = ["-f", "f32le", "-c:a", "pcm_f32le"]
_CONTAINERS = {".mp4": ["-movflags", "+faststart", "-f", "mp4"], ".webm": ["-f", "webm"]}
# Without these, names and notes a file's author wrote would stand between the facts in the log.
_NAMELESS = ["-map_metadata", "-1", "-map_metadata:s", "-1", "-map_chapters", "-1"]
# Packets whose times go back a little, as where broadcasts were joined, are listed all the same.
_IN_ORDER = r"setts=dts=if(gt(PREV_OUTDTS\,DTS)\,PREV_OUTDTS\,DTS)"
# AVI tells no times but those of decoding.
_SOME_TIME = r"if(eq(PTS\,NOPTS)\,DTS\,PTS)"
_LISTED_IN_ORDER = ["-bsf:v", _IN_ORDER, "-bsf:a", _IN_ORDER]


def probe_command(source: MediaInput, *, video: int = 0, audio: int = 0, sound: bool = True) -> list[str]:
    """Lists all packets on stdout; describes the first picture of `video` and the first sound of `audio` in the log."""
    listed, heard = (["-map", "0:a?"], ["-map", f"0:a:{audio}?"]) if sound else ([], [])
    shown = f"0:V:{video}?"
    return [
        *QUIET, "-v", "info", "-nostats", "-noautorotate", "-max_error_rate", "1", "-threads", "1", *reading(source),
        "-map", "0:V?", *listed, *_NAMELESS, "-c", "copy", "-copyts", "-f", "framecrc", "pipe:1",
        "-map", shown, *heard, *_NAMELESS, "-frames:v", "1", "-frames:a", "1",
        "-vf", "showinfo=checksum=0", "-af", "ashowinfo", "-f", "null", "-",
    ]  # fmt: skip


def decode_command(source: MediaInput, facts: MediaFacts) -> list[str]:
    """One pass: lists stored packets and decoded frames on stdout, dark and silent stretches in the log.

    An error of the decoder ends it. Frames are passed on without a copy or a checksum of their pixels.
    """
    maps, decode = [], []
    if facts.video is not None:
        dark = [*read_colours(facts.video), f"blackdetect=d={SHORTEST_STRETCH_SECONDS}:pix_th={DARK_PIXEL}"]
        maps += ["-map", f"0:V:{facts.video.stream}"]
        decode += [
            "-c:v:0", "copy", "-c:v:1", "wrapped_avframe", "-fps_mode:v:1", "passthrough",
            "-enc_time_base:v:1", "demux", "-filter:v:1", ",".join(dark),
        ]  # fmt: skip
    if facts.audio is not None:
        maps += ["-map", f"0:a:{facts.audio.stream}"]
        decode += [
            "-c:a:0", "copy", "-c:a:1", "pcm_s16le",
            "-filter:a:1", f"silencedetect=n={SILENT_BELOW}:d={SHORTEST_STRETCH_SECONDS}",
        ]  # fmt: skip
    return [
        *QUIET, "-v", "info", "-nostats", "-noautorotate", "-xerror", *strictness(facts.video), *reading(source),
        *maps, *maps, *_NAMELESS, *decode, *_LISTED_IN_ORDER, "-f", "framecrc", "pipe:1",
    ]  # fmt: skip


def strictness(video: VideoFacts | None) -> list[str]:
    """Whether the slightest complaint of a decoder is an error: not of a clip that begins with frames that need earlier
    ones, which are hidden or recover. `-xerror` ends a run for a corrupt frame all the same.
    """
    return [] if video is not None and (video.hidden or video.open_start) else ["-err_detect", "explode"]


def thumbnail_command(source: MediaInput, target: Path, number: int = 0, video: VideoFacts | None = None) -> list[str]:
    """One JPEG out of the first frames of the video of that number, at most 640 pixels across.

    `video`: what is known of its colours.
    """
    steps = [*(read_colours(video) if video is not None else []), "thumbnail=24"]
    # A JPEG's pixels are of BT.601 in full range (JFIF), whatever the clip's are.
    size = f"scale='min({THUMBNAIL_PIXELS},iw)':-2:flags=bicubic"
    steps += [f"{size}:out_color_matrix=bt601:out_range=pc", "format=yuvj420p"]
    return [
        *QUIET, "-v", "error", *reading(source), "-map", f"0:V:{number}", "-vf", ",".join(steps),
        "-frames:v", "1", "-q:v", "4", "-update", "1", "-f", "image2", f"file:{target}",
    ]  # fmt: skip


def join_list(clips: Sequence[Path], seconds: Sequence[Fraction] | None = None) -> str:
    """The concat script: relative names of our own making in the folder the script lies in, and how long each lasts.

    Without `seconds` a file's header decides, which in a WebM counts the audio that a decoder drops at its ends.
    """
    for clip in clips:
        if not _OUR_NAME.fullmatch(clip.name):
            raise ValueError("clip files are named by us: letters, digits, dash and dot")
    lengths = [f"duration {float(one):.6f}\n" for one in seconds] if seconds is not None else [""] * len(clips)
    files = (f"file {clip.name}\n{length}" for clip, length in zip(clips, lengths, strict=True))
    return "".join(["ffconcat version 1.0\n", *files])


def join_command(script: Path, target: Path) -> list[str]:
    """Joins like clips without re-encoding. `-safe 1` stays: the script holds plain names only."""
    return [
        *QUIET, "-v", "error", *JOINING, "-i", f"file:{script}",
        "-map", "0:V:0", "-map", "0:a:0?", "-c", "copy", *NAMELESS_FILM, *writing(target),
    ]  # fmt: skip


def rewrap_command(
    clip: MediaInput,
    video: VideoFacts,
    result: MediaResult,
    *,
    sound: AudioFacts | None = None,
    held: Fraction = Fraction(0),
) -> list[str]:
    """Puts a picture into an MP4 without re-encoding: with its sound (AAC, framed in any way), or alone from 0 on, the
    first frame then shown for `held` seconds longer."""
    heard = []
    if sound is not None:
        even = _on_grid(AAC_FRAME_SAMPLES, sound.sample_rate, "STARTPTS")
        heard = ["-map", f"0:a:{sound.stream}", "-bsf:a", f"aac_adtstoasc,{even}"]
    return [
        *QUIET, "-v", "error", "-xerror", *reading(clip), "-map", f"0:V:{video.stream}", *heard, "-c", "copy",
        "-bsf:v", _retimed(video, None if sound is not None else held), *NAMELESS_FILM, *writing(result),
    ]  # fmt: skip


def _retimed(video: VideoFacts, held: Fraction | None) -> str:
    """Times of the frames. `held`: the first one at 0, and shown for so long before its time; None: each at its own, as
    audio has to keep in step with them."""
    begin = "STARTPTS" if held is None else "0"
    if video.variable_rate or video.fps <= 0:
        late = f"round({held or 0}/TB)"
        pts, dts = (f"{begin}+{name}-STARTPTS+{late}*not(not(N))" for name in ("PTS", "DTS"))
        return f"setts=pts={_SOME_TIME}:dts=DTS,setts=pts={pts}:dts={dts}:duration=DURATION+{late}*not(N)"
    base = video.fps.numerator * max(EVEN_TICKS // video.fps.numerator, 1)
    step = base // video.fps.numerator * video.fps.denominator
    return _on_grid(step, base, begin, late=round((held or 0) * base))


def _on_grid(step: int, base: int, begin: str, *, late: int = 0) -> str:
    """Every packet lasts `step` ticks of 1/`base` s, the first `late` longer: some containers round times to
    milliseconds."""
    pts, dts = (f"{begin}+round(({name}-STARTPTS)/{step})*{step}+{late}*not(not(N))" for name in ("PTS", "DTS"))
    return f"setts=pts={_SOME_TIME}:dts=DTS:time_base=1/{base},setts=pts={pts}:dts={dts}:duration={step}+{late}*not(N)"


def sound_command(piece: SoundPiece, samples: int, sample_rate: int, channels: int) -> list[str]:
    """A piece of sound as raw samples on stdout."""
    inputs = [] if piece.source is None else ["-vn", *reading(piece.source)]
    graph = sound_graph(piece, samples, sample_rate, channels)
    return [*QUIET, "-v", "error", *inputs, *graph, "-map", "[sound]", *_RAW_SOUND, "pipe:1"]


def whole_sound_command(sample_rate: int, channels: int, result: MediaResult) -> list[str]:
    """Encodes raw samples from standard input into an MP4 of their own."""
    return [
        *QUIET, "-v", "error", "-protocol_whitelist", "pipe", "-f", "f32le", "-ar", str(sample_rate),
        "-ch_layout", "mono" if channels == 1 else "stereo", "-i", "pipe:0", *AAC, *writing(result),
    ]  # fmt: skip


def reading(source: MediaInput) -> list[str]:
    """A file may name no other protocol than its own: what comes through a pipe can open no file at all."""
    protocol, name = ("file", f"file:{source}") if isinstance(source, Path) else ("pipe", "pipe:0")
    return [
        "-protocol_whitelist", protocol, "-format_whitelist", FORMATS, "-max_pixels", str(MAX_PIXELS),
        "-max_streams", str(MAX_STREAMS), "-i", name,
    ]  # fmt: skip


def writing(result: MediaResult) -> list[str]:
    """An MP4 or WebM as a file, by its suffix; an MP4 in pieces on stdout."""
    return [*_CONTAINERS[result.suffix], f"file:{result}"] if isinstance(result, Path) else _IN_PIECES
