"""Runs the state machine of a job's life for so many steps."""

from __future__ import annotations

import sys
import traceback

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.campaigns.lifecycle import Lifecycle
from tests.campaigns.virtual_clock import install
from tests.databases import empty_database, migrate

STEPS_OF_ONE = 60
USUAL_STEPS = 52


def new_database(server_url: str, name: str) -> str:
    """The master's URL of a fresh database with the product's schema, whose time is virtual."""
    url = empty_database(server_url, name)
    install(url)
    migrate(url)
    return url


def run(database_url: str, number: int, count: int) -> tuple[int, int]:
    """Steps that were made, and 1 when one of them broke a promise: its way there is told on stderr."""
    Lifecycle.database_url, Lifecycle.steps = database_url, 0
    machine = seed(number)(type("Lifecycle", (Lifecycle,), {}))
    chosen = settings(
        max_examples=max(count // USUAL_STEPS, 1),
        stateful_step_count=STEPS_OF_ONE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    try:
        run_state_machine_as_test(machine, settings=chosen)
    except Exception:  # noqa: BLE001 - any way out of the machine is a violation
        traceback.print_exc(file=sys.stderr)
        return machine.steps, 1
    return machine.steps, 0
