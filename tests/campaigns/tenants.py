"""Random operations of two accounts on every route with each other's ids: nothing of the other ever shows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from tests.e2e.client import Answer, Api, a_text

REFUSED = (400, 402, 404, 409, 410, 422)


@dataclass
class Tenant:
    """An account, what it owns, and a word that is in all of it."""

    api: Api
    word: str = field(default_factory=lambda: f"tenant-{uuid4().hex}")
    jobs: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)


def run(tenants: tuple[Tenant, Tenant], seed: int, count: int) -> int:
    """Violations among so many operations."""
    dice = random.Random(seed)
    return sum(_violates(dice, *dice.sample(tenants, 2)) for _ in range(count))


def prepared(first: Api, second: Api) -> tuple[Tenant, Tenant]:
    """Two accounts with a script, a clip and a job each."""
    tenants = Tenant(first), Tenant(second)
    for tenant in tenants:
        _make(tenant)
    return tenants


def _make(tenant: Tenant) -> None:
    script_id = str(
        tenant.api.post("/api/scripts", {"sectionId": 7, "scriptContent": tenant.word}).data(201)["scriptId"]
    )
    body = {
        "userId": tenant.word,
        "mediaType": "video",
        "modelId": "seedance-1-lite",
        "scriptId": int(script_id),
        "parameters": {"prompt": f"{tenant.word} [size=64x64]", "duration": 2, "resolution": "480p"},
    }
    tenant.jobs.append(tenant.api.post("/generate-media", body).data(202)["jobId"])
    tenant.jobs.append(tenant.api.post("/generate-media", a_text(tenant.word, userId=tenant.word)).data(202)["jobId"])
    tenant.scripts.append(script_id)
    tenant.videos += [video["videoId"] for video in tenant.api.videos(int(script_id))]


def _violates(dice: random.Random, caller: Tenant, other: Tenant) -> bool:
    answer = dice.choice(OPERATIONS)(dice, caller, other)
    told = json.dumps(answer.body)
    leaks = other.word in told or any(f'"{job_id}"' in told for job_id in other.jobs if answer.status < 300)
    return leaks or answer.status >= 500


def _foreign(dice: random.Random, caller: Tenant, other: Tenant) -> Answer:
    """Every route that takes an id, with the other's."""
    job, script, video = dice.choice(other.jobs), dice.choice(other.scripts), dice.choice(other.videos)
    method, path, body = dice.choice(
        [
            ("GET", f"/status/{job}", None),
            ("GET", f"/jobs/{job}/events", None),
            ("POST", f"/jobs/{job}/cancel", {}),
            ("POST", f"/jobs/{job}/retry", {}),
            ("GET", f"/api/scripts/{script}", None),
            ("POST", f"/api/scripts/{script}/compile", {}),
            ("POST", f"/api/section-videos/{video}/approve", {}),
            ("POST", f"/api/section-videos/{video}/reject", {"regenerate": True}),
            ("PATCH", f"/api/section-videos/{video}", {"position": 1}),
            ("POST", "/compile-videos", {"videoIds": [video]}),
            ("POST", "/compile-videos", {"clips": [{"jobId": job}]}),
            ("POST", "/generate-media", a_text("x", scriptId=int(script))),
            ("DELETE", f"/api/videos/{job}", None),
            ("DELETE", f"/api/section-videos/{video}", None),
            ("DELETE", f"/api/scripts/{script}", None),
        ]
    )
    answer = caller.api.call(method, path, body)
    # Refused as if it did not exist; a route that needs another scope says so.
    return answer if answer.status in (*REFUSED, 403) else Answer(599, {}, {"done": path})


def _listing(dice: random.Random, caller: Tenant, other: Tenant) -> Answer:
    """Every list, narrowed to what is the other's."""
    script = dice.choice(other.scripts)
    paths = (
        "/jobs?limit=200",
        f"/jobs?userId={other.word}",
        "/api/scripts?limit=500",
        "/api/section-videos?limit=500",
        f"/api/section-videos?scriptId={script}",
        f"/api/section-videos?userId={other.word}",
        "/models",
        "/api/usage?groupBy=user",
        "/api/budgets",
    )
    return caller.api.get(dice.choice(paths))


def _own(dice: random.Random, caller: Tenant, other: Tenant) -> Answer:
    """Its own things go on working."""
    answer = caller.api.get(f"/status/{dice.choice(caller.jobs)}")
    return answer if answer.status == 200 else Answer(599, {}, answer.body)


OPERATIONS: tuple[Callable[[random.Random, Tenant, Tenant], Answer], ...] = (_foreign, _foreign, _listing, _own)
