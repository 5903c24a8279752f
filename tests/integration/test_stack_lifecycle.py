"""The stack starts once, names what crashed, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local import commands
from local.keeper import running_keeper
from local.layout import MARK_VARIABLE, STATE_VARIABLE, Layout, find_layout, read_json
from local.ports import is_free
from local.processes import descendants, marked, wait_until
from tests.patience import PATIENCE_SECONDS

PROGRAM = Path(__file__).with_name("light_stack.py")


@dataclass(frozen=True)
class LightStack:
    layout: Layout
    keeper: subprocess.Popen[bytes]

    def supervisor(self) -> int:
        return min(marked(MARK_VARIABLE, str(self.layout.state)))

    def part(self, name: str) -> int:
        return int(read_json(self.layout.status_file)["parts"][name])

    def processes(self) -> list[int]:
        return marked(MARK_VARIABLE, str(self.layout.state))

    def postgres_port(self) -> int:
        return int(read_json(self.layout.ports_file)["postgres"])


@pytest.fixture
def light(tmp_path: Path) -> Iterator[LightStack]:
    layout = Layout(root=find_layout().root, state=tmp_path / "state")
    keeper = start(layout)
    yield LightStack(layout, keeper)
    commands.clean(layout)
    keeper.wait(timeout=PATIENCE_SECONDS)


def start(layout: Layout) -> subprocess.Popen[bytes]:
    """The keeper of a light stack, once the stack is up."""
    layout.logs.mkdir(parents=True, exist_ok=True)
    layout.stack_file.unlink(missing_ok=True)
    environment = {**os.environ, STATE_VARIABLE: str(layout.state), "PYTHONPATH": str(layout.root)}
    with open(layout.log_of("supervisor"), "ab") as log:
        keeper = subprocess.Popen([sys.executable, str(PROGRAM)], env=environment, stdout=log, stderr=log)
    wait_until(lambda: layout.stack_file.exists() or keeper.poll() is not None, PATIENCE_SECONDS)
    assert layout.stack_file.exists(), layout.log_of("supervisor").read_text()
    return keeper


def test_a_part_that_crashes_is_named_with_its_last_log_lines(light: LightStack) -> None:
    os.kill(light.part("worker"), signal.SIGKILL)

    assert light.keeper.wait(timeout=PATIENCE_SECONDS) == 1
    failure = read_json(light.layout.status_file)["failure"]
    assert failure["part"] == "worker"
    assert "SIGKILL" in failure["message"]
    assert failure["logLines"] == ["worker is at work"]
    assert "worker is at work" in light.layout.log_of("supervisor").read_text()


def test_a_crashed_stack_is_gone_whole_and_status_says_why(
    light: LightStack, capsys: pytest.CaptureFixture[str]
) -> None:
    os.kill(light.part("worker"), signal.SIGKILL)
    light.keeper.wait(timeout=PATIENCE_SECONDS)

    assert commands.status(light.layout) == 1
    assert "worker ended by itself (signal SIGKILL)" in capsys.readouterr().out
    assert not light.layout.stack_file.exists()
    assert light.processes() == []
    assert is_free(light.postgres_port())


def test_a_second_up_says_that_one_runs(light: LightStack, capsys: pytest.CaptureFixture[str]) -> None:
    before = running_keeper(light.layout)

    assert commands.up(light.layout) == 0

    shown = capsys.readouterr().out
    assert "runs already" in shown
    assert "http://127.0.0.1/light" in shown
    assert running_keeper(light.layout) == before


def test_down_leaves_no_process_and_no_port(light: LightStack) -> None:
    below = descendants(light.keeper.pid)

    assert commands.down(light.layout) == 0

    assert light.keeper.wait(timeout=PATIENCE_SECONDS) == 0
    assert [process for process in below if Path(f"/proc/{process}").exists()] == []
    assert is_free(light.postgres_port())
    assert read_json(light.layout.status_file)["state"] == "stopped"


def test_killing_the_supervisor_leaves_no_process(light: LightStack) -> None:
    below = descendants(light.keeper.pid)

    os.kill(light.supervisor(), signal.SIGKILL)

    assert light.keeper.wait(timeout=PATIENCE_SECONDS) == 128 + signal.SIGKILL
    assert [process for process in below if Path(f"/proc/{process}").exists()] == []


def test_killing_the_keeper_stops_the_stack_in_order(light: LightStack) -> None:
    light.keeper.kill()

    assert wait_until(lambda: running_keeper(light.layout) is None, PATIENCE_SECONDS)
    assert wait_until(lambda: is_free(light.postgres_port()), PATIENCE_SECONDS)
    assert "database system is shut down" in light.layout.log_of("postgres").read_text()


def test_data_of_a_killed_stack_are_there_after_the_next_start(light: LightStack) -> None:
    port = light.postgres_port()
    log_before = light.layout.log_of("postgres").read_text()
    for process in (light.keeper.pid, light.supervisor(), light.part("postgres")):
        os.kill(process, signal.SIGKILL)
    light.keeper.wait(timeout=PATIENCE_SECONDS)

    again = start(light.layout)

    assert light.postgres_port() == port
    assert "automatic recovery" in light.layout.log_of("postgres").read_text()[len(log_before) :]
    assert commands.down(light.layout) == 0
    again.wait(timeout=PATIENCE_SECONDS)
