"""One forged clip after another through reader, refusals and splice, in a process of its own with little memory."""

from __future__ import annotations

import json
import random
import resource
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from shared.domain.errors import BadMedia
from shared.media.clip import read_clip
from shared.media.facts import clip_facts
from shared.media.mp4.boxes import ByteSource
from shared.media.splice.film import Made, Splice, payloads_needed, splice
from shared.media.splice.refusals import refusals
from tests.fuzz.forging import forged

MEMORY_BYTES = 300 * 1024**2
HANG_SECONDS = 20
MOST_READS = 5000
LARGEST_FILM_READ_BACK = 32 * 1024**2


class Hang(Exception):
    """One forgery took longer than any may."""


@dataclass
class BytesSource:
    """Bytes in ranges; too many of them fail."""

    data: bytes
    reads: int = field(default=0)

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        self.reads += 1
        assert self.reads <= MOST_READS, "reads without end"
        assert 0 <= offset <= offset + length <= len(self.data), "reads outside the file"
        return self.data[offset : offset + length]


def run_one(data: bytes, neighbour: bytes) -> str:
    """What became of a forgery beside a sound clip: an error's code, `refused` or `spliced`. Any other error raises."""
    sources: list[ByteSource] = [BytesSource(data), BytesSource(neighbour)]
    try:
        clips = [read_clip(source) for source in sources]
        for clip in clips:
            clip_facts(clip)
        if refusals(clips):
            return "refused"
        needed = {one.clip: sources[one.clip].read(one.offset, one.length) for one in payloads_needed(clips)}
        made = splice(clips, needed)
    except BadMedia as error:
        return error.code
    _check_film(made, sources)
    return "spliced"


def _check_film(made: Splice, sources: list[ByteSource]) -> None:
    """What was accepted is a film that can be read and spliced again."""
    if made.size_bytes > LARGEST_FILM_READ_BACK:
        return
    pieces = [
        piece.data if isinstance(piece, Made) else sources[piece.clip].read(piece.offset, piece.length)
        for piece in made.pieces
    ]
    film = read_clip(BytesSource(b"".join([made.head, *pieces])))
    assert film.picture is not None
    assert film.picture.tables.sizes.count == made.pictures
    assert not {one.code for one in refusals([film])} - {"timescale", "too_long"}


def run(corpus: Path, first: int, count: int) -> dict[str, object]:
    """Seeds from `first` on; stops at the first that does what none may."""
    files = [path.read_bytes() for path in sorted(corpus.iterdir())]
    outcomes: dict[str, int] = {}
    for seed in range(first, first + count):
        chance = random.Random(seed)
        data = forged(chance.choice(files), chance)
        signal.alarm(HANG_SECONDS)
        try:
            outcome = run_one(data, files[0])
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed has to be told
            return {"seed": seed, "error": f"{type(error).__name__}: {error}", "outcomes": outcomes}
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return {"seed": first + count, "error": None, "outcomes": outcomes}


def _hang(_signal: int, _frame: FrameType | None) -> None:
    raise Hang(f"over {HANG_SECONDS} s")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _hang)
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
