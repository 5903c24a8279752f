"""Every oddness: which may stand together in a clip, and with which codes a clip that has it may be refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.odd_films import odd_edits, odd_media, odd_tracks
from tests.odd_films.drafts import Draft

Change = Callable[[Draft, random.Random], dict[str, Any] | None]


@dataclass(frozen=True)
class Oddness:
    """`change` answers the values it chose, or None where the clip cannot have it. `group`: one of each in a clip."""

    name: str
    group: str
    change: Change
    refusals: frozenset[str] = frozenset()


def _oddness(group: str, *changes: Change, refusals: tuple[str, ...] = ()) -> list[Oddness]:
    return [Oddness(change.__name__.replace("_", " "), group, change, frozenset(refusals)) for change in changes]


def index_anywhere(draft: Draft, chance: random.Random) -> dict[str, Any]:
    """Chunks of odd sizes, 64-bit offsets, several payloads, free space, tracks apart."""
    layout = draft.layout
    layout.chunks = chance.choice(((1,), (3, 1, 4, 1, 5), (2, 7), (100,)))
    layout.wide_offsets, layout.wide_payload = chance.random() < 0.4, chance.random() < 0.3
    layout.payloads, layout.free = chance.choice((1, 1, 2, 3)), chance.choice((0, 0, 1, 500))
    layout.apart = chance.random() < 0.3
    return {
        "chunks": layout.chunks,
        "wide": layout.wide_offsets,
        "payloads": layout.payloads,
        "apart": layout.apart,
        "free": layout.free,
    }


def stale_index(draft: Draft, chance: random.Random) -> dict[str, Any]:
    """A second, older index behind all."""
    draft.layout.stale = True
    return {}


def garbage_behind(draft: Draft, chance: random.Random) -> dict[str, Any]:
    """Bytes that are no box behind all."""
    draft.layout.garbage = chance.choice((bytes(37), b"\0\0\0\x05odd", chance.randbytes(100)))
    return {"bytes": draft.layout.garbage.hex()}


def fragmented(draft: Draft, chance: random.Random) -> dict[str, Any] | None:
    """Fragments of a few frames each."""
    if any(track.block for track in draft.movie.tracks):
        return None
    draft.layout.fragments = chance.choice((4, 12, 12, 100))
    return {"frames": draft.layout.fragments}


CUT_OFF = ("bad_media", "mp4_cut_off", "mp4_no_moov", "mp4_payload_cut_off", "verification_failed")
ODDNESSES = (
    *_oddness(
        "rate",
        odd_media.other_rate,
        odd_media.other_clock,
        odd_media.uneven,
        odd_media.short_at_first,
        odd_media.signed_shifts,
    ),
    *_oddness(
        "sets", odd_media.sets_in_band, odd_media.constant_sizes, odd_media.compact_sizes, odd_media.sample_of_no_bytes
    ),
    *_oddness(
        "edits",
        odd_edits.hide_first,
        odd_edits.hide_last,
        odd_edits.hide_both_ends,
        odd_edits.hide_part_of_a_frame,
        odd_edits.video_later,
        odd_edits.audio_later,
        odd_edits.both_later,
        odd_edits.empty_behind,
        odd_edits.duration_zero,
        odd_edits.no_edits,
        odd_edits.wide_edits,
        odd_edits.audio_of_other_length,
    ),
    *_oddness("edits", odd_edits.two_entries, odd_edits.hole, refusals=("odd_edits",)),
    *_oddness(
        "tracks",
        odd_tracks.audio_first,
        odd_tracks.disabled_audio,
        odd_tracks.second_audio,
        odd_tracks.only_disabled_audio,
        odd_tracks.disabled_video,
        odd_tracks.still_track,
        odd_tracks.data_track,
    ),
    *_oddness("matrix", odd_tracks.turned, odd_tracks.moved),
    *_oddness("shape", odd_tracks.shaped, odd_tracks.clean_aperture),
    *_oddness("marks", odd_media.no_marks, odd_media.too_many_marks, odd_media.too_few_marks),
    *_oddness("layout", index_anywhere, stale_index, garbage_behind, fragmented),
    *_oddness("damage", odd_media.damaged_audio, refusals=("bad_media", "verification_failed")),
    *_oddness("damage", odd_media.truncated, refusals=CUT_OFF),
)
GROUPS = ("rate", "sets", "edits", "tracks", "shape", "matrix", "marks", "layout", "damage")
# Damage ends a film, so that little else of it could be seen.
WEIGHTS = {"edits": 3.0, "rate": 1.5, "tracks": 1.5, "layout": 1.5, "damage": 0.12}
OPEN_START = _oddness("edits", odd_media.cut_at_open_gop)[0]


def changed(draft: Draft, chance: random.Random, count: int) -> None:
    """Gives a clip up to so many oddnesses, in an order in which the later ones see the earlier."""
    weights = [WEIGHTS.get(group, 1.0) for group in GROUPS]
    chosen = {chance.choices(GROUPS, weights)[0] for _ in range(count)}
    for group in (one for one in GROUPS if one in chosen):
        apply(draft, _chosen(draft, group, chance), chance)


def _chosen(draft: Draft, group: str, chance: random.Random) -> Oddness:
    if group == "edits" and draft.kind.name in ("open-gop", "hevc-open") and chance.random() < 0.5:
        return OPEN_START
    return chance.choice([one for one in ODDNESSES if one.group == group])


def apply(draft: Draft, oddness: Oddness, chance: random.Random) -> None:
    """One oddness, where the clip can have it."""
    values = oddness.change(draft, chance)
    if values is not None:
        draft.told.append((oddness.name, values))
        draft.refusals |= oddness.refusals
