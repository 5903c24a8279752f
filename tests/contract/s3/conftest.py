"""The same tests on our S3 server, MiniStack's and moto's; what is known to differ is named in `differences.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.contract.s3.differences import DIFFERENCES
from tests.s3_servers import S3Server, ministack_server, moto_server, own_server


@pytest.fixture(scope="session", params=["ours", "ministack", "moto"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    directory = tmp_path_factory.mktemp(request.param)
    if request.param == "ours":
        with own_server(directory / "s3") as own:
            yield own.server
        return
    start = ministack_server if request.param == "ministack" else moto_server
    with start(directory) as running:
        yield running


@pytest.fixture(autouse=True)
def _differences(request: pytest.FixtureRequest, server: S3Server) -> None:
    """A test says what AWS documents; an emulator that is known to differ must fail it."""
    case = request.node.name.replace(f"[{server.name}]", "").replace(f"[{server.name}-", "[")
    known = DIFFERENCES.get(server.name, {})
    reason = known.get(case) or known.get(case.partition("[")[0])
    if reason:
        request.applymarker(pytest.mark.xfail(reason=f"{server.name} {reason}", strict=True))


@pytest.fixture
def s3(server: S3Server) -> Any:
    return server.client()


@pytest.fixture
def bucket(s3: Any) -> str:
    """A bucket of the test's own."""
    name = f"contract-{uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name
