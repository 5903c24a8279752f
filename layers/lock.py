"""Writes `requirements-dependencies.txt`: requirements.txt with the hash of each wheel that a layer may take.

`python -m layers.lock` asks the package index for both architectures and installs nothing.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from layers.build import DEPENDENCY_REQUIREMENTS, MACHINES, REQUIREMENTS, pip, platform_options

HEAD = f"# Wheels of {REQUIREMENTS.name} for the layers, by hash. Written by `python -m layers.lock`.\n"


def lock_text(reports: Iterable[Mapping[str, Any]]) -> str:
    """The file's text from pip's installation reports, one for each architecture."""
    hashes: dict[str, set[str]] = {}
    for item in (item for report in reports for item in report["install"]):
        pin = f"{item['metadata']['name'].lower()}=={item['metadata']['version']}"
        hashes.setdefault(pin, set()).add(item["download_info"]["archive_info"]["hashes"]["sha256"])
    lines = [
        " \\\n".join([pin, *(f"    --hash=sha256:{one}" for one in sorted(hashes[pin]))]) for pin in sorted(hashes)
    ]
    return HEAD + "\n".join(lines) + "\n"


def main() -> int:
    """Asks pip for both architectures and writes the file."""
    DEPENDENCY_REQUIREMENTS.write_text(lock_text([_report(architecture) for architecture in MACHINES]), "utf8")
    return 0


def _report(architecture: str) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        pip(
            *("install", "--dry-run", "--ignore-installed", "--target", scratch, "--report", str(report)),
            *(*platform_options(architecture), "-r", str(REQUIREMENTS)),
        )
        found: Mapping[str, Any] = json.loads(report.read_text("utf8"))
    return found


if __name__ == "__main__":
    sys.exit(main())
