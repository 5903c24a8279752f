"""Real files with right results, where a folder of them is at hand: VSL_SAMPLE_MEDIA, or `shared/media` beside the
project. They are no part of it: without them nothing that needs them is collected, and the summary says so. Whole
films of them take a minute of both processors and are asked for: `make films MEDIA=folder`."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

SHELF = Path(os.environ.get("VSL_SAMPLE_MEDIA", Path(__file__).parents[2] / "shared" / "media"))
PRESENT = (SHELF / "MANIFEST.json").is_file()
NOT_COLLECTED = [] if PRESENT else ["**/test_*sample_media.py"]
if "VSL_SAMPLE_MEDIA" not in os.environ:
    NOT_COLLECTED.append("**/test_jobs_sample_media.py")
LEFT_OUT = "" if PRESENT else f"tests on sample media, as none lie at {SHELF}"
if PRESENT and NOT_COLLECTED:
    LEFT_OUT = f"whole films of the sample media: make films MEDIA={SHELF}"


@cache
def manifest() -> dict[str, Any]:
    """`files` with what is in each, `jobs` with what is to come of them."""
    found: dict[str, Any] = json.loads((SHELF / "MANIFEST.json").read_text())
    return found
