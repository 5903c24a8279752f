"""Reading: one job, pages of jobs, a job's history, health."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from pydantic import BeforeValidator, Field

from shared import bootstrap, config, http, wire
from shared.domain.jobs import Job, JobFilter, snapshot
from shared.observability import observed
from shared.usecases.read_status import job_events, list_jobs, present

router = Router()  # type: ignore[no-untyped-call]
Cursor = tuple[datetime, UUID]


def _after(job: Job) -> str:
    return base64.urlsafe_b64encode(json.dumps([job.created_at.isoformat(), str(job.id)]).encode()).decode()


def _cursor(text: str) -> Cursor:
    try:
        created_at, job_id = json.loads(base64.urlsafe_b64decode(text.encode()))
        return wire.in_utc(datetime.fromisoformat(created_at)), UUID(job_id)
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ValueError("must be a nextCursor of an earlier page") from None


class StatusQuery(wire.Query):
    wait: int = Field(default=0, ge=0, le=1000)


class JobsQuery(wire.Query):
    user_id: str | None = None
    status: Literal["pending", "generating", "processing", "completed", "failed", "cancelled", "timeout"] | None = None
    kind: (
        Literal["generate", "compile", "compose", "frames", "storyboard", "convert", "upload", "plan", "probe"] | None
    ) = None
    created_from: wire.Moment | None = Field(default=None, alias="from")
    created_to: wire.Moment | None = Field(default=None, alias="to")
    cursor: Annotated[Cursor, BeforeValidator(_cursor)] | None = None
    limit: int = Field(default=50, ge=1, le=200)


@router.get("/status/<job_id>")
def get_status(job_id: str) -> Response[str]:
    caller = http.caller_of(router, "read")
    wanted = http.path_id(job_id, "job")
    seconds = http.bounded_wait(router, http.query_of(router, StatusQuery).wait)
    view = bootstrap.status_reader().wait(wanted, caller, seconds)
    return http.answer_if_new(router, present(view, bootstrap.media(), bootstrap.clock().now()))


@router.get("/jobs")
def get_jobs() -> Response[str]:
    caller = http.caller_of(router, "read")
    asked = http.query_of(router, JobsQuery)
    narrow = JobFilter(
        user_id=asked.user_id,
        status=asked.status,
        kind=asked.kind,
        created_from=asked.created_from,
        created_to=asked.created_to,
        before=asked.cursor,
        limit=asked.limit + 1,
    )
    jobs = list_jobs(caller, narrow, records=bootstrap.records())
    listed = [
        present(snapshot(job), bootstrap.media(), bootstrap.clock().now(), in_list=True) for job in jobs[: asked.limit]
    ]
    shown = http.page_of(listed)
    cursor = _after(jobs[len(shown) - 1]) if len(jobs) > len(shown) else None
    return http.answer(200, {"jobs": shown, "nextCursor": cursor})


@router.get("/jobs/<job_id>/events")
def get_events(job_id: str) -> Response[str]:
    caller = http.caller_of(router, "read")
    events = job_events(http.path_id(job_id, "job"), caller, records=bootstrap.records())
    return http.answer(200, {"jobId": job_id, "events": list(events)})


@router.get("/health")
def get_health() -> Response[str]:
    health = bootstrap.health_reader().read()
    if health == "down":
        return http.answer(503, {"status": health}, {"Retry-After": "10"})
    return http.answer(200, {"status": health})


handler = observed(http.api_handler(router, lambda: bootstrap.settings(config.Status).cors_origins))
