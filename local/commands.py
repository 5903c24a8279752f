"""What the user asks of the stack: up, down, clean, logs, demo, synth, accounts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from local.keeper import explain, running_keeper
from local.layout import MARK_VARIABLE, STATE_VARIABLE, Layout, read_json
from local.media_provider import REPLICATE, SETTING, STAND_IN, BadProviderSetting, price_list, provider_setting
from local.models_setting import FILE, VARIABLE, BadModelsSetting, models_setting, registry_text
from local.ports import USERS_OWN, Ports, is_free
from local.processes import marked, send, wait_until
from local.synth import synthesize

START_SECONDS = 180.0
STOP_SECONDS = 60.0
SLOW_STEP_SECONDS = 2.0
SHOWN_ADDRESSES = ("baseUrl", "apiKey", "providerUrl", "s3Endpoint", "databaseUrl", "redisUrl")
# Tools of the checkout (other environments, the synth cache) share .local with the default state.
_TOOLS = ("venv-ministack", "assembly")


def up(layout: Layout, *, with_parent: bool = False) -> int:
    """Brings the stack up in the background and prints its addresses; one that runs is left as it is.

    `with_parent` ties its life to this process.
    """
    try:
        provider, models = provider_setting(os.environ), models_setting(os.environ, layout.root)
    except (BadProviderSetting, BadModelsSetting) as wrong:
        print(wrong, file=sys.stderr)
        return 1
    if running_keeper(layout):
        if not _wait_for_stack(layout, None):
            return 1
        print("The local stack runs already.")
        if os.environ.get(SETTING) and _provider_of(layout) != provider:
            print(
                f"It talks to {_provider_of(layout)}: `make down` first, then start it with {SETTING}={provider}.",
                file=sys.stderr,
            )
            return 1
        if os.environ.get(VARIABLE) and read_json(layout.stack_file).get("modelsConfig") != models:
            print(
                f"It has another registry of models: `make down` first, then start it with {VARIABLE}.", file=sys.stderr
            )
            return 1
    else:
        started = time.monotonic()
        keeper = _start_keeper(layout, with_parent)
        if not _wait_for_stack(layout, keeper):
            return 1
        keeper.returncode = 0  # it outlives this process, which need not wait for it
        print(f"The local stack is up after {time.monotonic() - started:.1f} s.")
    _print_addresses(layout)
    return 0


def down(layout: Layout) -> int:
    """Stops the stack and makes sure that no process and no port of it is left."""
    keeper = running_keeper(layout)
    if keeper:
        send(keeper, signal.SIGTERM)
        wait_until(lambda: running_keeper(layout) is None, STOP_SECONDS)
    for process in marked(MARK_VARIABLE, str(layout.state)):
        send(process, signal.SIGKILL)
    if not wait_until(lambda: not _left_behind(layout), timeout_seconds=5):
        print(f"Still there: {', '.join(_left_behind(layout))}", file=sys.stderr)
        return 1
    print("The local stack is down." if keeper else "No local stack runs.")
    return 0


def clean(layout: Layout) -> int:
    """Stops the stack and deletes its state: database, media, logs, ports, keys."""
    if down(layout) != 0:
        return 1
    for entry in layout.state.iterdir() if layout.state.exists() else []:
        if layout.state != layout.tools or entry.name not in _TOOLS:
            _delete(entry)
    _delete(layout.outside)
    return 0


def logs(layout: Layout, part: str | None) -> int:
    """Follows the logs of the parts and functions, or of one of them, until interrupted."""
    found = sorted(layout.logs.rglob("*.log"))
    chosen = [str(log) for log in found if part in (None, log.stem)]
    if not chosen:
        names = ", ".join(log.stem for log in found) or "none yet"
        print(f"No log of {part or 'any part'}; there are: {names}", file=sys.stderr)
        return 1
    return subprocess.run(["tail", "-n", "20", "-F", *chosen]).returncode


def status(layout: Layout) -> int:
    """Says whether the stack runs, and what ended it when it does not; 0 when it is usable."""
    if running_keeper(layout) and layout.stack_file.exists():
        _print_addresses(layout)
        return 0
    failure = read_json(layout.status_file).get("failure")
    print(explain(layout, failure) if failure else "No local stack runs.")
    return 1


def demo(layout: Layout, arguments: Sequence[str]) -> int:
    """Runs the demo on the stack; stops the stack afterwards unless it ran before or KEEP=1."""
    if os.environ.get(SETTING) == REPLICATE:
        print(f"The demo pays no provider: run it without {SETTING}={REPLICATE}.", file=sys.stderr)
        return 1
    ran_before = running_keeper(layout) is not None
    if up(layout) != 0:
        return 1
    if _provider_of(layout) != STAND_IN:
        print(
            "The demo pays no provider, and the stack that runs talks to Replicate: `make down` first.", file=sys.stderr
        )
        return 1
    done = subprocess.run([sys.executable, "-m", "local.demo", *arguments], cwd=layout.root)
    if ran_before or os.environ.get("KEEP") == "1":
        return done.returncode
    return down(layout) or done.returncode


def synth(layout: Layout, stage: str) -> int:
    """Synthesizes a stage and prints where its assembly is."""
    assembly = synthesize(layout, stage)
    print(assembly.directory)
    return 0


def operate(layout: Layout, module: str, arguments: Sequence[str]) -> int:
    """An operator's command (`accounts`, `stores`) against the local stack."""
    stack = read_json(layout.stack_file)
    if not stack:
        print("No local stack runs: `make up` starts it.", file=sys.stderr)
        return 1
    return subprocess.run(
        [sys.executable, "-m", f"operate.{module}", "--stage", stack["stage"], *arguments],
        cwd=layout.root,
        env={**os.environ, **operator_environment(stack)},
    ).returncode


