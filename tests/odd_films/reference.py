"""Films the judge has to call right, drawn and encoded by the generator itself, and ways to break them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from tests.odd_films import noise
from tests.odd_films.bases import encode
from tests.odd_films.drawing import Shape, drawn
from tests.odd_films.judging import Made, problems
from tests.odd_films.movie import UPRIGHT, VIDEO, read_movie
from tests.odd_films.truth import HeardPart, ShownFrame, Truth
from tests.odd_films.watching import watched
from tests.odd_films.writing import Layout, written

FPS, FRAMES, SIZE = 24, 20, (160, 96)
SECONDS = Fraction(FRAMES, FPS)
CLIPS = (11, 12, 13)
DECOY = 99
ASPECT = Fraction(*SIZE)


def truth(clip: int, frames: Sequence[int] = range(FRAMES), **changes: object) -> Truth:
    """A plain clip of these frames with the noise of its own number."""
    shown = tuple(ShownFrame(number, Fraction(n, FPS), Fraction(n + 1, FPS)) for n, number in enumerate(frames))
    heard = (HeardPart(clip, Fraction(0), Fraction(0), shown[-1].end),)
    plain = Truth(clip, shown, heard, (Fraction(0),), (Shape(UPRIGHT, ASPECT),), ((DECOY, Fraction(0), SECONDS),))
    return replace(plain, **changes)  # type: ignore[arg-type]


def film_frames(clips: Sequence[int] = CLIPS) -> list[tuple[int, int]]:
    """Clip and number of every frame of a right film."""
    return [(clip, number) for clip in clips for number in range(FRAMES)]


def film_audio(clips: Sequence[int] = CLIPS) -> array[int]:
    """Each clip's noise beside its frames."""
    each = round(SECONDS * noise.RATE)
    whole = array("h")
    for n, clip in enumerate(clips):
        begin = round(n * SECONDS * noise.RATE)
        whole.extend(noise.samples_of(clip)[: round((n + 1) * SECONDS * noise.RATE) - begin])
    assert abs(len(whole) - each * len(clips)) <= len(clips)
    return whole


@dataclass(frozen=True)
class Reference:
    """What a film is drawn from. `filters` of FFmpeg's change it; `marks` are samples said to stand alone."""

    frames: Sequence[tuple[int, int]] = field(default_factory=film_frames)
    audio: array[int] = field(default_factory=film_audio)
    filters: str = "null"
    fps: int = FPS
    marks: tuple[int, ...] | None = None
    encoded: tuple[int, ...] = ()

    def judged(self, folder: Path, truths: Sequence[Truth]) -> list[str]:
        """What the judge says of it."""
        return problems(self.made(folder), truths)

    def made(self, folder: Path) -> Made:
        """The film as it is watched."""
        data = self._written(folder)
        path = folder / "film.mp4"
        path.write_bytes(data)
        return Made(watched(path), data, True, self.encoded)

    def _written(self, folder: Path) -> bytes:
        video, audio, path = folder / "video.mp4", folder / "audio.s16", folder / "whole.mp4"
        images = b"".join(drawn(clip, number, *SIZE) for clip, number in self.frames)
        source = f"-f rawvideo -pix_fmt gray -s {SIZE[0]}x{SIZE[1]} -r {self.fps} -i -"
        encode(source, images, f"-vf {self.filters} -c:v libx264 -pix_fmt yuv420p -crf 18 -g 10 -bf 2", video)
        audio.write_bytes(self.audio.tobytes())
        sources = f"-i {video} -f s16le -ar {noise.RATE} -ac 1 -i {audio}"
        encode(sources, b"", "-map 0:v -map 1:a -c:v copy -ar 48000 -ac 2 -c:a aac -b:a 128k", path)
        if self.marks is None:
            return path.read_bytes()
        movie = read_movie(path.read_bytes())
        (track,) = (one for one in movie.tracks if one.handler == VIDEO)
        track.marks = self.marks
        return written(movie, Layout())
