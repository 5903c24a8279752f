"""What a file is, from FFmpeg's packet listing: headers lie, packets do not.

`-c copy -f framehash` prints one `#key index: value` line per fact and stream, then one line a packet
(FFmpeg documentation, section "framehash"). Pixel format, container and rotation stand only in the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from shared.domain.errors import BadMedia

_FACT = re.compile(r"#(\w+) (\d+): +(.*)")
_CONTAINER = re.compile(r"^Input #0, ([\w,]+), from", re.M)
_VIDEO_LOG = re.compile(r"Stream #0:\d+.*?: Video: \w+.*?, (\w+)(?:\([^)]*\))?, \d+x\d+")
_ROTATION = re.compile(r"rotation of (-?\d+(?:\.\d+)?) degrees")
_LAYOUT_CHANNELS = {"mono": 1, "stereo": 2, "5.1": 6, "7.1": 8}


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """The picture. Size in pixels as coded, times in seconds."""

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


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """The sound. Times in seconds."""

    codec: str
    sample_rate: int
    layout: str
    channels: int
    packets: int
    duration_seconds: Fraction
    start_seconds: Fraction
    extradata: str


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """A file's picture, sound, container and true duration in seconds."""

    container: str
    video: VideoFacts | None
    audio: AudioFacts | None
    duration_seconds: Fraction
    size_bytes: int = 0


@dataclass(slots=True)
class _Stream:
    facts: dict[str, str] = field(default_factory=dict)
    times: list[tuple[int, int]] = field(default_factory=list)


def parse_framehash(listing: str, log: str, size_bytes: int = 0) -> MediaFacts:
    """The facts of a file. Raises BadMedia when it has neither picture nor sound."""
    streams = _streams(listing.splitlines())
    video = next((_video(s, log) for s in streams if s.facts.get("media_type") == "video" and s.times), None)
    audio = next((_audio(s) for s in streams if s.facts.get("media_type") == "audio" and s.times), None)
    if video is None and audio is None:
        raise BadMedia("The file holds neither picture nor sound that could be read.")
    ends = [s.start_seconds + s.duration_seconds for s in (video, audio) if s is not None]
    found = _CONTAINER.search(log)
    return MediaFacts(found[1] if found else "", video, audio, max(ends), size_bytes)


def _streams(lines: Iterable[str]) -> Sequence[_Stream]:
    streams: dict[int, _Stream] = {}
    for line in lines:
        fact = _FACT.match(line)
        if fact:
            streams.setdefault(int(fact[2]), _Stream()).facts[fact[1]] = fact[3].strip()
        elif line.startswith("#extradata"):
            index, _, rest = line.removeprefix("#extradata ").partition(",")
            streams.setdefault(int(index), _Stream()).facts["extradata"] = rest.strip()
        elif line and not line.startswith("#"):
            parts = line.split(",")
            streams.setdefault(int(parts[0]), _Stream()).times.append((int(parts[2]), int(parts[3])))
    return [streams[index] for index in sorted(streams)]


def _span(stream: _Stream) -> tuple[Fraction, Fraction]:
    """First presentation time and length, in seconds."""
    base = Fraction(stream.facts["tb"])
    start = min(pts for pts, _ in stream.times)
    end = max(pts + duration for pts, duration in stream.times)
    return start * base, (end - start) * base


def _video(stream: _Stream, log: str) -> VideoFacts:
    width, height = (int(side) for side in stream.facts["dimensions"].split("x"))
    start, duration = _span(stream)
    frames = len(stream.times)
    sar = (
        Fraction(*(int(part) for part in stream.facts.get("sar", "1/1").split("/")))
        if _has_sar(stream)
        else Fraction(1)
    )
    pixel_format, rotation = _VIDEO_LOG.search(log), _ROTATION.search(log)
    return VideoFacts(
        codec=stream.facts["codec_id"],
        width=width,
        height=height,
        sar=sar,
        pixel_format=pixel_format[1] if pixel_format else "",
        fps=_fps(frames, duration),
        frames=frames,
        duration_seconds=duration,
        start_seconds=start,
        extradata=stream.facts.get("extradata", ""),
        rotation=round(float(rotation[1])) if rotation else 0,
    )


def _has_sar(stream: _Stream) -> bool:
    return not stream.facts.get("sar", "0/1").startswith("0/") and not stream.facts["sar"].endswith("/0")


def _fps(frames: int, duration: Fraction) -> Fraction:
    if duration <= 0:
        return Fraction(0)
    return (frames / duration).limit_denominator(1001)


def _audio(stream: _Stream) -> AudioFacts:
    start, duration = _span(stream)
    layout = stream.facts.get("channel_layout_name", "mono")
    return AudioFacts(
        codec=stream.facts["codec_id"],
        sample_rate=int(stream.facts["sample_rate"]),
        layout=layout,
        channels=_LAYOUT_CHANNELS.get(layout, 2),
        packets=len(stream.times),
        duration_seconds=duration,
        start_seconds=start,
        extradata=stream.facts.get("extradata", ""),
    )
