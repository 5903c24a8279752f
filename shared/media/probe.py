"""What a file is, by its packets and its first decoded picture and sound: headers lie, those do not.

One FFmpeg run lists every packet (`framecrc`) and describes the first decoded frames in its log (`showinfo`,
`ashowinfo`). Of the log only what follows the stream mapping is read: nothing a file's author wrote gets in there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise

from shared.domain.errors import BadMedia
from shared.media.colour import FFMPEG_NAMES
from shared.media.decoded import Decoded, read_decoded
from shared.media.framecrc import Packet, Stream, read_listing
from shared.media.listed_streams import chosen_stream, defaults_of, shown_packets
from shared.media.presentation import BY_RULE, Streams

USUAL_RATES = (
    *(Fraction(rate) for rate in (12, 15, 16, 24, 25, 30, 48, 50, 60, 120)),
    *(Fraction(rate, 1001) for rate in (24000, 30000, 60000, 120000)),
)
HDR_TRANSFERS = {"smpte2084": "pq", "arib-std-b67": "hlg"}
HEAD_PACKETS = 16
IMAGE_FORMATS = {"image2", "gif", "apng", "webp_anim"}

_CONTAINER = re.compile(r"^Input #0, ([\w,]+), from", re.M)
# FFmpeg's threads write into one log: a single call's text stays whole, while another's may follow it at once, on the
# same line and without a prefix. What is read of a text ends inside it.
_PICTURE = re.compile(r"n: *\d+ pts:[^\n]*? fmt:(\w+) cl:\S+ sar:\S+ s:\S+ i:(\w) ")
_COLOURS = [
    re.compile(f"{what}:({'|'.join(sorted(names, key=len, reverse=True))})?") for what, names in FFMPEG_NAMES.items()
]
_ROTATION = re.compile(r"displaymatrix: rotation of (-?\d+(?:\.\d+)?) degrees")
_SOUND = re.compile(r"n:\d+ pts:(-?\d+) pts_time:\S+ fmt:\w+ channels:(\d+) chlayout:(.*?) rate:(\d+) ")
_VIDEO = re.compile(r": Video: (?!wrapped_avframe)([^\n]*)")
_AUDIO = re.compile(r": Audio: ([^\n]*)")
_PROFILE = re.compile(r"\w+ \(([^()/]*)\)")
_FORMAT = re.compile(r", (\w+)(?:\([^)]*\))?, \d+x\d+")
_DEPTH = re.compile(r"p(\d{2})(?:le|be)$|^(?:gray|ya)(\d{2})|^(?:rgb|bgr)(48)|^(?:rgba|bgra|argb)(64)")
_DEPTH_OF_PACKED = {"48": 16, "64": 16}
_ALPHA = re.compile(r"^(?:yuva|gbrap|rgba|bgra|argb|abgr|ya\d|pal8)")
_LAYOUT_CHANNELS = {
    "mono": 1,
    "stereo": 2,
    "2.1": 3,
    "3.0": 3,
    "4.0": 4,
    "quad": 4,
    "5.0": 5,
    "5.1": 6,
    "6.1": 7,
    "7.1": 8,
}


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """The picture. Size in pixels as coded, times in seconds. `fps` is the step between pictures, or their average
    where `variable_rate`. Colour names are FFmpeg's, empty where the file is silent; `hdr` is pq, hlg or empty.
    `stream` counts the file's videos without cover art, `streams` is how many there are; `hidden` packets are decoded,
    yet cut off by an edit list. `open_start`: its first frames may need earlier ones, as far as anybody knows.
    """

    codec: str
    width: int
    height: int
    sar: Fraction
    pixel_format: str
    fps: Fraction
    frames: int
    duration_seconds: Fraction
    start_seconds: Fraction
    extradata: str
    rotation: int = 0
    profile: str = ""
    level: str | None = None
    bit_depth: int = 8
    range: str = ""
    matrix: str = ""
    primaries: str = ""
    transfer: str = ""
    interlaced: bool = False
    alpha: bool = False
    variable_rate: bool = False
    key_frames: int = 1
    hidden: int = 0
    stream: int = 0
    streams: int = 1
    open_start: bool = False

    @property
    def hdr(self) -> str:
        return HDR_TRANSFERS.get(self.transfer, "")

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height in pixels after rotation, before the pixels' own shape."""
        across = (self.width, self.height)
        return across[::-1] if abs(self.rotation) % 180 == 90 else across

    @property
    def square_size(self) -> tuple[int, int]:
        """Width and height as shown, in square pixels: as many down as the frame has lines."""
        across = (round(self.width * self.sar), self.height)
        return across[::-1] if abs(self.rotation) % 180 == 90 else across


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """The sound. Times in seconds; the start is that of the first decoded sample, after priming. `head` has time and
    checksum of the first packets, by which the sound is found again in a film. `stream` counts the file's audios,
    `streams` is how many there are.
    """

    codec: str
    sample_rate: int
    layout: str
    channels: int
    packets: int
    duration_seconds: Fraction
    start_seconds: Fraction
    extradata: str
    profile: str = ""
    head: tuple[tuple[Fraction, str], ...] = ()
    stream: int = 0
    streams: int = 1


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """A file's picture, sound, container and true duration in seconds. `decoded` only after a decode of the whole."""

    container: str
    video: VideoFacts | None
    audio: AudioFacts | None
    duration_seconds: Fraction
    size_bytes: int = 0
    decoded: Decoded | None = None

    @property
    def is_image(self) -> bool:
        """Whether the file is a single image: of an image's own format, or of MP4's family (AVIF, HEIC)."""
        formats = self.container.split(",")
        of_image = any(name.endswith("_pipe") or name in IMAGE_FORMATS for name in formats)
        return self.video is not None and self.video.frames == 1 and (of_image or "mp4" in formats)


