"""README's blocks, pasted one after another into bash on a stack that just came up, print what README shows."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.layout import STATE_VARIABLE
from tests.e2e.pasting import ROOT, Block, assert_prints_what_is_shown, blocks
from tests.patience import PATIENCE_SECONDS


def test_every_block_pasted_in_order_prints_what_is_shown(stack: dict[str, Any], tmp_path: Path) -> None:
    assert len(blocks("README.md")) >= 10

    assert_prints_what_is_shown("README.md", tmp_path, stack)


def test_the_demo_prints_the_steps_that_readme_shows(stack: dict[str, Any], tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "demo", f"ARGS=--out {tmp_path}"],
        cwd=ROOT,
        env={**os.environ, STATE_VARIABLE: stack["stateDir"]},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    shown = steps((ROOT / "README.md").read_text())
    assert len(shown) == 8
    assert steps(done.stdout) == shown


def steps(text: str) -> list[tuple[str, str]]:
    """Name and note of each step, its figures aside; a step overwrites the line that announced it."""
    lines = [line.rpartition("\r")[2] for line in text.split("\n")]
    found = [re.match(r"  (\S.{43}) +[\d.]+ s ? ?(.*)$", line) for line in lines]
    return [(step[1].strip(), re.sub(r"\d+", "0", step[2].strip())) for step in found if step]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ('{"jobId":"…","status":"pending"}', '{"jobId":"0b1","status":"pending"}', True),
        ('{"jobId":"…","status":"pending"}', '{"jobId":"0b1","status":"failed"}', False),
        ("splice\n…", "splice\n0.1", True),
        ("splice", "splice\nan error", False),
        ("", "an error", False),
    ],
)
def test_a_block_that_prints_anything_else_is_noticed(shown: str, printed: str, same: bool) -> None:
    assert Block("", shown).prints(printed) == same


def test_every_page_that_readme_names_exists() -> None:
    named = re.findall(r"`((?:docs|layers|local|infra|config)/[\w./-]+\.\w+)`", (ROOT / "README.md").read_text())

    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).is_file()] == []
