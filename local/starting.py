"""The start of a stack as the commands see it: begun in the background, waited for, left or stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import fields

from local.interrupts import StopRequested, check_stop, ignore_stop_signals, say
from local.keeper import explain, running_keeper
from local.layout import MARK_VARIABLE, STATE_VARIABLE, Layout, read_json
from local.ports import USERS_OWN, Ports, is_free
from local.processes import marked, send, wait_until

# A bound for what should not happen: each step of a start has a shorter one, and says why it failed.
START_SECONDS = 1200.0
STOP_SECONDS = 60.0
LEFT_SECONDS = 15.0
SLOW_STEP_SECONDS = 2.0


def is_alive(layout: Layout) -> bool:
    """Whether a stack runs, starts or stops; also one whose keeper is not yet at work."""
    return running_keeper(layout) is not None or bool(marked(MARK_VARIABLE, str(layout.state)))


def is_up(layout: Layout) -> bool:
    """Whether a stack is usable."""
    return running_keeper(layout) is not None and layout.stack_file.exists()


def is_stopping(layout: Layout) -> bool:
    """Whether the stack that is alive is on its way down."""
    return read_json(layout.status_file).get("step") == "stopping" and is_alive(layout)


def describe_step(layout: Layout) -> str:
    """What a stack that is alive but not usable is doing, and for how long."""
    status = read_json(layout.status_file)
    doing = "stopping" if status.get("step") == "stopping" else "starting"
    if not status.get("step"):
        return f"The local stack is {doing}."
    step_seconds = time.time() - status["stepStartedAt"]
    if doing == "stopping":
        return f"The local stack is stopping, for {step_seconds:.0f} s now."
    seconds = time.time() - status["startedAt"]
    return f"The local stack is starting, for {seconds:.0f} s now: {status['step']} (for {step_seconds:.0f} s)."


def start_keeper(layout: Layout, with_parent: bool) -> subprocess.Popen[bytes]:
    """In a session of its own, so that neither Ctrl-C nor a closing terminal ends the stack by itself."""
    layout.logs.mkdir(parents=True, exist_ok=True)
    for stale in (layout.stack_file, layout.status_file):
        stale.unlink(missing_ok=True)
    parent = ["--with-parent", str(os.getpid())] if with_parent else []
    state = str(layout.state)
    with open(layout.log_of("supervisor"), "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "local", "run", *parent],
            cwd=layout.root,
            env={**os.environ, STATE_VARIABLE: state, MARK_VARIABLE: state},
            stdin=subprocess.DEVNULL,
            stdout=log,
            # A terminal is kept to name a part that crashes later; a pipe would keep its reader waiting.
            stderr=None if sys.stderr.isatty() else log,
            start_new_session=True,
        )


def wait_for_stack(layout: Layout, keeper: subprocess.Popen[bytes] | None) -> bool:
    """Waits until the stack is usable, naming slow steps; explains a failure. Without `keeper` another command's."""
    shown: set[str] = set()

    def settled() -> bool:
        check_stop()
        _show_slow_step(layout, shown)
        return layout.stack_file.exists() or _has_ended(layout, keeper)

    in_time = wait_until(settled, START_SECONDS, pause_seconds=0.05)
    if layout.stack_file.exists():
        return True
    say(why_not_up(layout) if in_time else f"{describe_step(layout)} `make down` gives it up.")
    return False


@contextmanager
def stopped_if_interrupted(layout: Layout) -> Iterator[None]:
    """Stops the stack that is started inside when a signal ends this command; one that was alive before stays."""
    alive_before = is_alive(layout)
    try:
        yield
    except StopRequested as stop:
        if alive_before:
            stop.note = "Interrupted; the local stack stays: `make down` stops it."
            raise
        ignore_stop_signals()
        say("Interrupted: stopping the local stack ...", end=" ")
        left = stop_stack(layout)
        stop.note = f"still there: {', '.join(left)}" if left else "it is down."
        raise


def stop_stack(layout: Layout) -> list[str]:
    """Stops the stack, however far its start has come; what of it could not be ended, which is nothing.

    One that another command starts meanwhile is left alone.
    """
    keeper = running_keeper(layout)
    processes = set(marked(MARK_VARIABLE, str(layout.state)))
    if keeper:
        send(keeper, signal.SIGTERM)
        wait_until(lambda: running_keeper(layout) != keeper, STOP_SECONDS)
    for process in processes & set(marked(MARK_VARIABLE, str(layout.state))):
        send(process, signal.SIGKILL)
    wait_until(lambda: not _left_behind(layout, keeper, processes), LEFT_SECONDS)
    return _left_behind(layout, keeper, processes)


def _left_behind(layout: Layout, keeper: int | None, processes: Collection[int]) -> list[str]:
    if running_keeper(layout) not in (None, keeper, *processes):
        return []
    left = set(processes) & set(marked(MARK_VARIABLE, str(layout.state)))
    kept = read_json(layout.ports_file)
    ports = [kept[field.name] for field in fields(Ports) if field.name in kept and field.name != USERS_OWN]
    return [f"process {process}" for process in left] + [f"port {port}" for port in ports if not is_free(port)]


def _has_ended(layout: Layout, keeper: subprocess.Popen[bytes] | None) -> bool:
    return (keeper is None or keeper.poll() is not None) and not is_alive(layout)


def why_not_up(layout: Layout) -> str:
    """The reason why a start ended, for its user."""
    status = read_json(layout.status_file)
    if failure := status.get("failure"):
        return explain(layout, failure)
    if status.get("state") == "stopped":
        return "The local stack was stopped while it started."
    return f"The stack did not come up: see {layout.log_of('supervisor')}"


def _show_slow_step(layout: Layout, shown: set[str]) -> None:
    status = read_json(layout.status_file)
    step = status.get("step")
    if step and step not in shown and time.time() - status["stepStartedAt"] > SLOW_STEP_SECONDS:
        shown.add(step)
        print(f"  {step} ...", flush=True)
