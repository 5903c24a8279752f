"""A compile killed at any stage is made again by the sweep: one film, complete, with nothing left open beside it."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.s3 import S3MediaStore
from tests.e2e.bringing import bring
from tests.e2e.client import Api, pictures
from tests.faults.observing import Observed, wait_for
from tests.footage import clip

PICTURES = 48
UNDER_WAY = "SELECT id::text FROM vsl.jobs WHERE kind = 'compile' AND status = 'processing'"
# Filler makes a clip as large as one likes and costs next to nothing to decode.
LARGE = (
    "-x264-params",
    "nal-hrd=cbr:filler=1",
    "-g",
    "24",
    "-b:v",
    "100M",
    "-minrate",
    "100M",
    "-maxrate",
    "100M",
    "-bufsize",
    "50M",
)


@pytest.fixture(scope="module")
def large(stack: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Three clips of some 24 MB, so that their film is joined from parts."""
    folder, api = tmp_path_factory.mktemp("large"), Api(stack["baseUrl"], stack["apiKey"])
    paths = [
        clip(folder / f"{number}.mp4", size="640x360", seconds=2, hertz=300 + 100 * number, coded=LARGE)
        for number in range(3)
    ]
    assert sum(path.stat().st_size for path in paths) > 64 * 1024**2
    return [{"s3Key": bring(api, path)} for path in paths]


@pytest.fixture(scope="module")
def rewrapped(stack: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Two clips of some 24 MB that lie in another container."""
    folder, api = tmp_path_factory.mktemp("rewrapped"), Api(stack["baseUrl"], stack["apiKey"])
    paths = [
        clip(folder / f"{number}.mkv", size="640x360", seconds=2, hertz=300, coded=(*LARGE, "-c:a", "libmp3lame"))
        for number in range(2)
    ]
    return [{"s3Key": bring(api, path)} for path in paths]


@pytest.fixture(autouse=True)
def no_other_film(observed: Observed) -> None:
    """One that an earlier test left under way would be taken for the test's own."""
    observed.end(*(row["id"] for row in observed.rows(UNDER_WAY)))


@pytest.fixture
def pace(stack: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], None]]:
    """How slow the bucket is."""

    def be(settings: dict[str, Any]) -> None:
        request = urllib.request.Request(
            f"{stack['s3ControlUrl']}/pace",
            json.dumps(settings).encode(),
            {"Content-Type": "application/json"},
            method="PUT",
        )
        urllib.request.urlopen(request, timeout=10).close()

    yield be
    be({})


def films(observed: Observed, job: str) -> list[str]:
    store = S3MediaStore(observed.aws("s3"), observed.stack["bucket"])
    return [key for key in store.keys("compiled/") if job in key and key.endswith(".mp4")]


STAGES = {
    # What is slow, and what shows that the stage was reached.
    "while it reads": ({"get": {"firstByteMs": 4000}}, lambda o: o.guard("compile-videos") is not None),
    "while parts are joined": ({"copy": {"firstByteMs": 4000}}, lambda o: bool(uploads(o))),
    "while the upload is completed": ({"complete": {"firstByteMs": 4000}}, lambda o: bool(uploads(o))),
}


def uploads(observed: Observed) -> list[Any]:
    found: list[Any] = observed.aws("s3").list_multipart_uploads(Bucket=observed.stack["bucket"]).get("Uploads", [])
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_splice_killed_is_made_again(
    observed: Observed, large: list[dict[str, str]], stage: str, tmp_path: Path, pace: Callable[..., None]
) -> None:
    settings, reached = STAGES[stage]
    pace(settings)
    asked = threading.Thread(target=observed.call, args=("POST", "/compile-videos", {"clips": large}))
    asked.start()
    wait_for("the job", lambda: running(observed))
    job = running(observed)
    wait_for(stage, lambda: reached(observed))
    observed.kill("compile-videos")
    pace({})
    asked.join()
    assert films(observed, job) == []
    observed.let_time_pass(job, leases=True)

    assert observed.end(job) == ["completed"]

    assert len(films(observed, job)) == 1
    assert uploads(observed) == []
    shown = observed.call("GET", f"/status/{job}")["result"]
    assert (shown["strategy"], shown["verification"]["ok"]) == ("splice", True)
    assert len(pictures(shown["originalUrl"], tmp_path)) == 3 * PICTURES


def test_a_copy_killed_while_a_clip_is_rewrapped_is_made_again(
    observed: Observed, rewrapped: list[dict[str, str]], tmp_path: Path, pace: Callable[..., None]
) -> None:
    pace({"put": {"firstByteMs": 3000}})
    asked = threading.Thread(target=observed.call, args=("POST", "/compile-videos", {"clips": rewrapped}))
    asked.start()
    wait_for("the new form's upload", lambda: uploads(observed))
    job = running(observed)
    assert [upload["Key"].partition("/")[0] for upload in uploads(observed)] == ["derived"]
    observed.kill("compile-videos")
    pace({})
    asked.join()
    observed.let_time_pass(job, leases=True)

    assert observed.end(job) == ["completed"]

    assert uploads(observed) == []
    shown = observed.call("GET", f"/status/{job}")["result"]
    assert (shown["strategy"], shown["verification"]["ok"]) == ("copy", True)
    assert len(pictures(shown["originalUrl"], tmp_path)) == 2 * PICTURES


def running(observed: Observed) -> str:
    rows = observed.rows(UNDER_WAY)
    return str(rows[0]["id"]) if rows else ""


def test_a_cancelled_splice_leaves_nothing(
    observed: Observed, large: list[dict[str, str]], pace: Callable[..., None]
) -> None:
    pace({"copy": {"firstByteMs": 6000}})
    asked = threading.Thread(target=observed.call, args=("POST", "/compile-videos", {"clips": large}))
    asked.start()
    wait_for("the upload", lambda: uploads(observed))
    job = running(observed)

    assert observed.call("POST", f"/jobs/{job}/cancel", {})["httpStatus"] == 200
    asked.join()

    wait_for("the upload's end", lambda: not uploads(observed))
    assert (observed.job(job)["status"], films(observed, job)) == ("cancelled", [])


def test_a_clip_replaced_between_plan_and_copy_is_noticed(
    observed: Observed, large: list[dict[str, str]], pace: Callable[..., None]
) -> None:
    key = large[2]["s3Key"]
    s3, bucket = observed.aws("s3"), observed.stack["bucket"]
    before = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    pace({"copy": {"firstByteMs": 3000}})
    answers: list[Any] = []
    asked = threading.Thread(target=lambda: answers.append(observed.call("POST", "/compile-videos", {"clips": large})))
    asked.start()
    wait_for("the upload", lambda: uploads(observed))
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=before[:-1] + b"x", ContentType="video/mp4")
        asked.join()
    finally:
        s3.put_object(Bucket=bucket, Key=key, Body=before, ContentType="video/mp4")

    assert (answers[0]["httpStatus"], answers[0]["code"]) == (422, "source_changed")
    assert uploads(observed) == []
