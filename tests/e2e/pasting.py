"""A page's blocks of bash, pasted one after another into a shell, beside what the page says they print."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.layout import STATE_VARIABLE, find_layout
from tests.patience import PATIENCE_SECONDS

ROOT = find_layout().root
MARK = "--- the next block ---"
NOT_OF_THE_CHECKOUT = (".local", "out", ".git")


@dataclass(frozen=True)
class Block:
    """Commands, and what the page says they print."""

    commands: str
    shown: str

    def prints(self, printed: str) -> bool:
        """`…` stands for anything within a line."""
        pattern = re.escape(self.shown.strip()).replace("…", "[^\n]*")
        return re.fullmatch(pattern, printed.strip()) is not None


def blocks(page: str) -> list[Block]:
    """Each block of bash with the block behind it where one follows at once."""
    text = (ROOT / page).read_text()
    found = re.findall(r"^```bash\n(.*?)^```\n(?:```(?:json|text)\n(.*?)^```\n)?", text, re.DOTALL | re.MULTILINE)
    return [Block(commands, shown) for commands, shown in found]


def lay_out(folder: Path, stack: dict[str, Any]) -> None:
    """The checkout as its user has it, with the addresses of the stack in `.local`."""
    for entry in ROOT.iterdir():
        if entry.name not in NOT_OF_THE_CHECKOUT:
            (folder / entry.name).symlink_to(entry)
    (folder / ".local").mkdir()
    (folder / ".local" / "venv-ministack").symlink_to(ROOT / ".local" / "venv-ministack")
    (folder / ".local" / "stack.json").symlink_to(Path(stack["stateDir"]) / "stack.json")


def paste(given: list[Block], folder: Path, state: str) -> list[str]:
    """What each block prints, errors among it, in one shell as a reader has one."""
    done = subprocess.run(
        ["bash", "-c", f"\necho '{MARK}'\n".join(block.commands for block in given)],
        stdin=subprocess.DEVNULL,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={**_plain_environment(), STATE_VARIABLE: state},
        timeout=PATIENCE_SECONDS,
    )
    return done.stdout.split(f"{MARK}\n")


def assert_prints_what_is_shown(page: str, folder: Path, stack: dict[str, Any]) -> None:
    """Pastes the whole page. Raises AssertionError with the first block that prints anything else."""
    given = blocks(page)
    lay_out(folder, stack)
    printed = paste(given, folder, stack["stateDir"])
    for block, output in zip(given, printed, strict=False):
        assert block.prints(output), f"{block.commands}\nprints\n{output}\nbut {page} shows\n{block.shown}"
    assert len(printed) == len(given)


def _plain_environment() -> dict[str, str]:
    """As a terminal has it: not that of the `make` which runs the tests, whose own calls name folders."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
