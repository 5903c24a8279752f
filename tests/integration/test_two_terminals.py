"""What a second terminal sees and does while a first one starts or stops the stack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.layout import Layout
from local.processes import wait_until
from local.starting import is_stopping, is_up
from tests.integration.terminal import (
    DEPLOYING,
    RUNNING,
    are_gone,
    begin,
    place_of_a_stack,
    processes_of,
)
from tests.patience import PATIENCE_SECONDS


@pytest.fixture
def layout() -> Iterator[Layout]:
    with place_of_a_stack() as layout:
        yield layout


def test_status_says_that_a_stack_starts_and_which_step_it_is_at(layout: Layout, tmp_path: Path) -> None:
    first = begin(layout, tmp_path / "first", "up")
    first.reach(DEPLOYING)

    status = begin(layout, tmp_path / "second", "status")

    assert status.exit_code() == 1
    assert status.stdout().startswith("The local stack is starting, for ")
    assert ": deploying the template (for " in status.stdout() or ": making accounts (for " in status.stdout()
    assert first.exit_code() == 0


def test_a_second_up_waits_for_the_first_and_both_end_well(layout: Layout, tmp_path: Path) -> None:
    first = begin(layout, tmp_path / "first", "up")
    first.reach(RUNNING)

    second = begin(layout, tmp_path / "second", "up")

    assert (first.exit_code(), second.exit_code()) == (0, 0)
    assert second.stdout().startswith("The local stack is being started already; waiting for it.")
    assert second.stdout().split("baseUrl")[1] == first.stdout().split("baseUrl")[1]
    status = begin(layout, tmp_path / "third", "status")
    assert status.exit_code() == 0
    assert status.stdout().split("baseUrl")[1] == first.stdout().split("baseUrl")[1]


def test_two_ups_at_once_start_one_stack(layout: Layout, tmp_path: Path) -> None:
    both = [begin(layout, tmp_path / name, "up") for name in ("first", "second")]

    assert [command.exit_code() for command in both] == [0, 0]
    assert both[0].stdout().split("baseUrl")[1] == both[1].stdout().split("baseUrl")[1]


def test_a_down_during_a_start_leaves_nothing_and_the_start_says_so(layout: Layout, tmp_path: Path) -> None:
    first = begin(layout, tmp_path / "first", "up")
    first.reach(DEPLOYING)
    started = processes_of(layout)

    down = begin(layout, tmp_path / "second", "down")

    assert (down.exit_code(), down.stdout()) == (0, "The local stack is down.\n")
    assert first.exit_code() == 1
    assert first.stderr() == ["The local stack was stopped while it started."]
    assert processes_of(layout) == []
    assert are_gone(started)


def test_an_up_during_a_stop_starts_the_stack_again(layout: Layout, tmp_path: Path) -> None:
    assert begin(layout, tmp_path / "first", "up").exit_code() == 0
    down = begin(layout, tmp_path / "second", "down")
    assert wait_until(lambda: is_stopping(layout), PATIENCE_SECONDS)

    again = begin(layout, tmp_path / "third", "up")

    assert (down.exit_code(), again.exit_code()) == (0, 0)
    assert is_up(layout)
