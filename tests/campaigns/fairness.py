"""One account floods every route; the film of another must not take twice as long as it takes alone.

The flood comes from a fixed number of clients that each send their next call as soon as the last was answered. It
includes all that takes a processor: films that are encoded, plans, probes, uploads that are looked through, long polls.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from tests.e2e.bringing import bring
from tests.e2e.client import Api, a_text, eventually
from tests.footage import clip

FILMS = 40
PAUSE_SECONDS = 0.5
MOST_TIMES = 2.0
CLIENTS = 3
# What two cores answer of a flood beside everything else; a usage plan would hold the account to its limit.
CALLS_PER_SECOND = 12.0


def run(stack: dict[str, Any], seed: int, _cases: int) -> tuple[int, int, str]:
    """One comparison, 1 when the film took twice as long, and the figure."""
    ours, theirs = Api(stack["baseUrl"], stack["apiKey"]), Api(stack["baseUrl"], stack["secondApiKey"])
    with tempfile.TemporaryDirectory(prefix="vsl-fairness-") as folder:
        script = _approved(theirs, Path(folder))
        flooding = Flood(ours, Path(folder), seed)
        _film_seconds(theirs, script)  # warm
        alone = _films(theirs, script)
        with flooding.going_on():
            flooded = _films(theirs, script)
    times = median(flooded) / median(alone)
    answered = ", ".join(f"{status}: {count}" for status, count in sorted(flooding.answers.items()))
    figure = (
        f"{times:.1f} times as long ({median(flooded):.2f} s for {median(alone):.2f} s), beside "
        f"{sum(flooding.answers.values())} calls ({answered})"
    )
    print(figure, alone, flooded, file=sys.stderr)
    return 1, int(times > MOST_TIMES), figure


class Flood:
    """An account that asks for everything, again and again."""

    def __init__(self, api: Api, folder: Path, seed: int) -> None:
        self.api, self.dice = api, random.Random(seed)
        self.answers: Counter[int] = Counter()
        self.clip = clip(folder / "long.mp4", seconds=20, size="640x360")
        self.key = bring(api, self.clip)
        self.script = _approved(api, folder)
        self.job = api.generate("[seconds=1] flood")
        self.over = threading.Event()
        for method, path, body, headers in self._routes():  # warm, as a flood that lasts is
            self.api.call(method, path, body, headers)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        clients = [threading.Thread(target=self._client, daemon=True) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(5)  # until its work is under way
        try:
            yield
        finally:
            self.over.set()
            for client in clients:
                client.join(60)

    def _client(self) -> None:
        routes = self._routes()
        while not self.over.is_set():
            began = time.monotonic()
            method, path, body, headers = self.dice.choice(routes)
            self.answers[self.api.call(method, path, body, headers).status] += 1
            self.over.wait(max(CLIENTS / CALLS_PER_SECOND - (time.monotonic() - began), 0))

    def _routes(self) -> list[tuple[str, str, Any, dict[str, str]]]:
        """Every route that makes work, and the ones that read."""
        encoded = {"clips": [{"s3Key": self.key}] * 3, "reencode": True, "resolution": "854x480"}
        waits = {"Prefer": "wait=20"}
        file = {"name": "a.mp4", "contentType": "video/mp4", "size": 1000}
        forms = {"userId": "flood", "kind": "clip", "files": [file]}
        return [
            ("POST", "/compile-videos", encoded, {}),
            ("POST", "/compile-videos", {"clips": [{"s3Key": self.key}] * 20}, {}),
            ("POST", "/compile-videos", {"clips": [{"s3Key": self.key}] * 50, "dryRun": True}, {}),
            ("POST", "/compile-videos/plan", {"clips": [{"s3Key": self.key}] * 50, "quality": "low"}, {}),
            ("POST", f"/api/scripts/{self.script}/compile", {"reencode": True}, waits),
            ("POST", "/probe", {"s3Key": self.key}, {}),
            ("POST", "/generate-media", a_text("flood"), {}),
            ("POST", "/api/uploads", forms, {}),
            ("POST", "/api/scripts", {"sectionId": 1, "scriptContent": "x" * 10_000}, {}),
            ("GET", f"/status/{self.job}?wait=20", None, {}),
            ("GET", "/jobs?limit=50", None, {}),
            ("GET", f"/jobs/{self.job}/events", None, {}),
            ("GET", "/api/section-videos", None, {}),
            ("GET", "/api/usage", None, {}),
            ("GET", "/models", None, {}),
            ("GET", "/health", None, {}),
        ]


def _approved(api: Api, folder: Path) -> int:
    """A script of three clips that are approved."""
    script = api.script()
    for number in range(3):
        bring(api, clip(folder / f"{uuid4().hex}.mp4", seconds=2 + number), scriptId=script)
    videos = eventually(
        lambda: _looked_through(api, script), lambda: f"clips of script {script} are not looked through"
    )
    for video in videos:
        api.post(f"/api/section-videos/{video['videoId']}/approve").data()
    return script


def _looked_through(api: Api, script: int) -> list[Any] | None:
    videos = api.videos(script)
    return videos if len(videos) == 3 and all(video["status"] == "completed" for video in videos) else None


def _films(api: Api, script: int) -> list[float]:
    """The seconds of each of a number of films, over a time in which a flood has its ups and downs."""
    seconds = []
    for _ in range(FILMS):
        seconds.append(_film_seconds(api, script))
        time.sleep(PAUSE_SECONDS)
    return seconds


def _film_seconds(api: Api, script: int) -> float:
    """How long a film takes its caller, from the call to the film, polled as callers do."""
    began = time.monotonic()
    made = api.post(f"/api/scripts/{script}/compile", Prefer="wait=25")
    if made.status == 202:
        api.completed(made.body["data"]["jobId"])
    else:
        made.data()
    return time.monotonic() - began
