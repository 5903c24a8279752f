"""How long a job still takes: by its own progress, else by its estimate, else nobody says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.domain.jobs import Job, JobStatus, snapshot
from shared.usecases.read_status import eta_seconds, present
from tests.memory_media import MemoryMedia

START = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)
RUNNING = JobStatus.PROCESSING


def view(status: JobStatus = RUNNING, **changes: Any) -> dict[str, Any]:
    facts = {"started_at": None if status is JobStatus.PENDING else START, **changes}
    return snapshot(
        Job(uuid4(), uuid4(), "user", "compile", "POST /compile-videos", {}, "", START, START, status=status, **facts)
    )


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("progress", "taken", "left"),
    [(50, 10, 10), (25, 10, 30), (99, 10, 1), (1, 1, 99), (100, 10, 0), (33, 0, 0), (50, -5, 0)],
)
def test_progress_tells_the_rest_whatever_was_estimated(progress: int, taken: float, left: int) -> None:
    assert eta_seconds(view(progress=progress, estimated_seconds=7), after(taken)) == left


@pytest.mark.parametrize("progress", [None, 0])
@pytest.mark.parametrize(("taken", "left"), [(0, 20), (12.5, 8), (19.9, 1), (20, None), (500, None), (-3, 20)])
def test_without_progress_the_estimate_runs_down_and_then_nobody_knows(
    progress: int | None, taken: float, left: int | None
) -> None:
    assert eta_seconds(view(progress=progress, estimated_seconds=20), after(taken)) == left


def test_what_waits_is_counted_from_when_it_was_asked_for() -> None:
    assert eta_seconds(view(JobStatus.PENDING, estimated_seconds=20), after(5)) == 15


def test_what_was_never_estimated_is_not_guessed() -> None:
    assert eta_seconds(view(), after(5)) is None


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMEOUT])
def test_what_has_ended_takes_no_time(status: JobStatus) -> None:
    ended = view(status, progress=50, estimated_seconds=20, s3_key="k", result={"outputs": []})

    assert eta_seconds(ended, after(5)) is None
    assert "etaSeconds" not in present(ended, MemoryMedia(), after(5))


def test_callers_see_it_beside_the_progress() -> None:
    shown = present(view(progress=20, estimated_seconds=1), MemoryMedia(), after(10))

    assert (shown["progress"], shown["etaSeconds"]) == (20, 40)
    assert present(view(), MemoryMedia(), after(10))["etaSeconds"] is None
