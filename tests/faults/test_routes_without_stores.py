"""Every route while something it needs is down: it goes on as ever, or answers 503 with a remedy and when to try again.

A route that is added needs a call here, and where it can do without a store, a word of it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from infra.stacks.api import KEYED_ROUTES, PUBLIC_ROUTES
from shared.usecases.read_health import KEPT_FOR
from tests.campaigns.webhooks import signed
from tests.e2e.bringing import bring
from tests.e2e.client import Answer, Api, a_text
from tests.faults.observing import Observed, fault
from tests.footage import clip

Route = tuple[str, str]
ROUTES = [route[:2] for route in (*PUBLIC_ROUTES, *KEYED_ROUTES)]
FILE = {"name": "take.mp4", "contentType": "video/mp4", "size": 4}
FILM_OF_A_SCRIPT = ("POST", "/api/scripts/{scriptId}/compile")
# What these name is looked for in the bucket before anything is written.
READ_FROM_MEDIA = {("POST", "/compile-videos"), ("POST", "/compile-videos/plan"), ("POST", "/probe")}
WEBHOOKS = {("POST", "/webhook"), ("POST", "/webhook/replicate")}
ERASES_MEDIA = ("DELETE", "/api/users/{userId}")
# Who is called by nobody but us, who reads nothing that is kept there, and what the live view answers.
WITHOUT_DATABASE = WEBHOOKS | {("GET", "/models"), ("GET", "/models/{mediaType}/{modelId}"), ("GET", "/status/{jobId}")}


@dataclass(frozen=True)
class Ours:
    """An account's key with all scopes, what it owns, and the secret that signs webhooks."""

    api: Api
    script_id: int
    job_id: str
    video_id: str
    rejected_id: str
    key: str
    webhook_secret: str

    def call(self, route: Route) -> Answer:
        """The route, asked as one asks it that has everything it needs."""
        # An earlier test's answer is remembered for so long.
        if route == ("GET", "/health"):
            time.sleep(KEPT_FOR.total_seconds())
        method, path = route
        there = {
            "scriptId": self.script_id,
            "jobId": self.job_id,
            "videoId": self.video_id,
            "mediaType": "image",
            "modelId": "flux-schnell",
            "userId": f"nobody-{uuid4().hex}",
            "erasureId": uuid4(),
        }
        if path.endswith(("/cancel", "/retry")) or method == "DELETE":
            there |= {"jobId": uuid4(), "scriptId": 2**31 - 1, "videoId": 2**31 - 1}
        if path.endswith("/reject"):
            there["videoId"] = self.rejected_id
        body = None if method in ("GET", "DELETE") else self._bodies.get(route, {})
        sent = json.dumps(body) if route in WEBHOOKS else body
        headers = signed(sent, self.webhook_secret, int(time.time())) if isinstance(sent, str) else {}
        asked = re.sub(r"{(\w+)}", lambda found: str(there[found[1]]), path)
        return self.api.call(method, asked, sent.encode() if isinstance(sent, str) else body, headers)

    @property
    def _bodies(self) -> Mapping[Route, Any]:
        clips = {"clips": [{"s3Key": self.key}]}
        told = {"id": uuid4().hex[:26], "status": "succeeded"}
        return {
            ("POST", "/webhook"): told,
            ("POST", "/webhook/replicate"): told,
            ("POST", "/generate-media"): a_text(f"without stores {uuid4().hex}"),
            ("POST", "/api/uploads"): {"userId": "tester", "kind": "clip", "files": [FILE], "scriptId": self.script_id},
            ("POST", "/api/scripts"): {"sectionId": 1},
            ("PATCH", "/api/section-videos/{videoId}"): {"position": 1},
            ("POST", "/compile-videos"): clips,
            ("POST", "/compile-videos/plan"): clips,
            ("POST", "/probe"): {"s3Key": self.key},
            ("PUT", "/api/budgets"): {"userId": f"nobody-{uuid4().hex}", "limitUsd": 1},
        }


@pytest.fixture(scope="module")
def ours(proxied: Observed, tmp_path_factory: pytest.TempPathFactory) -> Ours:
    api = Api(proxied.stack["baseUrl"], proxied.stack["adminApiKey"])
    script_id, path = api.script(), clip(tmp_path_factory.mktemp("clips") / "take.mp4")
    job_ids = [api.generate(f"[duration=1][size=64x64] clip {number}", scriptId=script_id) for number in range(2)]
    assert proxied.end(*job_ids) == ["completed"] * 2
    approved, rejected = (video["videoId"] for video in api.videos(script_id))
    api.post(f"/api/section-videos/{approved}/approve").data()
    secret = proxied.aws("secretsmanager").get_secret_value(SecretId="/vsl/local/replicate-webhook-secret")
    key, word = bring(api, path), secret["SecretString"]
    return Ours(api, script_id, job_ids[0], approved, rejected, key, word)


