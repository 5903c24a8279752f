"""What makes CloudFormation run the migrations again."""

from __future__ import annotations

import hashlib
from pathlib import Path


def migrations_digest(folder: Path) -> str:
    """Changes with the name and the content of every migration in the folder."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.sql")):
        digest.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()
