"""How a call that waited hears of its job's end: one table from ends to statuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.domain.errors import ProductError
from shared.domain.jobs import Job, JobStatus
from shared.http import status_of
from shared.usecases.ending import refuse_ended

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JOB = Job(
    id=UUID(int=1),
    account_id=UUID(int=2),
    user_id="u",
    kind="compile",
    route="POST /compile-videos",
    request={},
    request_hash="",
    created_at=NOW,
    deadline_at=NOW,
)
ENDS = [
    ("cancelled", "cancelled", 409),
    ("timeout", "timeout", 504),
    ("failed", "verification_failed", 500),
    ("failed", "ffmpeg_missing", 500),
    ("failed", "internal", 500),
    ("failed", "media_missing", 404),
    ("failed", "bad_media", 422),
    ("failed", "film_too_long", 422),
    ("failed", "source_unreachable", 422),
]


@pytest.mark.parametrize(("status", "code", "http_status"), ENDS)
def test_an_end_without_a_result_has_its_status_and_code(status: str, code: str, http_status: int) -> None:
    ended = replace(
        JOB,
        status=JobStatus(status),
        error_code=code,
        error_message="Do this.",
        result={"details": [{"path": "clips.1.url", "message": "is dead"}]},
    )

    with pytest.raises(ProductError) as refused:
        refuse_ended(ended)

    assert (status_of(refused.value), refused.value.code, refused.value.sentence) == (http_status, code, "Do this.")
    assert refused.value.details[0].path == "clips.1.url"


@pytest.mark.parametrize("status", ["pending", "generating", "processing", "completed"])
def test_a_job_that_runs_or_has_a_result_is_no_error(status: str) -> None:
    refuse_ended(replace(JOB, status=JobStatus(status)))
