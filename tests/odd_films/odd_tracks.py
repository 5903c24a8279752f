"""Tracks beside those that are shown and heard, their order and flags; matrices and shapes."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

from tests.odd_films.bases import AUDIO_KINDS, NEVER_SHOWN, AudioKind
from tests.odd_films.boxes import VISUAL_ENTRY_BYTES, box, full_box, with_child, word
from tests.odd_films.drafts import Draft
from tests.odd_films.movie import VIDEO, Sample, Track
from tests.odd_films.odd_media import entry_without

Told = dict[str, Any] | None
TURNS = {
    "90": (0, 1, -1, 0),
    "180": (-1, 0, 0, -1),
    "270": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "upside down": (1, 0, 0, -1),
    "90 mirrored": (0, 1, 1, 0),
    "270 mirrored": (0, -1, -1, 0),
}


def _other_audio_kind(draft: Draft, chance: random.Random) -> AudioKind:
    """Of the same file format; often the same kind."""
    alike = [kind for kind in AUDIO_KINDS if (kind.suffix == "mov") == (draft.suffix == "mov")]
    if draft.audio_kind in alike and chance.random() < 0.6:
        return draft.audio_kind
    return chance.choice(alike)


def audio_first(draft: Draft, chance: random.Random) -> Told:
    """The audio's track stands before the video's."""
    draft.movie.tracks.reverse()
    return {} if draft.audio is not None else None


def disabled_audio(draft: Draft, chance: random.Random) -> Told:
    """A disabled audio track before or behind the enabled one."""
    if draft.audio is None:
        return None
    kind, before = _other_audio_kind(draft, chance), chance.random() < 0.6
    at = draft.movie.tracks.index(draft.audio) + (0 if before else 1)
    draft.movie.tracks.insert(at, draft.second_audio(kind, enabled=False))
    return {"before": before, "kind": kind.name}


def second_audio(draft: Draft, chance: random.Random) -> Told:
    """Another enabled audio track behind the first."""
    if draft.audio is None:
        return None
    kind = _other_audio_kind(draft, chance)
    draft.movie.tracks.append(draft.second_audio(kind, enabled=True))
    return {"kind": kind.name}


def only_disabled_audio(draft: Draft, chance: random.Random) -> Told:
    """The only audio track is disabled."""
    if draft.audio is None:
        return None
    draft.audio.flags = 6
    return {}


def disabled_video(draft: Draft, chance: random.Random) -> Told:
    """A disabled video track before or behind the one that is shown."""
    before = chance.random() < 0.7
    other = draft.pool.video(NEVER_SHOWN, draft.variant)
    other = replace(other, flags=2, source=-1)
    draft.movie.tracks.insert(0 if before else len(draft.movie.tracks), other)
    return {"before": before}


def still_track(draft: Draft, chance: random.Random) -> Told:
    """A thumbnail: one JPEG in a video track of its own, first or last, enabled or not."""
    first, flags, long = chance.random() < 0.6, chance.choice((7, 3, 2)), chance.random() < 0.5
    fixed = bytearray(with_child(draft.video.entry, b"none", None)[:VISUAL_ENTRY_BYTES])
    fixed[32:36] = word(160, 2) + word(96, 2)
    entry = box(b"jpeg", bytes(fixed[8:]))
    length = round(draft.seconds_of_video() * 600) if long else 1
    track = Track(
        VIDEO,
        600,
        entry,
        [Sample(draft.pool.jpeg(), length)],
        draft.video.header,
        flags=flags,
        shown=(Fraction(160), Fraction(96)),
    )
    draft.movie.tracks.insert(0 if first else len(draft.movie.tracks), track)
    return {"first": first, "flags": flags, "long": long}


def data_track(draft: Draft, chance: random.Random) -> Told:
    """A track that is neither: a time code, a text, metadata."""
    which, first = chance.choice(("tmcd", "text", "gpmd")), chance.random() < 0.4
    handler = {"tmcd": b"tmcd", "text": b"text", "gpmd": b"meta"}[which]
    detail = {"tmcd": bytes(8) + word(24_000) + word(1000) + b"\x18\0", "text": bytes(51), "gpmd": bytes(4)}[which]
    entry = box(which.encode(), bytes(6), word(1, 2), detail)
    data = {"tmcd": word(0), "text": word(3, 2) + b"odd", "gpmd": bytes(16)}[which]
    length = round(draft.seconds_of_video() * 600)
    track = Track(handler, 600, entry, [Sample(data, length)], full_box(b"nmhd", 0, 0))
    draft.movie.tracks.insert(0 if first else len(draft.movie.tracks), track)
    return {"which": which, "first": first}


def turned(draft: Draft, chance: random.Random) -> Told:
    """A matrix that turns or mirrors the frames, with its usual translation or another."""
    how, odd_shift = chance.choice(list(TURNS)), chance.random() < 0.3
    turn = TURNS[how]
    draft.video.turn = turn
    if odd_shift:
        draft.video.shift = (Fraction(0), Fraction(0))
    shapes = [replace(one, turn=turn, aspect=1 / one.aspect if turn[0] == 0 else one.aspect) for one in draft.shapes]
    draft.shapes = tuple(shapes)
    return {"how": how, "odd_shift": odd_shift}


def moved(draft: Draft, chance: random.Random) -> Told:
    """A matrix that only moves the track."""
    draft.video.shift = (Fraction(chance.choice((-20, 16, 64))), Fraction(chance.choice((0, 10))))
    return {"shift": [float(part) for part in draft.video.shift]}


def shaped(draft: Draft, chance: random.Random) -> Told:
    """Pixels that are not square: said by tkhd alone, by pasp, or by pasp beside a tkhd that says otherwise."""
    if draft.kind.pixel_aspect != 1:
        return None
    how = chance.choice(("tkhd", "pasp", "pasp against tkhd"))
    wide = chance.choice((Fraction(4, 3), Fraction(16, 11), Fraction(3, 4)))
    width, height = draft.kind.size
    entry = entry_without(draft.video.entry, b"pasp", b"clap")
    pasp = box(b"pasp", word(wide.numerator), word(wide.denominator))
    draft.video.entry = entry if how == "tkhd" else with_child(entry, b"pasp", pasp)
    if how != "pasp against tkhd":
        draft.video.shown = (width * wide, Fraction(height))
    square = draft.shapes[0]
    stretched = replace(square, aspect=square.aspect * wide)
    draft.shapes = (stretched, square) if how == "pasp against tkhd" else (stretched,)
    return {"how": how, "pixel_aspect": str(wide)}


def clean_aperture(draft: Draft, chance: random.Random) -> Told:
    """`clap` cuts 8 pixels from the left and from the right."""
    if draft.kind.pixel_aspect != 1:
        return None
    width, height = draft.kind.size
    clap = box(b"clap", *map(word, (width - 16, 1, height, 1, 0, 1, 0, 1)))
    draft.video.entry = with_child(entry_without(draft.video.entry, b"pasp"), b"clap", clap)
    whole = draft.shapes[0]
    share = 8 / width
    cut = replace(whole, aspect=whole.aspect * (width - 16) / width, crop=(share, 0.0, 1 - share, 1.0))
    draft.shapes = (cut, whole)
    return {}
