"""A clip while it is being made: a plain one first, then changed by oddnesses."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil, floor
from typing import Any

from tests.odd_films.bases import FRAMES, AudioKind, Pool, VideoKind
from tests.odd_films.drawing import Shape
from tests.odd_films.movie import UPRIGHT, Movie, Track
from tests.odd_films.rates import even, first_shown, retimed
from tests.odd_films.writing import Layout

MOVIE_TIMESCALES = (90_000, 90_000, 90_000, 1000, 600)


@dataclass
class Draft:
    """`video` and `audio` are the tracks to be shown and heard. `refusals`: codes it may be refused with.

    `told`: the oddnesses with their values, to reproduce it. `listened` is False where its audio is damaged.
    """

    pool: Pool
    kind: VideoKind
    audio_kind: AudioKind | None
    variant: int
    movie: Movie
    video: Track
    audio: Track | None
    shapes: tuple[Shape, ...]
    layout: Layout = field(default_factory=Layout)
    suffix: str = "mp4"
    refusals: set[str] = field(default_factory=set)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    listened: bool = True
    cut_at: Fraction | None = None

    @property
    def timescale(self) -> int:
        """Of edit lists."""
        return self.movie.timescale

    @property
    def is_plain(self) -> bool:
        """Whether nothing odd was done to it yet."""
        return not self.told

    def moments(self) -> list[int]:
        """The ticks at which frames begin, in the order they are shown in, and the end of the last."""
        begins = sorted(self.video.composed())
        return [*begins, begins[0] + self.video.ticks]

    def seconds_of_video(self) -> Fraction:
        """All of its frames."""
        return Fraction(self.video.ticks, self.video.timescale)

    def show(self, first: int = 0, last: int | None = None) -> None:
        """Makes the edit list show the frames from `first` up to `last`, which is not shown."""
        moments = self.moments()
        end = moments[-1] if last is None else moments[last]
        length = Fraction(end - moments[first], self.video.timescale) * self.timescale
        self.video.edits = [(ceil(length) if last is None else floor(length), moments[first])]

    def hear(self, first: Fraction = Fraction(0), seconds: Fraction | None = None) -> None:
        """Makes the edit list present the audio from a second of its noise on, as long as the video by default."""
        audio = self.audio
        if audio is None:
            return
        seconds = self.seconds_of_video() - first if seconds is None else seconds
        whole = audio.zero + ceil((first + seconds) * audio.timescale)
        each = audio.samples[0].duration
        audio.samples = audio.samples[: -(-whole // each)]
        begin = audio.zero + round(first * audio.timescale)
        audio.edits = [(round(seconds * self.timescale), begin)]

    def second_audio(self, kind: AudioKind, *, enabled: bool) -> Track:
        """Another audio track, as long as the video, with noise that no other clip of the film has."""
        track = self.pool.audio(kind, self.variant + len(FRAMES))
        count = ceil(self.seconds_of_video() * track.timescale / track.samples[0].duration) + 2
        length = round(self.seconds_of_video() * self.timescale)
        flags = 7 if enabled else 6
        return replace(track, samples=track.samples[:count], edits=[(length, track.zero)], flags=flags)


def plain_draft(
    pool: Pool, kind: VideoKind, audio_kind: AudioKind | None, variant: int, chance: random.Random
) -> Draft:
    """A clip as any camera writes it."""
    video = pool.video(kind, variant)
    audio = pool.audio(audio_kind, variant) if audio_kind else None
    movie = Movie(chance.choice(MOVIE_TIMESCALES), [track for track in (video, audio) if track])
    aspect = Fraction(*kind.size) * kind.pixel_aspect
    draft = Draft(pool, kind, audio_kind, variant, movie, video, audio, (Shape(UPRIGHT, aspect),))
    draft.layout.index_first = chance.random() < 0.6
    if audio_kind and audio_kind.suffix == "mov":
        draft.suffix, draft.layout.brand = "mov", b"qt  "
    set_rate(draft, kind.fps)
    return draft


def set_rate(draft: Draft, fps: Fraction, timescale: int | None = None) -> None:
    """All frames at a constant rate, by a clock that divides into them unless another is named."""
    retimed(draft.video, even(draft.video, fps), timescale or fps.numerator * 512)
    present_all(draft)


def present_all(draft: Draft) -> None:
    """Edit lists that show all frames, and audio of the same length."""
    draft.show()
    if first_shown(draft.video) == 0 and draft.variant % 2:
        draft.video.edits = None
    draft.hear()
