"""`make` commands in terminals of their own, and the stacks that they start."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local import commands
from local.keeper import running_keeper
from local.layout import MARK_VARIABLE, STATE_VARIABLE, Layout, find_layout, read_json
from local.processes import descendants, marked, wait_until
from tests.patience import PATIENCE_SECONDS

ROOT = find_layout().root
STARTING = "starting PostgreSQL, Redis, S3 and the provider"
RUNNING = "starting the AWS services and the functions' runner"
DEPLOYING = "deploying the template"
_NUMBERS = {"Interrupt": signal.SIGINT, "Terminated": signal.SIGTERM, "Hangup": signal.SIGHUP}
"""By make's word for how a recipe was killed."""


@dataclass(frozen=True)
class Command:
    """A `make` that leads a process group, as a terminal's foreground command does, and where it prints."""

    process: subprocess.Popen[bytes]
    layout: Layout
    folder: Path

    def stdout(self) -> str:
        return (self.folder / "stdout").read_text()

    def stderr(self) -> list[str]:
        """Its lines besides those of make itself."""
        return [line for line in (self.folder / "stderr").read_text().splitlines() if not line.startswith("make")]

    def reach(self, moment: str) -> None:
        """Waits until it has printed the words, or its stack is at the step."""

        def reached() -> bool:
            step = read_json(self.layout.status_file).get("step")
            return moment == step or moment in self.stdout() or self.process.poll() is not None

        assert wait_until(reached, PATIENCE_SECONDS)
        assert self.process.poll() is None, self.stderr()

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        os.killpg(self.process.pid, number)

    def exit_code(self) -> int:
        """The recipe's, as a shell tells it: make itself answers 2 where the recipe ends before make hears of
        the signal."""
        code = self.process.wait(PATIENCE_SECONDS)
        if code < 0:
            return 128 - code
        told = (self.folder / "stderr").read_text()
        if recipe := re.search(r"^make: .* Error (\d+)$", told, re.MULTILINE):
            return int(recipe[1])
        killed = re.search(r"^make: \*\*\* \[.*\] (Interrupt|Terminated|Hangup)$", told, re.MULTILINE)
        if killed:
            return 128 + _NUMBERS[killed[1]]
        print(told)  # which a test that expected otherwise shows
        # A make that hears of the signal while it looks for its child may find none any more.
        return 128 + signal.SIGINT if "wait: No child processes" in told else code


def heed_interrupts() -> None:
    """As in a terminal: what a shell starts in the background ignores them, and so does all that it starts."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def place_of_a_stack() -> Iterator[Layout]:
    """A state directory of its own; whatever runs there at the end is stopped."""
    state = Path(tempfile.mkdtemp(prefix="vsl-interrupted-"))
    state.chmod(0o711)  # PostgreSQL's user must reach its data
    layout = Layout(root=ROOT, state=state)
    yield layout
    commands.clean(layout)
    shutil.rmtree(state, ignore_errors=True)


def begin(layout: Layout, folder: Path, *words: str) -> Command:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "stdout", "wb") as stdout, open(folder / "stderr", "wb") as stderr:
        process = subprocess.Popen(
            ["make", *words, f"ARGS=--out {folder / 'out'}"],
            cwd=ROOT,
            env={**environment, STATE_VARIABLE: str(layout.state)},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=heed_interrupts,
        )
    return Command(process, layout, folder)


def processes_of(layout: Layout) -> list[int]:
    """All of the stack's: functions and Redis carry no mark that can be read."""
    keeper = running_keeper(layout)
    return [*marked(MARK_VARIABLE, str(layout.state)), *([keeper, *descendants(keeper)] if keeper else [])]


def are_gone(processes: Sequence[int]) -> bool:
    return wait_until(lambda: not any(Path(f"/proc/{process}").exists() for process in processes), PATIENCE_SECONDS)
