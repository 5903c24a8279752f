"""Rates, clocks, marks, sizes, parameter sets and damage."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

from tests.odd_films.boxes import VISUAL_ENTRY_BYTES, box, child_of, number, with_child, word
from tests.odd_films.drafts import Draft, present_all, set_rate
from tests.odd_films.movie import Sample
from tests.odd_films.rates import even, retimed

Told = dict[str, Any] | None
RATES = tuple(map(Fraction, ("24", "25", "30", "30000/1001", "60", "24000/1001", "15", "50")))
CLOCKS = (600, 1000, 2997, 12_345, 44_100, 48_000, 90_000, 1_000_000, 10_000_000)
AUD, FILLER, END_OF_FILLER = 9, b"\x0c", b"\x80"


def other_rate(draft: Draft, chance: random.Random) -> Told:
    """Another constant rate than the encoder was told."""
    fps = chance.choice(RATES)
    set_rate(draft, fps)
    return {"fps": str(fps)}


def other_clock(draft: Draft, chance: random.Random) -> Told:
    """A clock into which frames may not divide."""
    clock = chance.choice(CLOCKS)
    fps = max(draft.kind.fps, Fraction(1000, 60))
    set_rate(draft, fps, clock)
    return {"clock": clock}


def uneven(draft: Draft, chance: random.Random) -> Told:
    """Frames of many lengths."""
    ticks = [chance.choice((200, 375, 375, 375, 500, 750, 1500)) for _ in draft.video.samples]
    retimed(draft.video, [Fraction(one, 9000) for one in ticks], chance.choice((9000, 90_000)))
    present_all(draft)
    return {"ticks": ticks}


def short_at_first(draft: Draft, chance: random.Random) -> Told:
    """A few short frames before longer ones, hidden or not."""
    count, hidden = chance.randint(2, 6), chance.random() < 0.6
    lengths = [Fraction(100, 12_288)] * count + [Fraction(1000, 12_288)] * (len(draft.video.samples) - count)
    retimed(draft.video, lengths, 12_288)
    present_all(draft)
    if hidden:
        draft.show(count // 2)
        gone = Fraction(100 * (count // 2), 12_288)
        draft.hear(gone)
    return {"count": count, "hidden": hidden}


def signed_shifts(draft: Draft, chance: random.Random) -> Told:
    """Frames shown before they are decoded (ctts version 1, cslg), and no edit list."""
    retimed(draft.video, even(draft.video, draft.kind.fps), draft.kind.fps.numerator * 512, signed=True)
    present_all(draft)
    draft.video.edits = None
    return {}


def no_marks(draft: Draft, chance: random.Random) -> Told:
    """No stss: every frame is said to be one to begin at."""
    draft.video.marks = ()
    return {}


def too_many_marks(draft: Draft, chance: random.Random) -> Told:
    """Frames in stss that need others."""
    count, step = len(draft.video.samples), chance.randint(2, 5)
    draft.video.marks = tuple(range(1, count + 1, step))
    return {"step": step}


def too_few_marks(draft: Draft, chance: random.Random) -> Told:
    """The first frame alone in stss."""
    draft.video.marks = (1,)
    return {}


def compact_sizes(draft: Draft, chance: random.Random) -> Told:
    """`stz2`."""
    for track in draft.movie.tracks:
        track.compact_sizes = not track.block
    return {}


def constant_sizes(draft: Draft, chance: random.Random) -> Told:
    """Every frame filled up to one size by a filler unit."""
    if draft.kind.family != "h264":
        return None
    largest = max(len(sample.data) for sample in draft.video.samples) + 6
    draft.video.samples = [replace(sample, data=_filled(sample.data, largest)) for sample in draft.video.samples]
    return {"size": largest}


def _filled(data: bytes, size: int) -> bytes:
    missing = size - len(data) - 4
    return data + word(missing) + FILLER + b"\xff" * (missing - 2) + END_OF_FILLER


def sample_of_no_bytes(draft: Draft, chance: random.Random) -> Told:
    """A sample without bytes among others: the frame before it stays."""
    if any(sample.shift for sample in draft.video.samples):
        return None
    at = chance.randint(2, len(draft.video.samples) - 1)
    draft.video.samples.insert(at, Sample(b"", draft.video.samples[at].duration, sync=False))
    draft.video.marks = tuple(n for n, sample in enumerate(draft.video.samples, 1) if sample.sync)
    draft.show()
    return {"at": at}


def _sets(avcc: bytes) -> list[bytes]:
    """The parameter sets of an avcC (ISO 14496-15, 5.3.3.1)."""
    found, at = [], 6
    for count in (avcc[5] & 31, None):
        count = avcc[at] if count is None else count
        at += 0 if not found else 1
        for _ in range(count):
            size = number(avcc, at, 2)
            found.append(avcc[at + 2 : at + 2 + size])
            at += 2 + size
    return found


def _with_sets(sample: Sample, sets: list[bytes]) -> Sample:
    if not sample.sync:
        return sample
    units = b"".join(word(len(one)) + one for one in sets)
    first = number(sample.data, 0) + 4 if sample.data[4] & 31 == AUD else 0
    return replace(sample, data=sample.data[:first] + units + sample.data[first:])


def sets_in_band(draft: Draft, chance: random.Random) -> Told:
    """Parameter sets before every IDR: as avc3 with or without those of avcC, or as avc1 beside them."""
    if draft.kind.family != "h264":
        return None
    how = chance.choice(("avc3 alone", "avc3 and avcC", "avc1 and avcC"))
    entry = draft.video.entry
    avcc = child_of(entry, b"avcC")
    assert avcc is not None
    draft.video.samples = [_with_sets(sample, _sets(avcc)) for sample in draft.video.samples]
    if how == "avc3 alone":
        entry = with_child(entry, b"avcC", box(b"avcC", avcc[:5], b"\xe0\0"))
    draft.video.entry = entry[:4] + how[:4].encode() + entry[8:]
    return {"how": how}


def cut_at_open_gop(draft: Draft, chance: random.Random) -> Told:
    """Begins at an I frame whose leading frames need what was cut away; the edit list hides them."""
    if not draft.kind.name.endswith(("open-gop", "hevc-open")):
        return None
    keys = [index for index, sample in enumerate(draft.video.samples) if sample.sync and index]
    if not keys:
        return None
    draft.video.samples = draft.video.samples[keys[0] :]
    shown = draft.video.composed()
    leading = sorted(shown).index(shown[0])
    draft.show(leading)
    draft.hear(Fraction(0), Fraction(draft.moments()[-1] - shown[0], draft.video.timescale))
    return {"at": keys[0], "leading": leading}


def damaged_audio(draft: Draft, chance: random.Random) -> Told:
    """One packet of noise."""
    if draft.audio is None or draft.audio.block:
        return None
    at = len(draft.audio.samples) // 2
    sample = draft.audio.samples[at]
    draft.audio.samples[at] = replace(sample, data=chance.randbytes(len(sample.data)))
    draft.listened = False
    return {"packet": at}


def truncated(draft: Draft, chance: random.Random) -> Told:
    """The file ends too early."""
    draft.cut_at = Fraction(chance.randint(30, 90), 100)
    return {"share": float(draft.cut_at)}


def entry_without(entry: bytes, *kinds: bytes) -> bytes:
    """A visual sample entry without these children."""
    for kind in kinds:
        entry = with_child(entry, kind, None)
    assert len(entry) >= VISUAL_ENTRY_BYTES
    return entry
