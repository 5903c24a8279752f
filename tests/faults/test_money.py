"""What a job costs is told once, whatever happens to it."""

from __future__ import annotations

from tests.faults.observing import Observed, stopped, wait_for


def test_a_job_cancelled_while_generating_is_settled_with_what_it_cost(observed: Observed) -> None:
    job = observed.generate("[seconds=30] cancelled")
    wait_for("the provider to start", lambda: [p for p in observed.predictions(job) if p["startedAt"]])
    observed.wait_attempt(job, "accepted")

    answer = observed.call("POST", f"/jobs/{job}/cancel", {})

    assert answer["httpStatus"] == 200, answer
    assert observed.job(job)["status"] == "cancelled"
    wait_for("the provider's cancel", lambda: observed.predictions(job)[0]["status"] == "canceled")
    _settle(observed, job)
    observed.assert_settled(job)


def test_a_job_cancelled_with_its_call_in_doubt_counts_as_spent_at_its_deadline(observed: Observed) -> None:
    job = observed.generate("[answer=500] cancelled in doubt")
    wait_for("the doubt", lambda: _has_event(observed, job, "call.unresolved"))
    observed.call("POST", f"/jobs/{job}/cancel", {})
    observed.rows("UPDATE vsl.jobs SET deadline_at = now() WHERE id = %(job)s", job=job)

    _settle(observed, job)

    assert observed.job(job)["status"] == "cancelled"
    assert observed.attempts(job)[0]["error_code"] == "unresolved"
    observed.assert_settled(job, predictions=0)


def test_a_retry_the_budget_does_not_cover_fails_the_job(observed: Observed) -> None:
    with stopped(observed.part("provider")):
        job = observed.generate("[answer=429] over budget")
        observed.wait_attempt(job, "claimed")
        user = observed.job(job)["user_id"]
        observed.rows("UPDATE vsl.budgets SET limit_usd = 0 WHERE user_id = %(user)s", user=user)

    assert observed.end(job) == ["failed"]
    assert observed.job(job)["error_code"] == "budget_exceeded"
    observed.assert_settled(job, predictions=0)


def test_a_prediction_of_another_attempt_leaves_the_call_in_doubt_until_its_own_is_found(observed: Observed) -> None:
    other = observed.generate("the same words")
    assert observed.end(other) == ["completed"]
    job = observed.generate("[answer=lost][webhook=lost] the same words")
    wait_for("the doubt", lambda: _has_event(observed, job, "call.unresolved"))
    observed.rows("DELETE FROM vsl.job_events WHERE job_id = %(job)s AND name = 'call.unresolved'", job=job)

    observed.send(
        "reports",
        {
            "type": "call.accepted",
            "jobId": job,
            "attemptId": str(observed.attempts(job)[0]["id"]),
            "providerId": observed.predictions(other)[0]["id"],
            "providerStatus": "succeeded",
        },
    )
    wait_for("the doubt again", lambda: _has_event(observed, job, "call.unresolved"))

    assert observed.end(job) == ["completed"]
    for ended in (job, other):
        observed.assert_settled(ended)


def _has_event(observed: Observed, job: str, name: str) -> bool:
    return bool(observed.rows("SELECT 1 FROM vsl.job_events WHERE job_id = %(job)s AND name = %(n)s", job=job, n=name))


def _settle(observed: Observed, job: str) -> None:
    """Sweeps, with the check's time moved into the past, and waits for the attempt to be settled."""
    observed.let_time_pass(job)
    observed.sweep()
    observed.wait_attempt(job, "finished")
