"""The jobs of the sample media's list, through the API: films have the pictures, length, size and sound they should."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.bringing import clips_of
from tests.e2e.client import Api, fetch
from tests.footage import encoder
from tests.sample_media import SHELF, manifest

# What a compile takes today: clips, a size, a rate.
TAKEN = {"resolution", "fps"}
JOBS = [
    job
    for job in manifest()["jobs"]
    if job["operation"].startswith(("concat", "re-encode")) and set(job.get("request", {})) <= TAKEN
]
BROKEN = next(job for job in manifest()["jobs"] if job["id"].startswith("o19"))
# Read by this FFmpeg, though not by the one the list was made with.
READ_NOW = {"iss634.webp", "sample_still_photo.heic", "sample_vvc.mp4", "truncated_jpeg.jpg"}


@pytest.mark.parametrize("job", JOBS, ids=[job["id"] for job in JOBS])
def test_a_film_of_the_list(api: Api, tmp_path: Path, job: dict[str, Any]) -> None:
    clips = clips_of(api, *(SHELF / name for name in job["inputs"]))

    answer = api.post("/compile-videos", {"clips": clips, **job["request"]}, Prefer="wait=25")
    assert answer.status in (200, 202), answer.body
    result = api.completed(answer.body["data"]["jobId"])["result"]

    assert result["verification"]["ok"] is True
    path = tmp_path / "film"
    path.write_bytes(fetch(result["originalUrl"])[1])
    facts, expected = encoder().verify(path), job["expected"]
    video = facts.video
    assert video is not None
    assert (facts.audio is not None) == expected["audio"]
    assert [video.width, video.height] == expected["video_size"]
    assert_length(float(facts.duration_seconds), expected)
    assert_frames(video.frames, expected)
    if "fps" in expected and result["strategy"] == "encode":
        assert video.fps == Fraction(expected["fps"])
        assert (video.pixel_format, video.sar) == ("yuv420p", 1)


def assert_length(seconds: float, expected: dict[str, Any]) -> None:
    tolerance = expected.get("duration_tolerance_s", 0)
    low = expected.get("duration_min_s", expected["duration_s"] - tolerance)
    high = expected.get("duration_max_s", expected["duration_s"] + tolerance)
    assert low - 0.05 <= seconds <= high + 0.05


def assert_frames(frames: int, expected: dict[str, Any]) -> None:
    tolerance = expected.get("frames_tolerance", 0)
    low = expected.get("frames_min", expected["frames"] - tolerance)
    assert low <= frames <= expected.get("frames_max", expected["frames"] + tolerance)


@pytest.mark.parametrize("name", sorted(set(BROKEN["inputs"]) - READ_NOW))
def test_a_broken_file_of_the_list_gets_a_reason(api: Api, name: str) -> None:
    answer = api.post("/compile-videos", {"clips": clips_of(api, SHELF / name)}, Prefer="wait=25")

    if answer.status == 200:
        # Some of it can be decoded: the film is no longer than that.
        assert BROKEN["expected"]["per_file"][name]["status_in_ffprobe"] == "decodes_with_errors"
        return
    assert "Clip 1" in answer.refuses(422, answer.body["code"])
