"""The generator's word of single clips, held against what FFmpeg shows of them: the control of the judge's truth."""

from __future__ import annotations

from pathlib import Path

from tests.odd_films.bases import Pool
from tests.odd_films.generating import OddClip, odd_film
from tests.odd_films.second_look import clip_problems

SEEDS = [f"control-{number}" for number in range(40)]
# FFmpeg repeats frames at an empty entry that is not the first, drops or moves frames at the border of two entries,
# shows nothing of an entry of no length, reads no entry but the first of a file in fragments, moves frames of one that
# are shown before they are decoded, and starts a hidden beginning at a frame that is wrongly marked.
MISREAD = {"hole", "empty behind", "two entries", "duration zero", "no marks", "too many marks", "fragmented"}
DAMAGED = {"truncated", "damaged audio"}


def test_ffmpeg_shows_what_the_generator_says(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    clips = [(seed, clip) for seed in SEEDS for clip in odd_film(pool, seed).clips]
    compared = [(seed, clip) for seed, clip in clips if not _names(clip) & (MISREAD | DAMAGED)]

    differing = [(seed, clip.name, said) for seed, clip in compared if (said := clip_problems(clip))]

    assert len(compared) > 60
    assert not differing, "\n".join(map(str, ["", *differing]))


def _names(clip: OddClip) -> set[str]:
    return {name for name, _ in clip.told["oddnesses"]}
