"""Where the local stack keeps things. Every path of it is named here and nowhere else."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATE_VARIABLE = "VSL_LOCAL_DIR"
"""Environment variable naming another state directory, so that a test stack never disturbs the user's."""

MARK_VARIABLE = "VSL_STACK_OF"
"""Environment variable that the processes of a stack carry, naming its state directory."""


@dataclass(frozen=True)
class Layout:
    """Paths of one stack. `state` holds all that `make clean` deletes; `tools` outlives it."""

    root: Path
    state: Path

    @property
    def tools(self) -> Path:
        """What every stack of this checkout shares: MiniStack's environment and the synth cache."""
        return self.root / ".local"

    @property
    def assemblies(self) -> Path:
        return self.tools / "assembly"

    @property
    def ministack_python(self) -> Path:
        return self.tools / "venv-ministack" / "bin" / "python"

    @property
    def python(self) -> Path:
        return self.root / ".venv" / "bin" / "python"

    @property
    def lock(self) -> Path:
        return self.state / "lock"

    @property
    def stack_file(self) -> Path:
        """Addresses and keys of the running stack; there only while it is usable."""
        return self.state / "stack.json"

    @property
    def status_file(self) -> Path:
        """What the stack is doing, or what ended it."""
        return self.state / "status.json"

    @property
    def ports_file(self) -> Path:
        return self.state / "ports.json"

    @property
    def secrets_file(self) -> Path:
        return self.state / "secrets.json"

    @property
    def accounts_file(self) -> Path:
        return self.state / "accounts.json"

    @property
    def runtime_file(self) -> Path:
        return self.state / "runtime.json"

    @property
    def storage_file(self) -> Path:
        """What the S3 server is told when it starts."""
        return self.state / "s3.json"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def programs(self) -> Path:
        """First on the functions' PATH, as /opt/bin is in Lambda."""
        return self.state / "opt" / "bin"

    @property
    def outside(self) -> Path:
        """Stands in for folders of `state` that the user `nobody` cannot reach (see local/postgres.py)."""
        name = hashlib.sha256(str(self.state).encode()).hexdigest()[:12]
        return Path("/var/tmp") / f"vsl-{name}"

    def log_of(self, part: str) -> Path:
        return self.logs / f"{part}.log"


def find_layout(environment: Mapping[str, str] | None = None) -> Layout:
    """The layout of this checkout, with the state directory of the environment when it names one."""
    root = Path(__file__).resolve().parent.parent
    named = (os.environ if environment is None else environment).get(STATE_VARIABLE)
    return Layout(root=root, state=Path(named).resolve() if named else root / ".local")


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file, or an empty one when there is no such file or it was cut short."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Mapping[str, Any], mode: int = 0o600) -> None:
    """Replaces the file in one step: a reader sees the old content or the new, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.replace(path)
