"""What a clip presents, computed from its model by ISO 14496-12 alone: frames, audio, shape and length.

Times are seconds of the clip's own timeline. A clip begins with what comes first of its frames and its audio; where
that is audio, the first frame is held from there on. It ends with its last frame; audio after that is cut.

Where the standard and players differ, or where both answers are right, both are taken:

| oddness | taken |
| --- | --- |
| an edit shows a part of a frame | the frame is there or not, times may be off by what is hidden |
| video and audio begin with an empty edit | the empty time is dropped, or the first frame is held that long |
| audio begins up to 25 ms before the video | the first frame is held, or that audio is cut |
| audio's priming that a container cannot hide (TS, AVI) | as above, up to 50 ms |
| both or no audio tracks are enabled | the first is heard; where none is, it or nothing |
| clean aperture (`clap`) | the frame is cut to it, or shown whole |
| `pasp` beside a tkhd of another shape | either shape |
| a hole in the video between two edits | the frame before it is held |
| a gap in the audio or audio that ends early | silence, which is not listened to within 85 ms of its edges |
| Matroska and WebM | times are rounded to 1 ms, the last frame lasts a frame more or less |
| TS | the last frame lasts a frame more or less |
| AVI | times are off by up to a frame: it counts in frames, and its audio's priming moves the video |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from tests.odd_films.drawing import Shape
from tests.odd_films.movie import AUDIO, EMPTY, Movie, Track

WHOLE = Fraction(98, 100)
SMALL_LEAD = Fraction(25, 1000)


@dataclass(frozen=True)
class ShownFrame:
    """From when to when a frame is shown; not `sure` where only a part of it is."""

    number: int
    begin: Fraction
    end: Fraction
    sure: bool = True


@dataclass(frozen=True)
class HeardPart:
    """A part of a noise, from its second `at`, and when it is heard. Not to be heard at all: `begin` is `end`."""

    noise: int
    at: Fraction
    begin: Fraction
    end: Fraction

    @property
    def seconds(self) -> Fraction:
        """How long it lasts."""
        return self.end - self.begin


@dataclass(frozen=True)
class Truth:
    """What is to be seen and heard of a clip. `begins`: when the film's part may begin, the likeliest first.

    `slack`: by how much times may be off. `hidden`: noise by number and seconds that must not be heard.
    `maybe_silent`: its audio may be left out; `deaf`: it is damaged and not listened to.
    """

    clip: int
    frames: tuple[ShownFrame, ...]
    heard: tuple[HeardPart, ...]
    begins: tuple[Fraction, ...]
    shapes: tuple[Shape, ...]
    hidden: tuple[tuple[int, Fraction, Fraction], ...] = ()
    slack: Fraction = Fraction(0)
    end_slack: Fraction = Fraction(0)
    maybe_silent: bool = False
    deaf: bool = False

    @property
    def end(self) -> Fraction:
        """When the last frame ends."""
        return self.frames[-1].end


def truth_of(movie: Movie, video: Track, audio: Track | None, shapes: tuple[Shape, ...]) -> Truth:
    """Of a movie whose frames and audio are those of these tracks."""
    frames = tuple(shown_frames(video, movie.timescale))
    heard = tuple(_heard(audio, movie.timescale)) if audio else ()
    heard = tuple(part for part in heard if part.begin < frames[-1].end)
    unsure = [frame for frame in frames if not frame.sure]
    slack = max((_hidden_share(video, frame) for frame in unsure), default=Fraction(0))
    return Truth(
        video.source,
        frames,
        heard,
        _begins(frames, heard),
        shapes,
        hidden=tuple(_hidden(movie, audio, heard)),
        slack=slack,
        end_slack=slack,
        maybe_silent=audio is not None and not audio.enabled,
    )


def _begins(frames: tuple[ShownFrame, ...], heard: tuple[HeardPart, ...]) -> tuple[Fraction, ...]:
    first = min([frames[0].begin, *(part.begin for part in heard)])
    begins = [first]
    if 0 < frames[0].begin - first <= SMALL_LEAD:
        begins.append(frames[0].begin)
    if not frames[0].sure:
        begins.append(frames[1].begin)
    if first > 0:
        begins.append(Fraction(0))
    return tuple(begins)


def _hidden_share(video: Track, frame: ShownFrame) -> Fraction:
    """How much of a frame that is shown in part is hidden, at most."""
    longest = max(sample.duration for sample in video.samples if sample.number == frame.number)
    return Fraction(longest, video.timescale)


def segments(track: Track, movie_timescale: int) -> Iterator[tuple[Fraction, Fraction, Fraction]]:
    """(begin in the clip, first and last second of the track's own time) of each edit that presents something."""
    end = _media_end(track)
    if track.edits is None:
        yield Fraction(0), Fraction(0), end
        return
    at = Fraction(0)
    for length, first in track.edits:
        seconds = Fraction(length, movie_timescale)
        if first != EMPTY:
            begin = Fraction(first, track.timescale)
            last = min(begin + seconds, end) if length else end
            yield at, begin, last
        at += seconds


def _media_end(track: Track) -> Fraction:
    ends = (at + sample.duration for at, sample in zip(track.composed(), track.samples, strict=True))
    return Fraction(max(ends), track.timescale)


def shown_frames(track: Track, movie_timescale: int) -> Iterator[ShownFrame]:
    """By the clip's time. A frame lasts until the next one; one that two edits show without a break is one frame."""
    found: list[ShownFrame] = []
    before: Fraction | None = None
    for begin, first, last in segments(track, movie_timescale):
        own = [shown for frame in _composed_frames(track) if (shown := _cut(frame, first, last, begin - first))]
        if found and own and before == first and found[-1].number == own[0].number:
            found[-1:] = [replace(found[-1], end=own.pop(0).end, sure=True)]
        found += own
        before = last
    return iter(_without_holes(found))


def _without_holes(frames: list[ShownFrame]) -> list[ShownFrame]:
    held = [replace(one, end=max(one.end, other.begin)) for one, other in pairwise(frames)]
    return [*held, *frames[-1:]]


def _composed_frames(track: Track) -> list[ShownFrame]:
    """In the order they are shown in, by the track's own time; a sample without a frame prolongs the one before."""
    order = sorted(zip(track.composed(), track.samples, strict=True), key=lambda one: one[0])
    ends = [at for at, _ in order[1:]] + [order[-1][0] + order[-1][1].duration]
    found: list[ShownFrame] = []
    for (at, sample), end in zip(order, ends, strict=True):
        begin, until = Fraction(at, track.timescale), Fraction(end, track.timescale)
        if sample.number is not None:
            found.append(ShownFrame(sample.number, begin, until))
        elif found:
            found[-1] = replace(found[-1], end=until)
    return found


def _cut(frame: ShownFrame, first: Fraction, last: Fraction, shift: Fraction) -> ShownFrame | None:
    begin, end = max(frame.begin, first), min(frame.end, last)
    if end <= begin:
        return None
    is_whole = end - begin >= WHOLE * (frame.end - frame.begin)
    return ShownFrame(frame.number, begin + shift, end + shift, is_whole)


def _heard(track: Track, movie_timescale: int) -> Iterator[HeardPart]:
    zero = Fraction(track.zero, track.timescale)
    for begin, first, last in segments(track, movie_timescale):
        if last > first:
            yield HeardPart(track.source, first - zero, begin, begin + last - first)


def _hidden(
    movie: Movie, audio: Track | None, heard: tuple[HeardPart, ...]
) -> Iterator[tuple[int, Fraction, Fraction]]:
    """Noise of other tracks, and what edit lists leave out of the one that is heard."""
    for track in movie.tracks:
        if track.handler != AUDIO:
            continue
        zero, end = Fraction(track.zero, track.timescale), Fraction(track.ticks, track.timescale)
        own = sorted((part.at, part.at + part.seconds) for part in heard) if track is audio else []
        borders = [Fraction(0), *(moment for part in own for moment in part), end - zero]
        yield from ((track.source, a, b) for a, b in zip(borders[::2], borders[1::2], strict=True) if b > a)
