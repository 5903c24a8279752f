"""Real files with right results in a folder that VSL_SAMPLE_MEDIA names: `make sample-media MEDIA=folder`. They are no
part of the project; without them nothing that needs them is collected, and the summary says so."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

SHELF = Path(os.environ.get("VSL_SAMPLE_MEDIA", "/nonexistent"))
PRESENT = (SHELF / "MANIFEST.json").is_file()


@cache
def manifest() -> dict[str, Any]:
    """`files` with what is in each, `jobs` with what is to come of them."""
    found: dict[str, Any] = json.loads((SHELF / "MANIFEST.json").read_text())
    return found
