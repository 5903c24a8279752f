"""The stack, as the tests of faults look at it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.observing import Observed


@pytest.fixture
def observed(stack: dict[str, Any]) -> Observed:
    return Observed(stack)
