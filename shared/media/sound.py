"""The sound of a film as one whole: every clip's cut or filled up to its picture's samples, then encoded once.

Clip k takes the samples round(T(k) * rate) to round(T(k+1) * rate), T being where its picture starts in the film: an
offset at a join is half a sample at most, whatever the clips' sound lasted, and it cannot grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise

from shared.media.presentation import HELD_ABOVE_SECONDS
from shared.media.probe import MediaFacts
from shared.media.streams import MediaInput

BITS_PER_SECOND = 192_000
_LAYOUTS = {1: "mono", 2: "stereo"}


@dataclass(frozen=True, slots=True)
class SoundPiece:
    """A clip's share: silence without a `source`. `lead_seconds` says how much later than its picture the sound starts
    (negative: earlier, which is cut); `seconds` is how long the picture lasts in the film.
    """

    source: MediaInput | None
    lead_seconds: Fraction
    seconds: Fraction
    stream: int = 0


def held_seconds(facts: MediaFacts) -> Fraction:
    """How much later a clip's first frame is shown than its audio begins, in seconds: in the film that frame is held
    for as long, so that no audio is lost. 0 without audio, or where they begin together but for HELD_ABOVE_SECONDS.
    What lies before a file's time 0, as where it was cut, is not played and holds nothing.
    """
    if facts.audio is None or facts.video is None:
        return Fraction(0)
    late = facts.video.start_seconds - max(facts.audio.start_seconds, Fraction(0))
    return late if late > HELD_ABOVE_SECONDS else Fraction(0)


def piece_of(source: MediaInput, facts: MediaFacts, seconds: Fraction, *, held: Fraction) -> SoundPiece:
    """The share of a clip that is shown for so long, its first frame for `held` seconds before its time; silence where
    it has no sound.
    """
    if facts.audio is None:
        return SoundPiece(None, Fraction(0), seconds)
    start = facts.video.start_seconds if facts.video is not None else facts.audio.start_seconds
    return SoundPiece(source, facts.audio.start_seconds - start + held, seconds, facts.audio.stream)


def samples_of(pieces: Sequence[SoundPiece], sample_rate: int) -> list[int]:
    """How many samples each piece takes."""
    ends = accumulate((piece.seconds for piece in pieces), initial=Fraction(0))
    return [round(end * sample_rate) - round(begin * sample_rate) for begin, end in pairwise(ends)]


def sound_graph(
    piece: SoundPiece, samples: int, sample_rate: int, channels: int, *, changing: bool = True
) -> list[str]:
    """`-filter_complex` options that end in `[sound]`: so many samples of the first input's audio, or of silence.

    FFmpeg starts a graph anew where its input changes (as broadcasts change from six channels to two), with all
    counts at 0, and a graph that reads from another is not flushed at the end. So where the audio may be `changing`,
    the first graph makes the samples alike and never ends, and a second one, whose input never changes, counts.
    """
    # Counted in samples from here on: the filters' microseconds would make packets a sample longer or shorter.
    counted = f"atrim=end_sample={samples},asettb=1/{sample_rate},asetpts=N[sound]"
    layout = _LAYOUTS[channels]
    if piece.source is None:
        return ["-filter_complex", f"anullsrc=r={sample_rate}:cl={layout},{counted}"]
    source, alike = f"[0:a:{piece.stream}]", f"aformat=sample_fmts=fltp:channel_layouts={layout}"
    if not changing:
        heard = f"{_heard(piece, sample_rate)},{alike},apad=whole_len={samples}"
        return ["-filter_complex", f"{source}{heard},{counted}"]
    return [
        *("-filter_complex", f"{source}aresample={sample_rate},{alike},apad[samples]"),
        *("-filter_complex", f"[samples]{_heard(piece, sample_rate)},{counted}"),
    ]


def _heard(piece: SoundPiece, sample_rate: int) -> str:
    """Gaps inside the clip are filled first, so that counting samples is telling time from there on."""
    lead = round(piece.lead_seconds * sample_rate)
    moved = f",adelay=delays={lead}S:all=1" if lead > 0 else f",atrim=start_sample={-lead}" if lead < 0 else ""
    return f"asetpts=PTS-STARTPTS,aresample={sample_rate}:async=1:min_hard_comp=0.02{moved},asetpts=N/SR/TB"