def operator_environment(stack: dict[str, Any]) -> dict[str, str]:
    """Environment by which any AWS tool talks to the local stack as its operator."""
    return {
        "AWS_ENDPOINT_URL": stack["awsEndpoint"],
        "AWS_ENDPOINT_URL_S3": stack["s3Endpoint"],
        "AWS_ACCESS_KEY_ID": stack["awsAccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": stack["awsSecretAccessKey"],
        "AWS_REGION": stack["region"],
        "AWS_DEFAULT_REGION": stack["region"],
    }


def _start_keeper(layout: Layout, with_parent: bool) -> subprocess.Popen[bytes]:
    """In a session of its own, so that neither Ctrl-C nor a closing terminal ends the stack."""
    layout.logs.mkdir(parents=True, exist_ok=True)
    for stale in (layout.stack_file, layout.status_file):
        stale.unlink(missing_ok=True)
    with open(layout.log_of("supervisor"), "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "local", "run", *(["--with-parent"] if with_parent else [])],
            cwd=layout.root,
            env={**os.environ, STATE_VARIABLE: str(layout.state)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            # A terminal is kept to name a part that crashes later; a pipe would keep its reader waiting.
            stderr=None if sys.stderr.isatty() else log,
            start_new_session=True,
        )


def _wait_for_stack(layout: Layout, keeper: subprocess.Popen[bytes] | None) -> bool:
    """Waits for the stack file, naming slow steps; explains a failure."""
    shown: set[str] = set()

    def settled() -> bool:
        _show_slow_step(layout, shown)
        return layout.stack_file.exists() or _has_ended(layout, keeper)

    wait_until(settled, START_SECONDS, pause_seconds=0.05)
    if layout.stack_file.exists():
        return True
    failure = read_json(layout.status_file).get("failure")
    log = layout.log_of("supervisor")
    print(explain(layout, failure) if failure else f"The stack did not come up: see {log}", file=sys.stderr)
    return False


def _has_ended(layout: Layout, keeper: subprocess.Popen[bytes] | None) -> bool:
    return (keeper is None or keeper.poll() is not None) and running_keeper(layout) is None


def _show_slow_step(layout: Layout, shown: set[str]) -> None:
    status = read_json(layout.status_file)
    step = status.get("step")
    if step and step not in shown and time.time() - status["stepStartedAt"] > SLOW_STEP_SECONDS:
        shown.add(step)
        print(f"  {step} ...", flush=True)


def _print_addresses(layout: Layout) -> None:
    stack = read_json(layout.stack_file)
    for name in SHOWN_ADDRESSES:
        print(f"  {name:<12} {stack.get(name)}")
    if stack.get("worldEnforcement") == "python-only":
        print("  This kernel has no Landlock: what functions' child processes connect to is not restricted.")
    print(f"  more in {_short(layout.stack_file)}; `make logs`, `make down`")
    if _provider_of(layout) == REPLICATE:
        print("  Replicate itself makes what is asked for, and CHARGES the account of your token:")
        setting = str(read_json(layout.stack_file).get("modelsConfig", FILE))
        if setting.startswith("s3:"):
            print(f"    at the prices that {setting} names: GET /models")
        else:
            print("\n".join(f"    {line}" for line in price_list(registry_text(setting, layout.root))))


def _provider_of(layout: Layout) -> str:
    """Which provider the running stack talks to."""
    return str(read_json(layout.stack_file).get("provider", STAND_IN))


def _left_behind(layout: Layout) -> list[str]:
    processes = [f"process {process}" for process in marked(MARK_VARIABLE, str(layout.state))]
    kept = read_json(layout.ports_file)
    ports = [kept[field.name] for field in fields(Ports) if field.name in kept and field.name != USERS_OWN]
    return processes + [f"port {port}" for port in ports if not is_free(port)]


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
