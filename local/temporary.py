"""A local stack that lives as long as a `with` block: for benchmarks and campaigns."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local import commands
from local.layout import Layout, find_layout, read_json
from local.media_provider import SETTING, TOKEN_VARIABLE


@contextmanager
def temporary_stack(prefix: str) -> Iterator[tuple[Layout, dict[str, Any]]]:
    """Its layout and what its stack.json holds; gone with its data afterwards. Raises SystemExit if it does not start.

    A Replicate token of the environment is not used: no run of many may spend money at the real provider.
    """
    for name in (SETTING, TOKEN_VARIABLE):
        os.environ.pop(name, None)
    state = Path(tempfile.mkdtemp(prefix=prefix))
    state.chmod(0o711)  # PostgreSQL's user must reach its data
    layout = Layout(root=find_layout().root, state=state)
    try:
        if commands.up(layout, with_parent=True) != 0:
            raise SystemExit(f"The local stack did not come up; its logs are in {layout.logs}.")
        yield layout, {**read_json(layout.stack_file), "stateDir": str(state)}
    finally:
        commands.clean(layout)
        shutil.rmtree(state, ignore_errors=True)
