"""What one pass of decoding found: pictures and samples that are there, stretches without light or sound.

The filters `blackdetect` and `silencedetect` write into FFmpeg's log while `framecrc` lists the frames they let by.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.media.framecrc import Stream

SHORTEST_STRETCH_SECONDS = 0.1
DARK_PIXEL = 0.1
SILENT_BELOW = "-60dB"
# Timestamps rounded to a millisecond, as Matroska's are, are no gap.
ROUNDING_SECONDS = 0.002
_BLACK = re.compile(r"black_start:(-?[\d.]+) black_end:(-?[\d.]+)")
_SILENCE = re.compile(r"silence_(start|end): (-?[\d.]+)")


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of a film, in seconds from its start."""

    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Decoded:
    """Times in seconds. `pictures` are shown at these times. `sound_steps`: from a time on, the clock of the sound's
    timestamps is so far ahead of its samples counted. `sound_packets`: time and checksum, as stored.
    """

    pictures: tuple[float, ...]
    samples: int
    sound_start: float
    sound_seconds: float
    sound_steps: tuple[tuple[float, float], ...]
    sound_packets: tuple[tuple[float, str], ...]
    black: tuple[Interval, ...]
    silent: tuple[Interval, ...]


def read_decoded(stored: Sequence[Stream], frames: Sequence[Stream], log: str) -> Decoded:
    """`stored`: packets as they lie in the file; `frames`: what became of them."""
    pictures = next((stream for stream in frames if stream.is_a("video")), Stream())
    sound = next((stream for stream in frames if stream.is_a("audio")), Stream())
    packets = next((stream for stream in stored if stream.is_a("audio")), Stream())
    start, length = _span(sound)
    end = max(start + length, _end(pictures))
    return Decoded(
        pictures=tuple(float(packet.pts * pictures.base) for packet in sorted(pictures.packets)),
        samples=sum(packet.duration for packet in sound.packets),
        sound_start=start,
        sound_seconds=length,
        sound_steps=_steps(sound),
        sound_packets=tuple((float(packet.pts * packets.base), packet.checksum) for packet in packets.packets),
        black=tuple(Interval(float(one[1]), float(one[2])) for one in _BLACK.finditer(log)),
        silent=_silence(log, end),
    )


def _span(stream: Stream) -> tuple[float, float]:
    if not stream.packets:
        return 0.0, 0.0
    start = float(min(packet.pts for packet in stream.packets) * stream.base)
    return start, _end(stream) - start


def _end(stream: Stream) -> float:
    if not stream.packets:
        return 0.0
    return float(max(packet.pts + packet.duration for packet in stream.packets) * stream.base)


def _steps(sound: Stream) -> tuple[tuple[float, float], ...]:
    """Where the timestamps and the samples counted part: gaps (positive) and overlaps (negative), summed up."""
    steps: list[tuple[float, float]] = []
    counted: int | None = None
    for packet in sound.packets:
        counted = packet.pts if counted is None else counted
        ahead = float((packet.pts - counted) * sound.base)
        if abs(ahead - (steps[-1][1] if steps else 0.0)) > ROUNDING_SECONDS:
            steps.append((float(packet.pts * sound.base), ahead))
        counted += packet.duration
    return tuple(steps)


def _silence(log: str, end: float) -> tuple[Interval, ...]:
    """A silence that lasts to the end has no line for its end in some releases."""
    found: list[Interval] = []
    start: float | None = None
    for what, at in _SILENCE.findall(log):
        if what == "end" and start is not None:
            found.append(Interval(max(start, 0.0), float(at)))
        start = float(at) if what == "start" else None
    return (*found, Interval(max(start, 0.0), end)) if start is not None else tuple(found)
