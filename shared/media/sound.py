"""The sound of a film as one whole: every clip's cut or filled up to its picture's samples, then encoded once.

Clip k takes the samples round(T(k) * rate) to round(T(k+1) * rate), T being where its picture starts in the film: an
offset at a join is half a sample at most, whatever the clips' sound lasted, and it cannot grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from shared.media.probe import MediaFacts
from shared.media.target import Target

# Each input of FFmpeg costs threads and their stacks, which count against its address space.
MOST_INPUTS = 24
BITS_PER_SECOND = 192_000
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


@dataclass(frozen=True, slots=True)
class SoundPiece:
    """A clip's share: silence without a `path`. `lead_seconds` says how much later than its picture the sound starts
    (negative: earlier, which is cut); `seconds` is how long the picture lasts in the film.
    """

    path: Path | None
    lead_seconds: Fraction
    seconds: Fraction


@dataclass(frozen=True, slots=True)
class WholeAudio:
    """All pieces in order, from `begin_seconds` of the film on; `seen` is what the clips' pictures are."""

    pieces: tuple[SoundPiece, ...]
    sample_rate: int
    channels: int
    begin_seconds: Fraction = Fraction(0)
    seen: tuple[MediaFacts, ...] = ()

    def samples(self) -> Iterator[int]:
        """How many samples each piece takes."""
        at = self.begin_seconds
        for piece in self.pieces:
            yield round((at + piece.seconds) * self.sample_rate) - round(at * self.sample_rate)
            at += piece.seconds

    def groups(self) -> list[WholeAudio]:
        """Parts of at most `MOST_INPUTS` pieces."""
        found: list[WholeAudio] = []
        at = self.begin_seconds
        for first in range(0, len(self.pieces), MOST_INPUTS):
            pieces = self.pieces[first : first + MOST_INPUTS]
            found.append(WholeAudio(pieces, self.sample_rate, self.channels, at))
            at += sum(piece.seconds for piece in pieces)
        return found

    def of_files(self, files: Sequence[Path]) -> WholeAudio:
        """The same sound when each group has become a file."""
        pieces = (
            SoundPiece(file, Fraction(0), sum((piece.seconds for piece in group.pieces), Fraction(0)))
            for file, group in zip(files, self.groups(), strict=True)
        )
        return WholeAudio(tuple(pieces), self.sample_rate, self.channels, self.begin_seconds, self.seen)


def joins_drift(clips: Sequence[MediaFacts]) -> bool:
    """Whether copied sound would leave its pictures: where a clip has none, or its two do not begin and end as one.

    Up to a frame of the coded sound is the usual rounding of encoders.
    """
    return any(_leans(clip) for clip in clips)


def _leans(clip: MediaFacts) -> bool:
    seen, heard = clip.video, clip.audio
    if seen is None or heard is None:
        return True
    start, length = heard.start_seconds - seen.start_seconds, heard.duration_seconds - seen.duration_seconds
    frame = heard.duration_seconds / heard.packets
    return abs(start) > frame or abs(start + length) > frame


def sound_of_film(
    sources: Sequence[Path], heard: Sequence[MediaFacts], seen: Sequence[MediaFacts], target: Target
) -> WholeAudio | None:
    """The sound of `sources` (facts: `heard`) for the pictures as they are joined (facts: `seen`); None for a silent
    film. The two differ where pictures were re-encoded: the sound comes from the original, at one generation.
    """
    if target.sample_rate is None or all(clip.audio is None for clip in heard):
        return None
    pieces = tuple(_piece(path, own, shown) for path, own, shown in zip(sources, heard, seen, strict=True))
    channels = target.channels if target.channels in _LAYOUTS else 2
    return WholeAudio(pieces, target.sample_rate, channels, seen=tuple(seen))


def _piece(path: Path, heard: MediaFacts, seen: MediaFacts) -> SoundPiece:
    seconds = seen.video.duration_seconds if seen.video is not None else seen.duration_seconds
    if heard.audio is None:
        return SoundPiece(None, Fraction(0), seconds)
    start = heard.video.start_seconds if heard.video is not None else heard.audio.start_seconds
    return SoundPiece(path, heard.audio.start_seconds - start, seconds)


def sound_graph(whole: WholeAudio, first_input: int) -> str:
    """A filter graph that ends in `[sound]`. `first_input` numbers the first piece that has a file."""
    chains, numbers = [], iter(range(first_input, first_input + len(whole.pieces)))
    for index, (piece, samples) in enumerate(zip(whole.pieces, whole.samples(), strict=True)):
        source = _silence(whole) if piece.path is None else _heard(piece, whole, next(numbers))
        chains.append(f"{source},apad=whole_len={samples},atrim=end_sample={samples}[s{index}]")
    names = "".join(f"[s{index}]" for index in range(len(chains)))
    # Counted in samples from here on: the filters' microseconds would make packets a sample longer or shorter.
    clock = f"asettb=1/{whole.sample_rate},asetpts=N"
    return ";".join([*chains, f"{names}concat=n={len(chains)}:v=0:a=1,{clock}[sound]"])


def _silence(whole: WholeAudio) -> str:
    return f"anullsrc=r={whole.sample_rate}:cl={_LAYOUTS[whole.channels]}"


def _heard(piece: SoundPiece, whole: WholeAudio, number: int) -> str:
    """Gaps inside the clip are filled first, so that counting samples is telling time from there on."""
    lead = round(piece.lead_seconds * whole.sample_rate)
    moved = f",adelay=delays={lead}S:all=1" if lead > 0 else f",atrim=start_sample={-lead}" if lead < 0 else ""
    return (
        f"[{number}:a:0]asetpts=PTS-STARTPTS,aresample={whole.sample_rate}:async=1:min_hard_comp=0.02,"
        f"aformat=sample_fmts=fltp:channel_layouts={_LAYOUTS[whole.channels]}{moved},asetpts=N/SR/TB"
    )
