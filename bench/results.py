"""Rows of figures: a line of a table for the reader, and a line of JSON that is kept."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def line_of(row: Row, columns: Sequence[str]) -> str:
    """A line of the table."""
    return "| " + " | ".join(str(row[name]) for name in columns) + " |"


def keep(path: Path, rows: Sequence[Row]) -> None:
    """Appends the rows to the results, with machine and time."""
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(json.dumps({"at": at, **machine, **row}) + "\n" for row in rows)
