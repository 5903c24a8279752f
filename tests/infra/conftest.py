"""One synthesis of each stage for all tests of this folder, and for the next run of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.layout import find_layout
from local.synth import synthesize
from tests.infra.checked import Checked
from tests.infra.templates import Templates


@pytest.fixture(scope="session")
def dev_assembly() -> Path:
    """Where the dev stage and nag's report on it are."""
    return Checked("dev").assembly()


@pytest.fixture(scope="session")
def dev(dev_assembly: Path) -> Templates:
    return Templates.read("dev", dev_assembly)


@pytest.fixture(scope="session")
def local() -> Templates:
    """From the cache that the local stack uses as well."""
    return Templates.read("local", synthesize(find_layout(), "local").directory)


@pytest.fixture(scope="session", params=["dev", "local"])
def templates(request: pytest.FixtureRequest) -> Templates:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Templates)
    return found
