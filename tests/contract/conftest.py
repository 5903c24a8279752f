"""The provider's stand-in as a process that a module's tests share, and who takes its webhooks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scripted_server import ScriptedServer, always, reply, scripted
from tests.standin_process import StandIn, running


@pytest.fixture(scope="module")
def standin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """It takes the module's `TOKEN` only, and any where there is none."""
    with running(tmp_path_factory.mktemp("provider"), token=getattr(request.module, "TOKEN", None)) as server:
        yield server


@pytest.fixture(scope="module")
def hooks() -> Iterator[ScriptedServer]:
    """Takes every webhook."""
    with scripted(always(reply(200))) as server:
        yield server
