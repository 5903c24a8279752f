"""Digests that make CloudFormation make the database's roles, and run the migrations, again."""

from __future__ import annotations

import hashlib
from pathlib import Path


def migrations_digest(folder: Path) -> str:
    """Changes with the name and the content of every migration in the folder."""
    return _digest(sorted(folder.glob("*.sql")))


def roles_digest(statements: Path) -> str:
    """Changes with the module that has the roles' statements."""
    return _digest([statements])


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()
