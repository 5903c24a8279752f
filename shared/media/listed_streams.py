"""Which of a file's streams, as FFmpeg lists them, are the clip's."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.media.framecrc import Packet, Stream
from shared.media.presentation import Candidate, chosen

IMAGE_CODECS = {"mjpeg", "png", "bmp", "gif", "tiff", "webp"}
_DEFAULT = re.compile(r"^  Stream #0:(\d+)[^\n]*\(default\)", re.M)


def defaults_of(log: str) -> frozenset[int]:
    """Indexes of the listed streams that the file calls default; of an MP4, that are enabled."""
    listed = log.partition("Output #0")[2].partition("Output #1")[0]
    return frozenset(int(one[1]) for one in _DEFAULT.finditer(listed))


def chosen_stream(
    listed: Sequence[Stream], kind: str, wanted: int | None, defaults: frozenset[int]
) -> tuple[Stream, int, int] | None:
    """The stream of a kind that is the clip's, its number among those of its kind, and how many there are."""
    alike = [(index, stream) for index, stream in enumerate(listed) if stream.facts.get("media_type") == kind]
    filled = [number for number, (_, stream) in enumerate(alike) if shown_packets(stream)]
    candidates = [_candidate(alike[number][1], alike[number][0] in defaults) for number in filled]
    place = chosen(candidates)
    if wanted in filled:
        place = filled.index(wanted)
    if place is None:
        return None
    number = filled[place]
    return alike[number][1], number, len(alike)


def _candidate(stream: Stream, is_default: bool) -> Candidate:
    shown = shown_packets(stream)
    is_image = stream.facts["media_type"] == "video" and (len(shown) == 1 or stream.facts["codec_id"] in IMAGE_CODECS)
    seconds = (shown[-1].pts + shown[-1].duration - shown[0].pts) * stream.base
    return Candidate(is_default, is_image, seconds)


def shown_packets(stream: Stream) -> list[Packet]:
    """Packets by presentation. VP8 stores its hidden reference pictures at the time of the next that is shown."""
    shown = sorted(packet for packet in stream.packets if packet.shown)
    if stream.facts["codec_id"] != "vp8":
        return shown
    return list({packet.pts: packet for packet in shown}.values())