def parse_probe(listing: str, log: str, size_bytes: int = 0, streams: Streams | None = None) -> MediaFacts:
    """The facts of a file. `streams`: the tracks that are the clip's, where its index was read; else they are chosen by
    the same rule. Raises BadMedia when it has neither picture nor sound.
    """
    found, streams = read_listing(listing), streams or BY_RULE
    container, ours = _CONTAINER.search(log), log.rpartition("\nStream mapping:")[2]
    defaults = defaults_of(ours)
    video = chosen_stream(found, "video", streams.video, defaults)
    audio = chosen_stream(found, "audio", streams.audio, defaults)
    video_facts = replace(_video(*video, ours), open_start=streams.open_start) if video else None
    audio_facts = _audio(*audio, ours) if audio else None
    if video_facts is None and audio_facts is None:
        raise BadMedia("The file holds neither picture nor sound that could be read.")
    parts = [part for part in (video_facts, audio_facts) if part is not None]
    ends = max(part.start_seconds + part.duration_seconds for part in parts)
    length = ends - min(part.start_seconds for part in parts)
    return MediaFacts(container[1] if container else "", video_facts, audio_facts, length, size_bytes)


def with_decoded(facts: MediaFacts, listing: str, log: str) -> MediaFacts:
    """Facts with what a decode of the whole file found; frames counted are frames decoded."""
    streams = read_listing(listing)
    stored = [*filter(None, (facts.video, facts.audio))]
    decoded = read_decoded(streams[: len(stored)], streams[len(stored) :], log.rpartition("\nStream mapping:")[2])
    video = None if facts.video is None else replace(facts.video, frames=len(decoded.pictures))
    return replace(facts, video=video, decoded=decoded)


def _video(stream: Stream, number: int, streams: int, log: str) -> VideoFacts:
    width, height = (int(side) for side in stream.facts["dimensions"].split("x"))
    if width * height == 0:
        raise BadMedia("The picture has no size: generate or upload the file again.")
    shown = shown_packets(stream)
    fps, step, variable = _rate(shown, stream.base)
    span = shown[-1].pts + (shown[-1].duration or step) - shown[0].pts
    described = next(islice(_VIDEO.finditer(log), number, None), None)
    description = described[1] if described else ""
    pixel_format, scan = _first_picture(log, description)
    range_, matrix, primaries, transfer = (_colour(name, log) for name in _COLOURS)
    rotation = _ROTATION.search(log)
    return VideoFacts(
        codec=stream.facts["codec_id"],
        width=width,
        height=height,
        sar=_ratio(stream.facts.get("sar", "0/1")),
        pixel_format=pixel_format,
        fps=fps,
        frames=len(shown),
        duration_seconds=span * stream.base,
        start_seconds=shown[0].pts * stream.base,
        extradata=stream.facts.get("extradata", ""),
        rotation=round(float(rotation[1])) if rotation else 0,
        profile=_profile(description),
        bit_depth=_bit_depth(pixel_format),
        range=range_,
        matrix=matrix,
        primaries=primaries,
        transfer=transfer,
        interlaced=scan in ("T", "B"),
        alpha=_has_alpha(stream, pixel_format),
        variable_rate=variable,
        key_frames=sum(packet.key for packet in shown),
        hidden=sum(not packet.shown for packet in stream.packets),
        stream=number,
        streams=streams,
    )


