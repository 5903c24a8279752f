"""The stack, as the tests of faults look at it; and one with the fault proxy in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from local.stack import FAULTS_VARIABLE
from local.temporary import temporary_stack
from tests.faults.observing import Observed


@pytest.fixture
def observed(stack: dict[str, Any]) -> Observed:
    return Observed(stack)


@pytest.fixture(scope="session")
def proxied() -> Iterator[Observed]:
    """A stack of its own whose functions reach everything through the fault proxy."""
    os.environ[FAULTS_VARIABLE] = "1"
    try:
        with temporary_stack("vsl-faults-") as (_, stack):
            yield Observed(stack)
    finally:
        del os.environ[FAULTS_VARIABLE]
