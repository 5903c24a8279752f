"""Everything killed at once: `make up` on the kept state goes on where it stopped.

Leases and checks that must pass first are moved into the past in PostgreSQL.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from local import commands
from local.keeper import running_keeper
from local.layout import MARK_VARIABLE, Layout, find_layout
from local.processes import marked, wait_until
from tests.faults.observing import Observed, wait_for


def test_jobs_of_a_stack_killed_whole_end_once_after_the_next_start(observed: Observed) -> None:
    layout = Layout(root=find_layout().root, state=Path(observed.stack["stateDir"]))
    done = observed.generate("done before")
    assert observed.end(done) == ["completed"]
    jobs = [observed.generate(f"[seconds={n}] killed with everything") for n in (0, 1, 3, 8)]
    wait_for("all predictions", lambda: all(observed.predictions(job) for job in jobs))

    keeper = running_keeper(layout)
    assert keeper
    for process in (keeper, *marked(MARK_VARIABLE, str(layout.state))):
        os.kill(process, signal.SIGKILL)
    assert wait_until(lambda: not marked(MARK_VARIABLE, str(layout.state)), 10)
    assert wait_until(lambda: running_keeper(layout) is None, 10)  # a killed process lets go of its files last
    assert commands.up(layout, with_parent=True) == 0

    assert observed.call("GET", f"/status/{done}")["status"] == "completed"
    for job in jobs:
        observed.let_time_pass(job, leases=True)
    assert observed.end(*jobs) == ["completed"] * 4
    for job in (done, *jobs):
        observed.assert_settled(job)
