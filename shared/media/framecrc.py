"""FFmpeg's `framecrc` listing: `#key index: value` a fact, then one line a packet or decoded frame.

A line reads `stream, dts, pts, duration, size, checksum[, F=flags][, S=n, name, size, checksum]...`; flags are left
out where they say "key frame" alone (libavformat/framecrcenc.c). No text of a file's author gets into it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

_FACT = re.compile(r"#(\w+) (\d+): +(.*)")
_NAME = re.compile(r" [A-Z][A-Za-z0-9 /]+$")
_KEY, _DISCARD = 1, 4
_UNTIMED = -(2**63)


class Packet(NamedTuple):
    """Presentation time and duration in ticks of the stream's time base. Not `shown`: cut off by an edit list."""

    pts: int
    duration: int
    checksum: str
    key: bool
    shown: bool


@dataclass(slots=True)
class Stream:
    """One stream of a listing. `side_data` names what its packets carry beside their payload."""

    facts: dict[str, str] = field(default_factory=dict)
    packets: list[Packet] = field(default_factory=list)
    side_data: set[str] = field(default_factory=set)

    @property
    def base(self) -> Fraction:
        """Seconds of one tick."""
        return Fraction(self.facts["tb"])

    def is_a(self, kind: str) -> bool:
        """`kind`: video or audio. A stream without a packet is none."""
        return self.facts.get("media_type") == kind and bool(self.packets)


def read_listing(listing: str) -> list[Stream]:
    """Every stream of a listing, by index. A last line that was cut off is left out."""
    streams: dict[int, Stream] = {}
    for line in listing.splitlines():
        fact = _FACT.match(line) if line.startswith("#") else None
        if fact:
            streams.setdefault(int(fact[2]), Stream()).facts[fact[1]] = fact[3].strip()
        elif line and not line.startswith("#"):
            _add_packet(streams, line.split(","))
    return [streams[index] for index in sorted(streams)]


def _add_packet(streams: dict[int, Stream], parts: list[str]) -> None:
    if len(parts) < 6:
        return
    stream = streams.setdefault(int(parts[0]), Stream())
    dts, pts, duration = int(parts[1]), int(parts[2]), max(int(parts[3]), 0)
    flags = _KEY
    if len(parts) > 6:
        marked = parts[6].strip()
        flags = int(marked[2:], 16) if marked.startswith("F=") else _KEY
        stream.side_data.update(part.strip() for part in parts[7:] if _NAME.match(part))
    time = next((t for t in (pts, dts) if t != _UNTIMED), _after(stream))
    stream.packets.append(Packet(time, duration, parts[5].strip(), bool(flags & _KEY), not flags & _DISCARD))


def _after(stream: Stream) -> int:
    """Where a packet without any time lies: behind the one before it."""
    return stream.packets[-1].pts + stream.packets[-1].duration if stream.packets else 0