@pytest.fixture(scope="module")
def usual(ours: Ours) -> Mapping[Route, int]:
    """What each route answers when all is well; every environment is warm afterwards, and each key is known."""
    found = {route: ours.call(route).status for route in ROUTES}
    assert {route: status for route, status in found.items() if status >= 300} == dict.fromkeys(NOBODYS, 404)
    return found


NOBODYS = [
    ("POST", "/jobs/{jobId}/cancel"),
    ("POST", "/jobs/{jobId}/retry"),
    ("DELETE", "/api/videos/{jobId}"),
    ("GET", "/api/erasures/{erasureId}"),
    ("DELETE", "/api/section-videos/{videoId}"),
    ("DELETE", "/api/scripts/{scriptId}"),
]


def is_told(answer: Answer, code: str) -> None:
    """Asserts a 503 that says what to do, and when."""
    sentence = answer.refuses(503, code)
    assert re.search(r"again|GET /", sentence), sentence
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_without_the_database_nothing_is_recorded_and_the_caller_is_told(
    proxied: Observed, ours: Ours, usual: Mapping[Route, int], route: Route
) -> None:
    with fault(proxied, "postgres", reset_probability=1, cut_after_bytes=0):
        answer = ours.call(route)

    if route == ("GET", "/health"):
        assert (answer.status, answer.body, answer.headers["retry-after"]) == (503, {"status": "down"}, "10")
    elif route in WITHOUT_DATABASE:
        assert answer.status == usual[route], answer.body
    else:
        is_told(answer, "database_down")


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_without_the_bucket_only_what_reads_media_has_to_wait(
    proxied: Observed, ours: Ours, usual: Mapping[Route, int], route: Route
) -> None:
    with fault(proxied, "s3", http_status=503, cut_after_bytes=0):
        answer = ours.call(route)

    if route in READ_FROM_MEDIA:
        is_told(answer, "storage_down")
    elif route == FILM_OF_A_SCRIPT:
        assert (answer.status, answer.body["data"]["status"]) == (202, "processing")
    elif route == ERASES_MEDIA:
        assert (answer.status, answer.body["status"], answer.body["left"]) == (202, "processing", None)
    else:
        assert answer.status == usual[route], answer.body


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_without_queues_and_live_view_all_is_recorded_for_the_sweep(
    proxied: Observed, ours: Ours, usual: Mapping[Route, int], route: Route
) -> None:
    with fault(proxied, "ministack", http_status=503, cut_after_bytes=0):
        answer = ours.call(route)

    if route in WEBHOOKS:
        is_told(answer, "dependency_down")  # so that the provider sends it again
    else:
        assert answer.status == usual[route], answer.body


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_without_the_cache_every_route_goes_on(
    proxied: Observed, ours: Ours, usual: Mapping[Route, int], route: Route
) -> None:
    with fault(proxied, "redis", reset_probability=1, cut_after_bytes=0):
        answer = ours.call(route)

    assert answer.status == usual[route], answer.body


def test_without_the_key_directory_a_key_nobody_has_asked_for_is_neither_let_in_nor_called_wrong(
    proxied: Observed, usual: Mapping[Route, int]
) -> None:
    with fault(proxied, "ministack", http_status=503, cut_after_bytes=0):
        answer = Api(proxied.stack["baseUrl"], f"vsl_{uuid4().hex}").get("/models")

    assert usual
    is_told(answer, "dependency_down")


def test_a_job_cancelled_without_queues_and_views_is_shown_as_it_is(proxied: Observed, ours: Ours) -> None:
    with (
        fault(proxied, "ministack", http_status=503, cut_after_bytes=0),
        fault(proxied, "redis", reset_probability=1, cut_after_bytes=0),
    ):
        job = ours.api.generate("cancelled without queues")
        assert ours.api.post(f"/jobs/{job}/cancel").data()["status"] == "cancelled"
        shown = ours.api.get(f"/status/{job}")

    assert shown.data()["status"] == "cancelled"


def test_a_film_asked_for_while_the_bucket_is_down_is_made_when_it_is_back(proxied: Observed, ours: Ours) -> None:
    asked = {"videoIds": [ours.video_id]}
    key = uuid4().hex
    with fault(proxied, "s3", http_status=503, cut_after_bytes=0):
        job = ours.api.post("/compile-videos", asked, Idempotency_Key=key).data(202)["jobId"]
        assert ours.api.get(f"/status/{job}").data()["status"] == "processing"

    # Nobody waits for a lease of the call that met the bucket down.
    assert proxied.end(job) == ["completed"]
    assert ours.api.post("/compile-videos", asked, Idempotency_Key=key).data(200)["jobId"] == job