def _rate(shown: Sequence[Packet], base: Fraction) -> tuple[Fraction, int, bool]:
    """Pictures a second, ticks of a usual step, and whether steps differ by more than the clock's rounding.

    The last picture's duration is left out where there are others: containers get it wrong most often.
    """
    if len(shown) < 2:
        length = shown[0].duration * base
        return (1 / length).limit_denominator(1001) if length else Fraction(0), 1, False
    steps = [later.pts - one.pts for one, later in pairwise(shown)]
    usual = sorted(steps)[len(steps) // 2]
    if len(steps) > 2 and usual < steps[0] < 2 * usual:
        # Fragmented files stretch the first picture over the time their sound needs to get going.
        steps = steps[1:]
    span = sum(steps)
    # A clock that ticks many times a picture rounds; one that ticks once does not.
    even = max(steps) - min(steps) <= (max(2, usual // 50) if usual >= 8 else 0)
    near = min(USUAL_RATES, key=lambda rate: abs(len(steps) / rate - span * base))
    if even and abs(len(steps) / near - span * base) <= base * 3 / 2:
        return near, usual, False
    if not even:
        span, steps = span + (shown[-1].duration or usual), [*steps, 0]
    fps = (len(steps) / (span * base)).limit_denominator(1001) if span else Fraction(0)
    return fps, usual, not even


def _ratio(text: str) -> Fraction:
    """A pixel's shape; one where it is unknown."""
    above, below = (int(part) for part in text.split("/"))
    return Fraction(above, below) if above > 0 and below > 0 else Fraction(1)


def _first_picture(log: str, description: str) -> tuple[str, str]:
    """Pixel format and scan (P, T, B) of the first decoded picture; of the stream's description without one."""
    picture, described = _PICTURE.search(log), _FORMAT.search(description)
    if picture:
        return picture[1], picture[2]
    return (described[1] if described else ""), "P"


def _profile(description: str) -> str:
    """`High`, `Main 10`, `LC`; the parentheses behind it hold the container's tag as `avc1 / 0x31637661`."""
    found = _PROFILE.match(description)
    return found[1] if found else ""


def _colour(name: re.Pattern[str], log: str) -> str:
    found = name.search(log)
    return (found[1] if found else "") or ""


def _bit_depth(pixel_format: str) -> int:
    found = _DEPTH.search(pixel_format)
    digits = next((group for group in found.groups() if group), "8") if found else "8"
    return _DEPTH_OF_PACKED.get(digits, int(digits))


def _has_alpha(stream: Stream, pixel_format: str) -> bool:
    """VP8 and VP9 keep it in a block of its own; a JPEG's fourth plane is black ink, already worked in."""
    if stream.facts["codec_id"] in ("vp8", "vp9"):
        return "Matroska BlockAdditional" in stream.side_data
    return bool(_ALPHA.match(pixel_format)) and stream.facts["codec_id"] != "mjpeg"


def _audio(stream: Stream, number: int, streams: int, log: str) -> AudioFacts:
    shown = sorted(packet for packet in stream.packets if packet.shown) or stream.packets
    start, end = shown[0].pts * stream.base, max(packet.pts + packet.duration for packet in shown) * stream.base
    layout = stream.facts.get("channel_layout_name", "")
    channels, sample_rate = _LAYOUT_CHANNELS.get(layout, 2), int(stream.facts["sample_rate"])
    first, described = _SOUND.search(log), next(islice(_AUDIO.finditer(log), number, None), None)
    if first:
        channels, layout, sample_rate = int(first[2]), first[3].strip() or layout, int(first[4])
        start = min(max(Fraction(int(first[1]), sample_rate), start), end)
    return AudioFacts(
        codec=stream.facts["codec_id"],
        sample_rate=sample_rate,
        layout=layout,
        channels=channels,
        packets=len(shown),
        duration_seconds=end - start,
        start_seconds=start,
        extradata=stream.facts.get("extradata", ""),
        profile=_profile(described[1]) if described else "",
        head=tuple((packet.pts * stream.base, packet.checksum) for packet in shown[:HEAD_PACKETS]),
        stream=number,
        streams=streams,
    )
