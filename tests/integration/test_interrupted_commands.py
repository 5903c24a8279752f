"""Ctrl-C, SIGTERM and a closing terminal end a command in one line; what it started goes, what ran before stays."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import commands
from local.keeper import running_keeper
from local.layout import STATE_VARIABLE, Layout, read_json
from local.processes import descendants, wait_until
from local.starting import is_up
from local.synth import begin_synthesis
from tests.integration.terminal import (
    DEPLOYING,
    ROOT,
    RUNNING,
    STARTING,
    are_gone,
    begin,
    heed_interrupts,
    place_of_a_stack,
    processes_of,
)
from tests.patience import PATIENCE_SECONDS


@pytest.fixture
def layout() -> Iterator[Layout]:
    with place_of_a_stack() as layout:
        yield layout


@pytest.mark.parametrize(
    ("target", "moment", "number"),
    [
        ("up", STARTING, signal.SIGINT),
        ("up", DEPLOYING, signal.SIGINT),
        ("demo", RUNNING, signal.SIGINT),
        ("demo", "generate, deliver by webhook, store, inspect ...", signal.SIGINT),
        ("demo", DEPLOYING, signal.SIGTERM),
        ("up", "making accounts", signal.SIGHUP),
    ],
)
def test_an_interrupted_start_ends_in_one_line_and_leaves_nothing(
    layout: Layout, tmp_path: Path, target: str, moment: str, number: signal.Signals
) -> None:
    command = begin(layout, tmp_path, target)
    command.reach(moment)
    started = processes_of(layout)

    command.interrupt(number)

    assert command.exit_code() == 128 + number
    assert command.stderr() == ["Interrupted: stopping the local stack ... it is down."]
    assert processes_of(layout) == []
    assert are_gone(started)
    assert commands.status(layout) == 1


@pytest.mark.parametrize("target", ["up", "demo", "logs"])
def test_an_interrupt_before_anything_was_started_prints_no_traceback(
    layout: Layout, tmp_path: Path, target: str
) -> None:
    command = begin(layout, tmp_path, target)
    wait_until(lambda: bool(descendants(command.process.pid)), PATIENCE_SECONDS)

    command.interrupt()

    assert command.exit_code() == 128 + signal.SIGINT
    assert len(command.stderr()) <= 1
    assert "Traceback" not in "".join(command.stderr())
    assert wait_until(lambda: processes_of(layout) == [], PATIENCE_SECONDS)


def test_a_second_ctrl_c_does_not_keep_the_first_from_stopping_all(layout: Layout, tmp_path: Path) -> None:
    command = begin(layout, tmp_path, "up")
    command.reach(DEPLOYING)
    started = processes_of(layout)

    command.interrupt()
    wait_until(lambda: bool(command.stderr()), PATIENCE_SECONDS)
    command.interrupt()

    assert command.exit_code() == 128 + signal.SIGINT
    assert len(command.stderr()) == 1
    assert are_gone(started)


def test_a_terminal_that_closes_takes_the_start_with_it(layout: Layout) -> None:
    """As a terminal's window does: an interactive shell is told, and tells the jobs it runs."""
    shell, terminal = pty.fork()
    if shell == 0:
        os.chdir(ROOT)
        os.execvpe("bash", ["bash", "--norc", "-i"], {**os.environ, STATE_VARIABLE: str(layout.state)})
    os.write(terminal, b"make up\n")
    assert wait_until(lambda: read_json(layout.status_file).get("step") == DEPLOYING, PATIENCE_SECONDS)
    started = processes_of(layout)

    os.close(terminal)

    os.waitpid(shell, 0)
    assert wait_until(lambda: processes_of(layout) == [], PATIENCE_SECONDS)
    assert are_gone(started)


def test_a_demo_that_is_killed_takes_its_stack_with_it(layout: Layout, tmp_path: Path) -> None:
    command = begin(layout, tmp_path, "demo")
    command.reach(DEPLOYING)
    started = processes_of(layout)

    command.interrupt(signal.SIGKILL)

    assert command.exit_code() == 128 + signal.SIGKILL
    assert wait_until(lambda: processes_of(layout) == [], PATIENCE_SECONDS)
    assert are_gone(started)


@pytest.mark.parametrize(
    ("target", "moment"), [("demo", "generate, deliver by webhook, store, inspect ..."), ("logs", "==>")]
)
def test_a_stack_that_ran_before_stays(stack: dict[str, Any], tmp_path: Path, target: str, moment: str) -> None:
    layout = Layout(root=ROOT, state=Path(stack["stateDir"]))
    keeper = running_keeper(layout)
    command = begin(layout, tmp_path, target)
    command.reach(moment)

    command.interrupt()

    assert command.exit_code() == 128 + signal.SIGINT
    assert "Traceback" not in "".join(command.stderr())
    assert len(command.stderr()) <= 1
    assert descendants(command.process.pid) == []
    assert is_up(layout)
    assert running_keeper(layout) == keeper


def test_an_interrupted_installation_leaves_no_program(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "local", tmp_path / "local", ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.glob("requirements*.txt"):
        shutil.copy(file, tmp_path)
    with open(tmp_path / "stdout", "wb") as stdout:
        setup = subprocess.Popen(
            ["bash", "local/setup.sh"],
            cwd=tmp_path,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=heed_interrupts,
        )
    assert wait_until(lambda: "Installing MiniStack" in (tmp_path / "stdout").read_text(), PATIENCE_SECONDS)
    assert wait_until(lambda: len(descendants(setup.pid)) > 2, PATIENCE_SECONDS)
    started = descendants(setup.pid)

    os.killpg(setup.pid, signal.SIGINT)

    _, told = setup.communicate(timeout=PATIENCE_SECONDS)
    assert setup.returncode == 128 + signal.SIGINT
    assert told.decode() == "Interrupted: the installation begins anew with the next command.\n"
    assert are_gone(started)


def test_a_synthesis_that_nobody_waits_for_any_more_is_ended(tmp_path: Path) -> None:
    for name in (
        "app.py",
        "cdk.json",
        "infra",
        "layers",
        "shared",
        "config",
        *map(str, ROOT.glob("requirements*.txt")),
    ):
        (tmp_path / Path(name).name).symlink_to(ROOT / name)
    layout = Layout(root=tmp_path, state=tmp_path / ".local")

    with begin_synthesis(layout, "local") as synthesis:
        assert synthesis.process
        started = [synthesis.process.pid]
        assert wait_until(lambda: bool(descendants(started[0])), PATIENCE_SECONDS)
        started += descendants(started[0])

    assert synthesis.process.returncode == -signal.SIGKILL
    assert are_gone(started)
    assert not synthesis.directory.exists()
