"""What FFmpeg's log says went wrong, as one sentence with a remedy. Nothing of the log itself gets into it, as a file's
author may have written there: only which stream it was, and a time in seconds."""

from __future__ import annotations

import re
import signal

from shared.media.framecrc import Stream, read_listing

AGAIN = "upload or generate it again."
ANEW = "export the clip anew as MP4 with H.264 and AAC."
_CUT_OFF = ("File ended prematurely", "partial file")
ENDED_BY: dict[int, str] = {
    signal.SIGXFSZ: "The file or its result is too large: use fewer or shorter clips.",
    signal.SIGXCPU: "The media takes more computing time than it may: use shorter or smaller media.",
    signal.SIGKILL: "The media takes more computing time or memory than it may: use shorter or smaller media.",
}
_NOT_ACCEPTED = "This kind of file is not accepted as media: bring MP4, MOV, WebM, Matroska, AVI, FLV or MPEG-TS."
_REMEDIES = (
    *((mark, f"The file is cut off: {AGAIN}") for mark in _CUT_OFF),
    ("moov atom not found", f"The file is cut off or no media, its index is missing: {AGAIN}"),
    ("corrupt input packet", f"The file is damaged, parts of it are missing: {AGAIN}"),
    ("Cannot determine format of input", f"No picture can be decoded, it may be damaged or encrypted: {ANEW}"),
    ("Invalid data found", f"The file is damaged or no media that can be read: {AGAIN}"),
    ("does not contain any stream", "The file holds neither picture nor sound: upload a video."),
    ("matches no streams", "The file holds no picture: upload a video."),
    ("not in allowed", _NOT_ACCEPTED),
    ("whitelist", _NOT_ACCEPTED),
    ("File too large", "The file or its result is too large: use fewer or shorter clips."),
)
_OTHERWISE = f"FFmpeg cannot work on the media: {ANEW}"
# FFmpeg's threads write into one log: a single call's text stays whole, another's may follow on the same line.
_STREAM = r"\[([va])ist#\d+:\d+/\w+ @ 0x[0-9a-f]+\] "
_DAMAGED = re.compile(_STREAM + r"\[dec:\w+ @ 0x[0-9a-f]+\] (?:Task finished with error code|corrupt decoded frame)")
_UNKNOWN = re.compile(_STREAM + "Decoding requested, but no decoder found")
_TOO_LARGE = re.compile(r"Picture size \d+x\d+ is invalid|Cannot allocate memory")
_KINDS = {"v": "picture", "a": "sound"}
_MEDIA_TYPES = {"v": "video", "a": "audio"}
_REMEDIES_OF_KIND = {"v": "export the clip anew.", "a": "export the clip anew, or without its audio track."}


def cut_off(log: str) -> str | None:
    """Why a run that ended well must not count: some demuxers take the end of a cut file for its end."""
    ours = _ours(log)
    return f"The file is cut off: {AGAIN}" if any(mark in ours for mark in _CUT_OFF) else None


def remedy(log: str, listing: str = "") -> str:
    """Why a run failed; of one that listed what it decoded, `listing` says how far it came."""
    ours = _ours(log)
    unknown, damaged = _UNKNOWN.search(ours), _DAMAGED.search(ours)
    if unknown:
        return f"The {_KINDS[unknown[1]]} is coded in a way that cannot be read: {ANEW}"
    if _TOO_LARGE.search(ours):
        return "The picture is too large to be worked on: export it in a smaller size."
    if damaged:
        kind = damaged[1]
        where = _reached(listing, kind) or "or encrypted"
        return f"The {_KINDS[kind]} is damaged {where}: {_REMEDIES_OF_KIND[kind]}"
    return next((sentence for mark, sentence in _REMEDIES if mark in ours), _OTHERWISE)


def _ours(log: str) -> str:
    """What follows the last stream mapping: before it stand names and notes of a file's author."""
    return log.rpartition("\nStream mapping:")[2]


def _reached(listing: str, kind: str) -> str:
    """When the last stream of its kind ends, which is what was decoded where packets are listed before it."""
    streams = [one for one in read_listing(listing) if one.is_a(_MEDIA_TYPES[kind])]
    seconds = _end_seconds(streams[-1]) if len(streams) > 1 else 0.0
    return f"at about {seconds:.1f} s" if seconds > 0 else ""


def _end_seconds(stream: Stream) -> float:
    return float(max(packet.pts + packet.duration for packet in stream.packets) * stream.base)
