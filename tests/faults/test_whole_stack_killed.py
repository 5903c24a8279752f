"""Everything killed at once: `make up` on the kept state goes on where it stopped.

Leases and checks that must pass first are moved into the past in PostgreSQL.
"""

from __future__ import annotations

from tests.campaigns.stack_faults import kill_and_start_again
from tests.faults.observing import Observed, wait_for


def test_jobs_of_a_stack_killed_whole_end_once_after_the_next_start(observed: Observed) -> None:
    done = observed.generate("done before")
    assert observed.end(done) == ["completed"]
    jobs = [observed.generate(f"[seconds={n}] killed with everything") for n in (0, 1, 3, 8)]
    wait_for("all predictions", lambda: all(observed.predictions(job) for job in jobs))

    kill_and_start_again(observed)

    assert observed.call("GET", f"/status/{done}")["status"] == "completed"
    for job in jobs:
        observed.let_time_pass(job, leases=True)
    assert observed.end(*jobs) == ["completed"] * 4
    for job in (done, *jobs):
        observed.assert_settled(job)
