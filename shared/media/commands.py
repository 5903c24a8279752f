"""FFmpeg's arguments. Inputs are our own files by absolute `file:` names; no user's text ever gets in here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from shared.media.decoded import DARK_PIXEL, SHORTEST_STRETCH_SECONDS, SILENT_BELOW
from shared.media.probe import MediaFacts, VideoFacts
from shared.media.sound import BITS_PER_SECOND, WholeAudio, sound_graph

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
QUIET = ["-nostdin", "-hide_banner", "-y", "-max_alloc", str(MAX_ALLOC_BYTES)]
_FILM = ["-map_metadata", "-1", "-map_chapters", "-1"]
_CONTAINERS = {".mp4": ["-movflags", "+faststart", "-f", "mp4"], ".webm": ["-f", "webm"]}
# Without these, names and notes a file's author wrote would stand between the facts in the log.
_NAMELESS = ["-map_metadata", "-1", "-map_metadata:s", "-1", "-map_chapters", "-1"]


def probe_command(source: Path, *, video: int = 0, sound: bool = True) -> list[str]:
    """Lists all packets on stdout; describes the first picture of `video` and the first sound in the log."""
    heard, shown = (["-map", "0:a:0?"] if sound else []), f"0:V:{video}?"
    return [
        *QUIET, "-v", "info", "-nostats", "-noautorotate", "-max_error_rate", "1", "-threads", "1", *reading(source),
        "-map", "0:V?", *heard, *_NAMELESS, "-c", "copy", "-copyts", "-f", "framecrc", "pipe:1",
        "-map", shown, *heard, *_NAMELESS, "-frames:v", "1", "-frames:a", "1",
        "-vf", "showinfo=checksum=0", "-af", "ashowinfo", "-f", "null", "-",
    ]  # fmt: skip


def decode_command(source: Path, facts: MediaFacts) -> list[str]:
    """One pass: lists stored packets and decoded frames on stdout, dark and silent stretches in the log.

    An error of the decoder ends it. Frames are passed on without a copy or a checksum of their pixels.
    """
    maps, decode = [], []
    if facts.video is not None:
        maps += ["-map", f"0:V:{facts.video.stream}"]
        decode += [
            "-c:v:0", "copy", "-c:v:1", "wrapped_avframe", "-fps_mode:v:1", "passthrough",
            "-enc_time_base:v:1", "demux",
            "-filter:v:1", f"blackdetect=d={SHORTEST_STRETCH_SECONDS}:pix_th={DARK_PIXEL}",
        ]  # fmt: skip
    if facts.audio is not None:
        maps += ["-map", "0:a:0"]
        decode += [
            "-c:a:0", "copy", "-c:a:1", "pcm_s16le",
            "-filter:a:1", f"silencedetect=n={SILENT_BELOW}:d={SHORTEST_STRETCH_SECONDS}",
        ]  # fmt: skip
    return [
        *QUIET, "-v", "info", "-nostats", "-noautorotate", "-xerror", "-err_detect", "explode", *reading(source),
        *maps, *maps, *_NAMELESS, *decode, "-f", "framecrc", "pipe:1",
    ]  # fmt: skip


def thumbnail_command(source: Path, target: Path) -> list[str]:
    """One JPEG out of the first frames, at most 640 pixels across."""
    scale = f"scale='min({THUMBNAIL_PIXELS},iw)':-2:flags=bicubic"
    return [
        *QUIET, "-v", "error", *reading(source), "-map", "0:V:0", "-vf", f"thumbnail=24,{scale},format=yuvj420p",
        "-frames:v", "1", "-q:v", "4", "-update", "1", "-f", "image2", f"file:{target}",
    ]  # fmt: skip


def join_list(clips: Sequence[Path], facts: Sequence[MediaFacts] = ()) -> str:
    """The concat script: relative names of our own making in the folder the script lies in.

    With `facts` each clip begins with its first picture and lasts as long as its pictures do, so that the next one
    follows without a gap whatever the clip's sound, container or edit list says.
    """
    lines = ["ffconcat version 1.0"]
    for number, clip in enumerate(clips):
        if not _OUR_NAME.fullmatch(clip.name):
            raise ValueError("clip files are named by us: letters, digits, dash and dot")
        lines.append(f"file {clip.name}")
        video = facts[number].video if facts else None
        if video is not None:
            # Without the first line a file's priming sound, which begins before zero, would move its pictures.
            lines.append(f"inpoint {float(video.start_seconds):.6f}")
            lines.append(f"duration {float(video.duration_seconds):.6f}")
    return "\n".join(lines) + "\n"


def join_command(script: Path, target: Path) -> list[str]:
    """Joins like clips without re-encoding. `-safe 1` stays: the script holds plain names only."""
    return [
        *QUIET, "-v", "error", *JOINING, "-i", f"file:{script}",
        "-map", "0:V:0", "-map", "0:a:0?", "-c", "copy", *_FILM, *_CONTAINERS[target.suffix], f"file:{target}",
    ]  # fmt: skip


def join_whole_command(script: Path, whole: WholeAudio, target: Path) -> list[str]:
    """Joins the pictures of like clips without re-encoding and gives them one sound made of all their sounds.

    The script's times stand (`-copyts`): sound that begins before the first picture would move it.
    """
    return [
        *QUIET, "-v", "error", "-copyts", *JOINING, "-i", f"file:{script}", *_sounds(whole),
        "-filter_complex", sound_graph(whole, 1), "-map", "0:V:0", "-c:v", "copy",
        "-map", "[sound]", "-c:a", "aac", "-b:a", str(BITS_PER_SECOND), *_FILM, *_CONTAINERS[target.suffix],
        f"file:{target}",
    ]  # fmt: skip


def rewrap_command(clip: Path, video: VideoFacts, target: Path) -> list[str]:
    """Puts a picture into an MP4 of its own, from time 0 on, without re-encoding."""
    return [
        *QUIET, "-v", "error", "-copyts", "-itsoffset", f"{float(-video.start_seconds):.6f}", *reading(clip),
        "-map", f"0:V:{video.stream}", "-c", "copy", *_FILM, *_CONTAINERS[target.suffix], f"file:{target}",
    ]  # fmt: skip


def sound_command(whole: WholeAudio, target: Path) -> list[str]:
    """Makes one lossless sound file of a group of pieces."""
    return [
        *QUIET, "-v", "error", *_sounds(whole), "-filter_complex", sound_graph(whole, 0), "-map", "[sound]",
        "-c:a", "flac", "-compression_level", "0", "-f", "flac", f"file:{target}",
    ]  # fmt: skip


def _sounds(whole: WholeAudio) -> list[str]:
    return [word for piece in whole.pieces if piece.path is not None for word in ("-vn", *reading(piece.path))]


def reading(source: Path) -> list[str]:
    return [
        "-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-max_pixels", str(MAX_PIXELS),
        "-max_streams", str(MAX_STREAMS), "-i", f"file:{source}",
    ]  # fmt: skip
