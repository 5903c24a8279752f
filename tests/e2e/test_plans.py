"""What a compile would do is told before it is done: per clip, by name, with time and cost; and the film follows it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.bringing import clips_of
from tests.e2e.client import Api, fetch, pictures
from tests.faults.observing import Observed
from tests.footage import clip, encoder, made

Watch = Callable[[], AbstractContextManager[None]]


def film_of(api: Api, asked: dict[str, Any]) -> dict[str, Any]:
    """The film's answer, waited for where it is long."""
    answer = api.post("/compile-videos", asked, Prefer="wait=25")
    assert answer.status in (200, 202), answer.body
    if answer.status == 200:
        return dict(answer.body["data"])
    api.completed(answer.body["data"]["jobId"])
    return dict(api.get(f"/status/{answer.body['data']['jobId']}").data()["result"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


FRAGMENTS = ("-g", "6", "-movflags", "frag_keyframe+empty_moov+default_base_moof")
# FFmpeg tells the packets of such a file wrong times.
FRAGMENT_OF_EACH = ("-movflags", "frag_every_frame+empty_moov")

CASES: dict[str, tuple[list[dict[str, Any]], str, set[str]]] = {
    "like clips": ([{}, {"hertz": 550}], "splice", set()),
    "other parameter sets": ([{}, {"coded": ("-profile:v", "baseline", "-bf", "0")}], "splice", set()),
    "another rate": ([{}, {"fps": 30}], "splice", set()),
    "no sound in one": ([{}, {"sound": None}], "splice", set()),
    "fragments": ([{}, {"coded": FRAGMENTS}, {"coded": (*FRAGMENTS, "-bf", "2")}], "splice", set()),
    "fragments of uneven sound": ([{}, {"hertz": 550}, {"coded": FRAGMENT_OF_EACH}], "copy", {"audio_grid"}),
    "sound of six channels": ([{}, {"sound": "5.1"}], "copy", {"audio_channels", "audio_layout"}),
    "one of another size": ([{}, {}, {"size": "320x180"}], "smart", {"size_differs", "video_width"}),
    "three sizes": ([{}, {"size": "320x180"}, {"size": "240x136"}], "encode", {"size_differs"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_plan_is_told_and_followed(api: Api, folder: Path, tmp_path: Path, case: str, nothing_made: Watch) -> None:
    kinds, strategy, names = CASES[case]
    name = case.replace(" ", "-")
    paths = [clip(folder / f"{name}-{number}.mp4", **kind) for number, kind in enumerate(kinds)]
    asked = {"clips": clips_of(api, *paths)}

    with nothing_made():
        plan = api.post("/compile-videos/plan", asked).data()
        dry = api.post("/compile-videos", {**asked, "dryRun": True}).data()
    film = film_of(api, asked)

    assert (plan["strategy"], dry["strategy"], film["strategy"]) == (strategy,) * 3
    assert names <= {one["name"] for clip_ in plan["clips"] for one in clip_["mismatches"]}
    assert bool(plan["refused"]) == (strategy != "splice")
    estimate = plan["estimate"]
    assert 0 < estimate["lowSeconds"] <= estimate["seconds"] <= estimate["highSeconds"]
    assert estimate["costUsd"] > 0
    verified = film["verification"]
    assert verified["ok"] is True
    frames = pictures(film["compiledVideoUrl"], tmp_path)
    assert len(frames) == verified["frames"] == verified["framesExpected"]
    assert all(abs(join["audioOffsetMs"] or 0) < 12 for join in verified["joins"])
    assert len(verified["joins"]) == len(paths)


def test_a_plan_shows_what_each_clip_is(api: Api, folder: Path) -> None:
    path = clip(folder / "shown.mp4", size="320x180", fps="30000/1001", sound="mono")

    (shown,) = api.post("/compile-videos/plan", {"clips": clips_of(api, path)}).data()["clips"]

    video, audio = shown["probe"]["video"], shown["probe"]["audio"]
    assert (shown["action"], shown["fileSize"]) == ("copied", path.stat().st_size)
    assert (video["codec"], video["displayWidth"], video["displayHeight"]) == ("h264", 320, 180)
    assert (video["fps"], video["frames"], video["gop"]) == ("30000/1001", 30, "closed")
    assert (audio["codec"], audio["sampleRate"], audio["channels"]) == ("aac", 44100, 1)


def test_a_clip_is_probed(api: Api, folder: Path) -> None:
    path = clip(folder / "probed.mp4", size="320x180")
    turned = folder / "turned.mp4"
    made("-display_rotation", "90", "-i", path, "-c", "copy", turned)

    found = api.post("/probe", clips_of(api, turned)[0]).data()

    video = found["video"]
    assert (video["width"], video["height"], abs(video["rotation"])) == (320, 180, 90)
    assert (video["displayWidth"], video["displayHeight"]) == (180, 320)
    assert found["seconds"] == pytest.approx(1, abs=0.05)
    index = found["index"]
    assert (index["video"]["gop"], index["video"]["mirrored"]) == ("closed", False)
    assert index["headerSeconds"] == pytest.approx(index["seconds"], abs=0.1)
    assert {edit["handler"] for edit in index["edits"]} <= {"vide", "soun"}


def test_a_size_and_a_rate_are_granted(api: Api, folder: Path, tmp_path: Path) -> None:
    clips = clips_of(api, clip(folder / "a.mp4"), clip(folder / "b.mp4", size="90x160"))

    film = film_of(api, {"clips": clips, "resolution": "128x72", "fps": 30})

    path = tmp_path / "film.mp4"
    path.write_bytes(fetch(film["compiledVideoUrl"])[1])
    video = encoder().verify(path).video
    assert video is not None
    assert (film["strategy"], video.width, video.height, video.fps, video.frames) == ("encode", 128, 72, 30, 60)


def test_clips_of_the_size_asked_for_are_copied(api: Api, folder: Path) -> None:
    clips = clips_of(api, clip(folder / "c.mp4"), clip(folder / "d.mp4", hertz=500))

    film = film_of(api, {"clips": clips, "resolution": "160x90", "fps": "24", "quality": "low"})

    assert film["strategy"] == "splice"


@pytest.mark.parametrize(
    ("wish", "path"),
    [
        ({"resolution": "1280"}, "resolution"),
        ({"resolution": "15x20"}, "resolution"),
        ({"resolution": "1281x720"}, "resolution"),
        ({"resolution": "9999x720"}, "resolution"),
        ({"fps": 0}, "fps"),
        ({"fps": "24/7"}, "fps"),
        ({"fps": "1e9"}, "fps"),
        ({"fps": 121}, "fps"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(api: Api, wish: dict[str, Any], path: str, nothing_made: Watch) -> None:
    with nothing_made():
        answer = api.post("/compile-videos/plan", {"clips": [{"videoId": 1}], **wish})

    answer.refuses(422, "invalid_request")
    assert [one["path"] for one in answer.body["details"]] == [path]


def test_a_file_that_is_no_video_is_named(api: Api, tmp_path: Path, folder: Path) -> None:
    words = tmp_path / "words.mp4"
    words.write_bytes(b"no video at all" * 100)
    clips = clips_of(api, clip(folder / "e.mp4"), words)

    answer = api.post("/compile-videos/plan", {"clips": clips})
    refused = api.post("/compile-videos", {"clips": clips}, Prefer="wait=25")

    assert "Clip 2" in answer.refuses(422, "bad_media")
    assert "Clip 2" in refused.refuses(422, "bad_media")


def test_a_clip_encoded_for_one_film_is_there_for_the_next(api: Api, folder: Path, stack: dict[str, Any]) -> None:
    like = [clip(folder / f"f{number}.mp4", hertz=200 + number, seconds=2) for number in range(3)]
    keys = clips_of(api, *like, clip(folder / "odd.mp4", size="320x180"))

    first = film_of(api, {"clips": keys})
    kept = derived(stack)
    second = film_of(api, {"clips": [keys[1], keys[3], keys[2]]})

    assert (first["strategy"], second["strategy"]) == ("smart", "smart")
    assert len(kept) >= 1
    assert derived(stack) == kept


def derived(stack: dict[str, Any]) -> dict[str, Any]:
    """Clips in a new form, and when each was made."""
    pages = (
        Observed(stack).aws("s3").get_paginator("list_objects_v2").paginate(Bucket=stack["bucket"], Prefix="derived/")
    )
    return {entry["Key"]: entry["LastModified"] for page in pages for entry in page.get("Contents", [])}


def test_webm_stays_webm_unless_an_mp4_is_asked_for(api: Api, folder: Path) -> None:
    source = clip(folder / "w.mp4", sound=None)
    webm = made("-i", source, "-c:v", "libvpx", "-b:v", "200k", folder / "w.webm")
    clips = clips_of(api, webm, webm)

    kept = film_of(api, {"clips": clips})
    asked = film_of(api, {"clips": clips, "outputFormat": "mp4"})

    assert (kept["strategy"], asked["strategy"]) == ("copy", "encode")
    assert ["webm" in kept["compiledVideoUrl"], "webm" in asked["compiledVideoUrl"]] == [True, False]
    assert [film["outputs"][0]["format"] for film in (kept, asked)] == ["webm", "mp4"]
