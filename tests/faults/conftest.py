"""The stack, as the tests of faults look at it; and one with the fault proxy in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from local.stack import FAULTS_VARIABLE
from local.temporary import temporary_stack
from tests.faults.observing import Observed


@pytest.fixture
def observed(stack: dict[str, Any]) -> Observed:
    return Observed(stack)


@pytest.fixture
def unscheduled(observed: Observed) -> Iterator[None]:
    """The minute schedule rests: only the test's own calls run."""
    events = observed.aws("events")
    rules = [rule["Name"] for rule in events.list_rules()["Rules"] if "minute" in rule["ScheduleExpression"]]
    for rule in rules:
        events.disable_rule(Name=rule)
    yield
    for rule in rules:
        events.enable_rule(Name=rule)


@pytest.fixture(scope="session")
def proxied() -> Iterator[Observed]:
    """A stack of its own whose functions reach everything through the fault proxy."""
    with ExitStack() as held:
        os.environ[FAULTS_VARIABLE] = "1"
        try:
            _, stack = held.enter_context(temporary_stack("vsl-faults-"))
        finally:
            del os.environ[FAULTS_VARIABLE]  # stacks that other tests start are their own
        yield Observed(stack)
