"""What all tests share: the local stack, sockets off in unit tests, and no silent skips."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import boto3
import pytest
from xdist.scheduler import LoadFileScheduling

from local import commands
from local.layout import Layout, find_layout, read_json
from local.media_provider import SETTING, TOKEN_VARIABLE
from local.starting import why_not_up
from tests.sample_media import PRESENT, SHELF

collect_ignore_glob = [] if PRESENT else ["**/test_*sample_media.py"]
UNIT_TESTS = Path(__file__).parent / "unit"
_skipped: list[str] = []


class OneProcessForEach(LoadFileScheduling):  # type: ignore[misc]
    """Files go to processes whole; those that share something dear, a second stack or a synthesis, go together."""

    SHARED: ClassVar = {
        "the stack with the fault proxy": (
            "test_fault_proxy.py",
            "test_routes_without_stores.py",
            "test_second_deliveries.py",
        ),
        "templates": ("tests/infra/",),
    }

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((what for what, names in self.SHARED.items() if any(name in file for name in names)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneProcessForEach:
    return OneProcessForEach(config, log)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """A local stack of the tests' own: the content of its stack.json, plus `stateDir`.

    Its state is a new folder, so a stack the user runs is not disturbed; it is kept when a test fails.
    """
    state = Path(tempfile.mkdtemp(prefix="vsl-test-"))
    state.chmod(0o711)  # PostgreSQL's user must reach its data
    layout = Layout(root=find_layout().root, state=state)
    for name in (SETTING, TOKEN_VARIABLE):
        os.environ.pop(name, None)  # no test may spend money at the real provider
    if commands.up(layout, with_parent=True) != 0:
        reason = why_not_up(layout)
        pytest.fail(f"the local stack did not come up; its logs are in {layout.logs}\n{reason}", pytrace=False)
    yield {**read_json(layout.stack_file), "stateDir": str(state)}
    refused = [line for log in (layout.logs / "functions").iterdir() for line in _refusals(log)]
    failed = request.session.testsfailed > 0 or bool(refused)
    assert (commands.down if failed else commands.clean)(layout) == 0
    if failed:
        print(f"\nThe stack's logs are kept in {layout.logs}")
    else:
        shutil.rmtree(state)
    assert not refused, "\n".join(["functions were refused what they asked AWS for:", *refused])


def _refusals(log: Path) -> list[str]:
    """Calls that a function's role does not allow: such a function seems to work, and tries again for ever."""
    return [f"{log.name}: {line}" for line in log.read_text().splitlines() if '"access_denied"' in line]


@pytest.fixture(autouse=True)
def _no_credentials_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 keeps those that its first client was made with, whatever the environment says later."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.fixture(autouse=True)
def _no_network_in_unit_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.path.is_relative_to(UNIT_TESTS):
        for name in ("connect", "connect_ex"):
            monkeypatch.setattr(socket.socket, name, _refuse_to_connect)


def _refuse_to_connect(_socket: socket.socket, address: object) -> NoReturn:
    raise AssertionError(f"a unit test connects to {address}: unit tests use no network")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _skipped and _on_build_server() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not PRESENT:
        terminalreporter.line(f"Left out: tests on sample media, as none lie at {SHELF}")
    if _skipped:
        verdict = "which fails a build" if _on_build_server() else "which would fail a build (CI=true)"
        terminalreporter.section(f"{len(_skipped)} SKIPPED, {verdict}", sep="!", red=True)
        for test in _skipped:
            terminalreporter.line(test, red=True)


def _on_build_server() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true")
