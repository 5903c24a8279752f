"""What the user asks of the stack: up, down, clean, logs, demo, synth, accounts."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local.demo import main as run_demo
from local.keeper import explain
from local.layout import Layout, read_json
from local.media_provider import REPLICATE, SETTING, STAND_IN, BadProviderSetting, price_list, provider_setting
from local.models_setting import FILE, VARIABLE, BadModelsSetting, models_setting, registry_text
from local.processes import wait_until
from local.starting import (
    STOP_SECONDS,
    describe_step,
    is_alive,
    is_stopping,
    is_up,
    start_keeper,
    stop_stack,
    stopped_if_interrupted,
    wait_for_stack,
)
from local.synth import synthesize
from operate.main_job import KEY_VARIABLE

SHOWN_ADDRESSES = ("baseUrl", "apiKey", "providerUrl", "s3Endpoint", "databaseUrl", "redisUrl")
# Tools of the checkout (other environments, the synth cache, built layers) share .local with the default state.
_TOOLS = ("venv-ministack", "assembly", "layers")


def up(layout: Layout, *, with_parent: bool = False) -> int:
    """Brings the stack up in the background and prints its addresses; one that runs is left as it is.

    `with_parent` ties its life to this process.
    """
    with stopped_if_interrupted(layout):
        return _up(layout, with_parent)


def down(layout: Layout) -> int:
    """Stops the stack, also one that only starts, and makes sure that no process and no port of it is left."""
    was_alive = is_alive(layout)
    if left := stop_stack(layout):
        print(f"Still there: {', '.join(left)}", file=sys.stderr)
        return 1
    print("The local stack is down." if was_alive else "No local stack runs.")
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
    """Becomes `tail` on the logs of the parts and functions, or of one of them, until interrupted."""
    found = sorted(layout.logs.rglob("*.log"))
    chosen = [str(log) for log in found if part in (None, log.stem)]
    if chosen:
        sys.stdout.flush()
        os.execvp("tail", ["tail", "-n", "20", "-F", *chosen])
    names = ", ".join(log.stem for log in found) or "none yet"
    print(f"No log of {part or 'any part'}; there are: {names}", file=sys.stderr)
    return 1


def status(layout: Layout) -> int:
    """Says whether the stack runs, starts or stops, and what ended it when it does not; 0 when it is usable."""
    if is_up(layout):
        _print_addresses(layout)
        return 0
    if is_alive(layout):
        print(describe_step(layout))
        return 1
    failure = read_json(layout.status_file).get("failure")
    print(explain(layout, failure) if failure else "No local stack runs.")
    return 1


def demo(layout: Layout, out: Path | None) -> int:
    """Runs the demo on the stack; stops the stack afterwards unless it ran before or KEEP=1."""
    if os.environ.get(SETTING) == REPLICATE:
        print(f"The demo pays no provider: run it without {SETTING}={REPLICATE}.", file=sys.stderr)
        return 1
    stays = is_alive(layout) or os.environ.get("KEEP") == "1"
    with stopped_if_interrupted(layout):
        if _up(layout, with_parent=not stays) != 0:
            return 1
        if _provider_of(layout) != STAND_IN:
            print(
                "The demo pays no provider, and the stack that runs talks to Replicate: `make down` first.",
                file=sys.stderr,
            )
            return 1
        code = run_demo(layout.state, out or layout.root / "out")
        return code if stays else down(layout) or code


def synth(layout: Layout, stage: str) -> int:
    """Synthesizes a stage and prints where its assembly is: templates, with placeholders for the layers."""
    assembly = synthesize(layout, stage)
    print(assembly.directory)
    return 0


def operate(layout: Layout, module: str, arguments: Sequence[str]) -> int:
    """Becomes an operator's command (`accounts`, `secrets`, `smoke`, `stores`, `database`) on the local stack."""
    stack = read_json(layout.stack_file)
    if stack:
        command = [sys.executable, "-m", f"operate.{module}", "--stage", stack["stage"], *arguments]
        os.chdir(layout.root)
        environment = {**os.environ, **operator_environment(stack), KEY_VARIABLE: stack["adminApiKey"]}
        os.execve(sys.executable, command, environment)
    print("No local stack runs: `make up` starts it.", file=sys.stderr)
    return 1


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


def _up(layout: Layout, with_parent: bool) -> int:
    try:
        provider, models = provider_setting(os.environ), models_setting(os.environ, layout.root)
    except (BadProviderSetting, BadModelsSetting) as wrong:
        print(wrong, file=sys.stderr)
        return 1
    if not _is_brought_up(layout, with_parent):
        return 1
    if os.environ.get(SETTING) and _provider_of(layout) != provider:
        print(
            f"It talks to {_provider_of(layout)}: `make down` first, then start it with {SETTING}={provider}.",
            file=sys.stderr,
        )
        return 1
    if os.environ.get(VARIABLE) and read_json(layout.stack_file).get("modelsConfig") != models:
        print(f"It has another registry of models: `make down` first, then start it with {VARIABLE}.", file=sys.stderr)
        return 1
    _print_addresses(layout)
    return 0


def _is_brought_up(layout: Layout, with_parent: bool) -> bool:
    """Starts the stack, or waits for the one that another command starts. False, explained, when it does not come."""
    if is_up(layout):
        print("The local stack runs already.")
        return True
    if is_stopping(layout):
        print("The local stack is stopping; it is started again then.", flush=True)
        wait_until(lambda: not is_alive(layout), STOP_SECONDS)
    if is_alive(layout):
        print("The local stack is being started already; waiting for it.", flush=True)
        return wait_for_stack(layout, None)
    started = time.monotonic()
    keeper = start_keeper(layout, with_parent)
    if not wait_for_stack(layout, keeper):
        return False
    keeper.returncode = 0  # it outlives this process, which need not wait for it
    print(f"The local stack is up after {time.monotonic() - started:.1f} s.")
    return True


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
        if stack.get("publicBaseUrl") == stack.get("baseUrl"):
            print("  Its webhooks cannot come here: results are asked for each minute (docs/real-provider.md).")
        else:
            print(f"  Its webhooks come to {stack.get('publicBaseUrl')}.")


def _provider_of(layout: Layout) -> str:
    """Which provider the running stack talks to."""
    return str(read_json(layout.stack_file).get("provider", STAND_IN))


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
