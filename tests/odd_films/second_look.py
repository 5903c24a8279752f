"""Whether FFmpeg, asked for a single clip, shows what the generator says: the judge's own control.

FFmpeg is told which tracks to play, and does not hold a first frame for audio that begins before it; all else of the
truth has to be seen. Where it is not, the truth is doubtful, or FFmpeg reads the clip otherwise than the standard.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from tests.odd_films.bases import FFMPEG
from tests.odd_films.generating import OddClip
from tests.odd_films.judging import read_frame, shape_problems
from tests.odd_films.judging_audio import audio_problems
from tests.odd_films.judging_times import Placed, time_problems
from tests.odd_films.watching import watched


def clip_problems(clip: OddClip, *, ffmpeg: str = FFMPEG) -> list[str]:
    """In what FFmpeg differs from the clip's truth."""
    video, audio = clip.streams
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / clip.name
        path.write_bytes(clip.data)
        try:
            seen = watched(path, ffmpeg=ffmpeg, video=video, audio=audio)
        except AssertionError as error:
            return [str(error)]
    truth = replace(clip.truth, begins=tuple(frame.begin for frame in clip.truth.frames[:2]))
    numbers = [read_frame(one, {truth.clip: truth.shapes}) for one in seen.frames]
    if any(number is None or number[0] != truth.clip for number in numbers):
        return [f"FFmpeg shows {[number for number, _ in groupby(numbers)][:5]}"]
    frames = [(number[1], one) for number, one in zip(numbers, seen.frames, strict=True) if number]
    first = next((frame.begin for frame in truth.frames if frame.number == frames[0][0]), truth.begins[0])
    part = Placed(truth, frames, first)
    return [
        *(f"FFmpeg complains: {line}" for line in seen.complaints[:1]),
        *time_problems(part, seen.end, is_encoded=False),
        *shape_problems(part, is_encoded=False),
        *audio_problems(seen, [part], ()),
    ]
