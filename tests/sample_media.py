"""Real files with right results, where a folder of them is at hand: VSL_SAMPLE_MEDIA, or `shared/media` beside the
project. They are no part of it: without them nothing that needs them is collected, and the summary says so."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

SHELF = Path(os.environ.get("VSL_SAMPLE_MEDIA", Path(__file__).parents[2] / "shared" / "media"))
PRESENT = (SHELF / "MANIFEST.json").is_file()


@cache
def manifest() -> dict[str, Any]:
    """`files` with what is in each, `jobs` with what is to come of them."""
    found: dict[str, Any] = json.loads((SHELF / "MANIFEST.json").read_text())
    return found
