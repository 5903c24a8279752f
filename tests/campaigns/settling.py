"""Jobs brought to their end after a fault, and the promises asked of them: one end, one bill, nothing left behind."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from shared.domain.errors import PROVIDER_ERROR
from tests.faults.observing import Observed

# A claim this young belongs to a call that may be on its way to the provider.
CALL_UNDER_WAY = timedelta(seconds=20)
# Nothing takes that long but what hangs.
PATIENCE_SECONDS = 400
# Directives that end a job otherwise than completed, or may.
MAY_FAIL = ("[abort]", "[fail]", "[output=", "[expire=")


def settle_all(observed: Observed, jobs: Sequence[str]) -> int:
    """How many of the jobs, which are to complete, break a promise."""
    return settles(observed, jobs, [""] * len(jobs))


def settles(observed: Observed, jobs: Sequence[str], prompts: Sequence[str]) -> int:
    """How many of the jobs broke a promise, once all have come to their end."""
    try:
        doubtful = _end_all(observed, jobs)
    except AssertionError as error:
        print(f"violation: {str(error)[:2000]}", flush=True)
        return len(jobs)
    return sum(_broken(observed, job, prompt, job in doubtful) for job, prompt in zip(jobs, prompts, strict=True))


def _end_all(observed: Observed, jobs: Sequence[str]) -> set[str]:
    """Brings all to their end; those whose call the provider never took, which nobody could find out.

    Leases and checks that must pass first are moved into the past, as the tests of faults do, and calls that the
    provider answered with 5xx, so that they are missed in its list; of calls in doubt the deadline too: until then a
    late webhook might tell, and then they count as spent (ADR 1).
    """
    began, doubtful = time.monotonic(), set[str]()
    while left := _left(observed, jobs):
        waited_seconds = time.monotonic() - began
        assert waited_seconds < PATIENCE_SECONDS, f"not ended: {[observed.job(job) for job in left]}"
        for job in left:
            observed.let_time_pass(job, leases=waited_seconds > 30)
            _let_list_be_complete(observed, job)
        if waited_seconds > 40:
            doubtful |= {job for job in left if _is_in_doubt(observed, job)}
            observed.rows("UPDATE vsl.jobs SET deadline_at = now() WHERE id = ANY(%(j)s::uuid[])", j=list(doubtful))
        with suppress(AssertionError, OSError):
            observed.sweep()
        time.sleep(1)
    return doubtful


def _let_list_be_complete(observed: Observed, job: str) -> None:
    """Moves a refused call a minute into the past, once nothing of it can be on its way."""
    observed.rows(
        "UPDATE vsl.provider_attempts SET claimed_at = claimed_at - interval '1 minute' WHERE job_id = %(job)s "
        "AND state = 'claimed' AND error_code = %(code)s AND claimed_at > now() - interval '1 minute' "
        "AND claimed_at < now() - %(under_way)s",
        job=job,
        code=PROVIDER_ERROR,
        under_way=CALL_UNDER_WAY,
    )


def _is_in_doubt(observed: Observed, job: str) -> bool:
    """Whether a call was claimed a while ago of which the provider knows nothing, and did not say so itself."""
    attempts = observed.attempts(job)
    known = {attempt["provider_id"] for attempt in attempts} - {None}
    before = datetime.now(UTC) - CALL_UNDER_WAY
    doubts = [attempt for attempt in attempts if attempt["state"] == "claimed" and attempt["claimed_at"] < before]
    silent = any(attempt["error_code"] != PROVIDER_ERROR for attempt in doubts)
    return silent and {prediction["id"] for prediction in observed.predictions(job)} == known


def _left(observed: Observed, jobs: Sequence[str]) -> list[str]:
    """Jobs that have not ended, or whose calls are not settled."""
    rows = observed.rows(
        "SELECT id::text FROM vsl.jobs j WHERE id = ANY(%(jobs)s::uuid[]) AND (status IN ('pending', 'generating', "
        "'processing') OR EXISTS (SELECT 1 FROM vsl.provider_attempts a WHERE a.job_id = j.id "
        "AND a.state NOT IN ('rejected', 'finished')))",
        jobs=list(jobs),
    )
    return [row["id"] for row in rows]


def _broken(observed: Observed, job: str, prompt: str, in_doubt: bool) -> bool:
    end = observed.job(job)["status"]
    try:
        made = observed.predictions(job)
        billed = [prediction for prediction in made if prediction["billedUsd"]]
        called = [attempt for attempt in observed.attempts(job) if attempt["provider_id"]]
        assert len(billed) <= 1, f"billed {len(billed)} times"
        assert len(made) == len(called), f"{len(made)} predictions, {len(called)} known calls"
        expected = end == "timeout" if in_doubt else end == "completed" or any(word in prompt for word in MAY_FAIL)
        assert expected, f"ended as {end}"
        if observed.incoming(job):
            # Left by an inspector killed after its commit; its queue delivers again after the visibility timeout.
            observed.send("inspect", {"jobId": job})
        observed.assert_settled(job, predictions=len(made))
        if not in_doubt:
            assert observed.paid_usd(job) == round(sum(prediction["billedUsd"] for prediction in made), 6)
    except AssertionError as error:
        print(f"violation: {job} {prompt!r} {end}: {str(error)[:1500]}", flush=True)
        return True
    return False
