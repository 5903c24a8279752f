"""Reading: one job, pages of jobs, a job's history, health."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from shared import bootstrap, config, http
from shared.domain.errors import DependencyDown, InvalidRequest, Mistake
from shared.domain.jobs import Job, JobFilter, JobStatus, snapshot
from shared.usecases.read_status import StatusReader, await_end, etag, job_events, list_jobs, present

router = Router()  # type: ignore[no-untyped-call]
KINDS = ("generate", "compile", "compose", "frames", "storyboard", "convert")
PAGE, LONGEST_PAGE = 50, 200


@router.get("/status/<job_id>")
def get_status(job_id: str) -> Response[str]:
    caller = http.caller_of(router, "read")
    wanted = http.path_id(job_id, "job")
    reader = StatusReader(
        records=bootstrap.records(), live=bootstrap.live_view(), cache=bootstrap.status_cache(),
        aftermath=bootstrap.aftermath(),
    )  # fmt: skip
    seconds = http.query_number(router, "wait", 0, 1000)
    view = await_end(lambda: reader.read(wanted, caller), min(seconds, http.LONGEST_WAIT_SECONDS), bootstrap.clock())
    tag = etag(view, bootstrap.clock())
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if http.header(router, "if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return http.answer(200, present(view, bootstrap.media()), headers)


@router.get("/jobs")
def get_jobs() -> Response[str]:
    caller = http.caller_of(router, "read")
    limit = max(http.query_number(router, "limit", PAGE, LONGEST_PAGE), 1)
    narrow = JobFilter(
        user_id=http.query(router, "userId"),
        status=_one_of("status", [status.value for status in JobStatus]),
        kind=_one_of("kind", KINDS),
        created_from=_moment("from"),
        created_to=_moment("to"),
        before=_cursor(),
        limit=limit + 1,
    )
    jobs = list_jobs(caller, narrow, records=bootstrap.records())
    page = jobs[:limit]
    shown = [present(snapshot(job), bootstrap.media()) for job in page]
    return http.answer(200, {"jobs": shown, "nextCursor": _after(page[-1]) if len(jobs) > limit else None})


@router.get("/jobs/<job_id>/events")
def get_events(job_id: str) -> Response[str]:
    caller = http.caller_of(router, "read")
    events = job_events(http.path_id(job_id, "job"), caller, records=bootstrap.records())
    return http.answer(200, {"jobId": job_id, "events": list(events)})


@router.get("/health")
def get_health() -> Response[str]:
    try:
        bootstrap.records().ping()
    except DependencyDown:
        return http.answer(503, {"status": "down"}, {"Retry-After": "5"})
    return http.answer(200, {"status": "ok" if bootstrap.status_cache().ping() else "degraded"})


def _one_of(name: str, known: Any) -> str | None:
    value = http.query(router, name)
    if value is not None and value not in known:
        problem = f"must be one of {', '.join(known)}"
        raise InvalidRequest(f"{name} {problem}.", details=[Mistake(name, problem)])
    return value


def _moment(name: str) -> datetime | None:
    text = http.query(router, name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else datetime.fromisoformat(text + "+00:00")
    except ValueError:
        problem = "must be an ISO 8601 time such as 2026-01-31T12:00:00Z"
        raise InvalidRequest(f"{name} {problem}.", details=[Mistake(name, problem)]) from None


def _after(job: Job) -> str:
    return base64.urlsafe_b64encode(json.dumps([job.created_at.isoformat(), str(job.id)]).encode()).decode()


def _cursor() -> tuple[datetime, UUID] | None:
    text = http.query(router, "cursor")
    if text is None:
        return None
    try:
        created_at, job_id = json.loads(base64.urlsafe_b64decode(text.encode()))
        return datetime.fromisoformat(created_at), UUID(job_id)
    except (ValueError, TypeError, AttributeError):
        problem = "must be a nextCursor of an earlier page"
        raise InvalidRequest(f"cursor {problem}.", details=[Mistake("cursor", problem)]) from None


handler = http.api_handler(router, lambda: bootstrap.settings(config.Status).cors_origins)
