"""Edit lists as cameras, cutters and muxers write them (ISO 14496-12, 8.6.6), and some that only the standard knows."""

from __future__ import annotations

import random
from fractions import Fraction
from math import floor
from typing import Any

from tests.odd_films.drafts import Draft
from tests.odd_films.movie import Track
from tests.odd_films.writing import empty

Told = dict[str, Any] | None


def _later(track: Track, draft: Draft, seconds: Fraction) -> None:
    """An empty entry before what the track's list presents."""
    first = (round(Fraction(track.ticks, track.timescale) * draft.timescale), 0)
    track.edits = [empty(round(seconds * draft.timescale)), *(track.edits or [first])]


def _some_seconds(chance: random.Random) -> Fraction:
    return Fraction(chance.choice((100, 137, 250, 333, 500, 700, 1000)), 1000)


def hide_first(draft: Draft, chance: random.Random) -> Told:
    """Frames hidden at the start; the audio is cut alike, or begins with the first frame that is shown."""
    count, cut_audio = chance.randint(1, 5), chance.random() < 0.6
    moments = draft.moments()
    hidden = Fraction(moments[count] - moments[0], draft.video.timescale)
    draft.show(count)
    if cut_audio:
        draft.hear(hidden)
    else:
        draft.hear(Fraction(0), draft.seconds_of_video() - hidden)
    return {"frames": count, "cut_audio": cut_audio}


def hide_last(draft: Draft, chance: random.Random) -> Told:
    """Frames hidden at the end; the audio ends there as well, or goes on."""
    count, cut_audio = chance.randint(1, 5), chance.random() < 0.6
    moments = draft.moments()
    draft.show(0, len(moments) - 1 - count)
    if cut_audio:
        draft.hear(Fraction(0), Fraction(moments[-1 - count] - moments[0], draft.video.timescale))
    return {"frames": count, "cut_audio": cut_audio}


def hide_both_ends(draft: Draft, chance: random.Random) -> Told:
    """A cut out of the middle."""
    first, last = chance.randint(1, 4), chance.randint(1, 4)
    moments = draft.moments()
    draft.show(first, len(moments) - 1 - last)
    shown = Fraction(moments[-1 - last] - moments[first], draft.video.timescale)
    draft.hear(Fraction(moments[first] - moments[0], draft.video.timescale), shown)
    return {"first": first, "last": last}


def hide_part_of_a_frame(draft: Draft, chance: random.Random) -> Told:
    """The list begins between two frames."""
    count = chance.randint(1, 3)
    moments = draft.moments()
    begin = (moments[count - 1] + moments[count]) // 2
    length = Fraction(moments[-1] - begin, draft.video.timescale)
    draft.video.edits = [(floor(length * draft.timescale), begin)]
    draft.hear(Fraction(begin - moments[0], draft.video.timescale), length)
    return {"between": [count - 1, count]}


def video_later(draft: Draft, chance: random.Random) -> Told:
    """The audio comes first."""
    seconds = _some_seconds(chance)
    _later(draft.video, draft, seconds)
    return {"seconds": float(seconds)}


def audio_later(draft: Draft, chance: random.Random) -> Told:
    """The video comes first; the audio goes on behind it or ends with it."""
    if draft.audio is None:
        return None
    seconds, longer = min(_some_seconds(chance), draft.seconds_of_video() * 2 / 3), chance.random() < 0.5
    if not longer:
        draft.hear(Fraction(0), draft.seconds_of_video() - seconds)
    _later(draft.audio, draft, seconds)
    return {"seconds": float(seconds), "longer": longer}


def both_later(draft: Draft, chance: random.Random) -> Told:
    """Nothing at first."""
    seconds = _some_seconds(chance)
    for track in draft.movie.tracks:
        _later(track, draft, seconds)
    return {"seconds": float(seconds)}


def empty_behind(draft: Draft, chance: random.Random) -> Told:
    """An empty entry behind video, audio or both."""
    which = chance.choice(("video", "audio", "both"))
    length = round(_some_seconds(chance) * draft.timescale)
    tracks = {"video": [draft.video], "audio": [draft.audio], "both": [draft.video, draft.audio]}[which]
    for track in tracks:
        if track is not None and track.edits:
            track.edits.append(empty(length))
    return {"which": which}


def duration_zero(draft: Draft, chance: random.Random) -> Told:
    """A length of 0: up to the end, from the first frame or from a later one."""
    count = chance.choice((0, 0, 2, 3))
    moments = draft.moments()
    draft.video.edits = [(0, moments[count])]
    draft.hear(Fraction(moments[count] - moments[0], draft.video.timescale))
    if draft.audio is not None and draft.audio.edits:
        draft.audio.edits = [(0, draft.audio.edits[0][1])]
    return {"hidden": count}


def two_entries(draft: Draft, chance: random.Random) -> Told:
    """Two parts of the video that follow each other, leave frames out or show some twice; the audio alike."""
    how = chance.choice(("joined", "gap", "twice"))
    moments, scale = draft.moments(), draft.video.timescale
    half = len(moments) // 2
    again = {"joined": half, "gap": half + chance.randint(1, 4), "twice": half - chance.randint(1, 4)}[how]
    lengths = [Fraction(moments[half] - moments[0], scale), Fraction(moments[-1] - moments[again], scale)]
    rounded = [floor(length * draft.timescale) for length in lengths]
    draft.video.edits = [(rounded[0], moments[0]), (rounded[1], moments[again])]
    if draft.audio is not None:
        draft.hear()
        jump = Fraction(moments[again] - moments[0], scale)
        places = [draft.audio.zero, draft.audio.zero + round(jump * draft.audio.timescale)]
        draft.audio.edits = list(zip(rounded, places, strict=True))
    return {"how": how, "half": half, "again": again}


def hole(draft: Draft, chance: random.Random) -> Told:
    """An empty entry between two parts of the video; the audio goes on."""
    moments, scale = draft.moments(), draft.video.timescale
    half, seconds = len(moments) // 2, _some_seconds(chance) / 2
    lengths = [Fraction(moments[half] - moments[0], scale), Fraction(moments[-1] - moments[half], scale)]
    first, second = (floor(length * draft.timescale) for length in lengths)
    draft.video.edits = [(first, moments[0]), empty(round(seconds * draft.timescale)), (second, moments[half])]
    draft.hear(Fraction(0), draft.seconds_of_video() + seconds)
    return {"seconds": float(seconds)}


def no_edits(draft: Draft, chance: random.Random) -> Told:
    """No lists at all: frames begin as late as their first composition time, and priming is heard."""
    which = chance.choice(("video", "audio", "both"))
    if which != "audio":
        draft.video.edits = None
    if which != "video" and draft.audio is not None:
        draft.audio.edits = None
    return {"which": which}


def wide_edits(draft: Draft, chance: random.Random) -> Told:
    """Version 1, with 64 bits."""
    draft.show(chance.choice((0, 0, 2)))
    for track in draft.movie.tracks:
        track.wide_edits = True
    return {}


def audio_of_other_length(draft: Draft, chance: random.Random) -> Told:
    """Audio that is much shorter than the video, or longer."""
    share = Fraction(chance.choice((30, 60, 90, 110, 150)), 100)
    draft.hear(Fraction(0), min(draft.seconds_of_video() * share, Fraction(4)))
    return {"share": float(share)} if draft.audio is not None else None
