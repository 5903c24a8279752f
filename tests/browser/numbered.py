"""Films of clips whose every picture bears a number that a page can read, each clip with a tone of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from shared.media.clip import read_clip
from shared.usecases.object_source import FileSource
from tests.unit.media.films import clip, ffmpeg, spliced

SIZE = "320x180"
PICTURES = 15
NUMBERS_PER_CLIP = 256
TONES_HZ = (300, 600, 1200, 2000)
# The page reads numbers as so many blocks in a row.
BITS, BLOCK, HEIGHT = 16, 20, 180


@dataclass(frozen=True)
class Kind:
    """What a clip is like. `heard`: for what part of its pictures it has sound, from its begin on."""

    fps: int = 24
    heard: Fraction = Fraction(1)
    options: str = ""

    @property
    def seconds(self) -> Fraction:
        """How long its pictures are shown."""
        return Fraction(PICTURES, self.fps)


@dataclass(frozen=True)
class Numbered:
    """A picture: its number, and from when to when it is shown in the film."""

    number: int
    begin: Fraction
    end: Fraction


@dataclass(frozen=True)
class Tone:
    """What is heard for a while; 0 Hz is silence."""

    pitch_hz: int
    begin: Fraction
    end: Fraction


@dataclass(frozen=True)
class Film:
    """A film in a file, and what it has to show, clip by clip, and to sound like."""

    path: Path
    seconds: Fraction
    pictures: tuple[tuple[Numbered, ...], ...]
    tones: tuple[Tone, ...]


def film_of(kinds: Sequence[Kind], path: Path, *, whole_sound: bool = False) -> Film:
    """Clips of these kinds, made by FFmpeg and spliced; with a whole sound all of them are heard, in the same tones."""
    sound = _whole_sound(kinds, path.with_suffix(".sound.mp4")) if whole_sound else None
    clips = [_clip(place, kind) for place, kind in enumerate(kinds)]
    spliced(clips, path, sound)
    pictures: list[tuple[Numbered, ...]] = []
    tones: list[Tone] = []
    begin = Fraction(0)
    for place, kind in enumerate(kinds):
        held = _held(clips[place])
        end = begin + held + kind.seconds
        heard_end = end if whole_sound else begin + kind.seconds * kind.heard
        moments = [begin, *(begin + held + Fraction(n, kind.fps) for n in range(1, PICTURES + 1))]
        pictures.append(tuple(Numbered(_first(place) + n, moments[n], moments[n + 1]) for n in range(PICTURES)))
        tones += [Tone(TONES_HZ[place], begin, heard_end), Tone(0, heard_end, end)]
        begin = end
    return Film(path, begin, tuple(pictures), tuple(tones))


def _held(path: Path) -> Fraction:
    """How long a clip's first frame is shown before its time, as its audio begins earlier."""
    picture = read_clip(FileSource(path)).picture
    return picture.held_seconds if picture is not None else Fraction(0)


def _clip(place: int, kind: Kind) -> Path:
    return clip(
        size=SIZE,
        fps=str(kind.fps),
        pictures=PICTURES,
        sound=float(kind.seconds * kind.heard) or None,
        tone=TONES_HZ[place],
        options=f"-vf {','.join(_numbers(_first(place)))} {kind.options}",
    )


def _whole_sound(kinds: Sequence[Kind], path: Path) -> Path:
    inputs = [
        word
        for place, kind in enumerate(kinds)
        for word in ("-f", "lavfi", "-i", f"sine={TONES_HZ[place]}:r=48000:d={float(kind.seconds)}")
    ]
    ffmpeg(*inputs, "-filter_complex", f"concat=n={len(kinds)}:v=0:a=1", "-c:a", "aac", "-b:a", "128k", str(path))
    return path


def _first(place: int) -> int:
    return (place + 1) * NUMBERS_PER_CLIP


def _numbers(first: int) -> Iterator[str]:
    """FFmpeg filters: a row of blocks above, white for ones, and below a row with white for zeros."""
    below = HEIGHT - BLOCK
    for y in (0, below):
        yield f"drawbox=0:{y}:{BITS * BLOCK}:{BLOCK}:black:fill"
    for bit in range(BITS):
        one = f"bitand(n+{first}\\,{1 << bit})"
        yield f"drawbox={bit * BLOCK}:0:{BLOCK}:{BLOCK}:white:fill:enable={one}"
        yield f"drawbox={bit * BLOCK}:{below}:{BLOCK}:{BLOCK}:white:fill:enable=not({one})"
