"""Calls whose answer or webhook never came, or that the provider failed: found again, never paid twice."""

from __future__ import annotations

import pytest

from tests.faults.observing import Observed, wait_for


@pytest.mark.parametrize("shown", ["yes", "no"])
def test_a_call_without_answer_and_webhook_is_found_again_by_what_the_provider_lists(
    observed: Observed, shown: str
) -> None:
    job = observed.generate(f"[answer=lost][webhook=lost][shown={shown}] never heard of again")

    assert observed.end(job) == ["completed"]

    observed.assert_settled(job)
    assert len(observed.attempts(job)) == 1


def test_of_two_calls_alike_that_nobody_can_tell_apart_neither_is_made_again(observed: Observed) -> None:
    jobs = [observed.generate("[answer=lost][webhook=lost][shown=no] twins") for _ in range(2)]
    for job in jobs:
        _wait_event(observed, job, "call.unresolved")
        observed.rows("DELETE FROM vsl.job_events WHERE job_id = %(job)s AND name = 'call.unresolved'", job=job)
        observed.let_time_pass(job)
    observed.sweep()
    for job in jobs:
        _wait_event(observed, job, "call.unresolved")
        observed.rows("UPDATE vsl.jobs SET deadline_at = now() WHERE id = %(job)s", job=job)

    assert observed.end(*jobs) == ["timeout"] * 2

    for job in jobs:
        observed.assert_settled(job)
        assert [attempt["error_code"] for attempt in observed.attempts(job)] == ["unresolved"]
        assert observed.job(job)["actual_cost_usd"] == observed.attempts(job)[0]["reserved_usd"]


def test_a_call_the_provider_failed_is_made_again_once_its_list_proves_that_nothing_was_made(
    observed: Observed,
) -> None:
    # Calls that other tests have lost may keep the provider's circuit open.
    observed.rows("DELETE FROM vsl.provider_pace")
    job = observed.generate("[answer=500] second time lucky")
    _wait_event(observed, job, "call.unresolved")
    observed.rows(
        "UPDATE vsl.provider_attempts SET claimed_at = claimed_at - interval '2 minutes' WHERE job_id = %(job)s",
        job=job,
    )

    assert observed.end(job) == ["completed"]

    observed.assert_settled(job)
    assert [attempt["error_code"] for attempt in observed.attempts(job)] == ["provider_error", None]


def test_a_sweep_brings_progress_and_ends_a_job_whose_webhook_is_lost(observed: Observed) -> None:
    job = observed.generate("[seconds=15][webhook=lost] a slow one")
    observed.wait_attempt(job, "accepted")
    wait_for("progress at the provider", lambda: "10%" in observed.prediction(job)["logs"])

    observed.let_time_pass(job)
    observed.sweep()
    progress = wait_for("progress of the job", lambda: observed.job(job)["progress"])

    assert 0 < progress < 100
    assert observed.end(job) == ["completed"]
    told = observed.rows(
        "SELECT details FROM vsl.job_events WHERE job_id = %(job)s AND name = 'provider.reported'", job=job
    )
    assert "%|" in told[0]["details"]["logs"]
    observed.assert_settled(job)


def _wait_event(observed: Observed, job: str, name: str) -> None:
    found = "SELECT 1 FROM vsl.job_events WHERE job_id = %(job)s AND name = %(name)s"
    wait_for(f"{name} of {job}", lambda: observed.rows(found, job=job, name=name))
