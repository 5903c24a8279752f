"""Applies the SQL files of `shared/migrations` once each, in order, under an advisory transaction lock."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg

from shared.domain.errors import Conflict

FOLDER = Path(__file__).resolve().parents[2] / "migrations"
_LOCK = 0x76736C31  # "vsl1"


def apply_migrations(database_url: str, folder: Path = FOLDER, password: str | None = None) -> list[str]:
    """Names of the files applied now. Raises Conflict when an applied file was changed since."""
    extra = {"password": password} if password else {}
    with psycopg.connect(database_url, connect_timeout=10, **extra) as connection:  # type: ignore[arg-type]
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute("CREATE SCHEMA IF NOT EXISTS vsl")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS vsl.schema_migration "
            "(name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        known: dict[str, str] = dict(connection.execute("SELECT name, sha256 FROM vsl.schema_migration").fetchall())
        return [path.name for path in sorted(folder.glob("*.sql")) if _apply(connection, path, known)]


def _apply(connection: psycopg.Connection[tuple[str, str]], path: Path, known: dict[str, str]) -> bool:
    text = path.read_text(encoding="utf8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    if path.name in known:
        if known[path.name] != digest:
            raise Conflict(
                f"Migration {path.name} was changed after it had been applied: add a new file instead.",
                code="migration_changed",
            )
        return False
    connection.execute(text)
    connection.execute("INSERT INTO vsl.schema_migration (name, sha256) VALUES (%s, %s)", (path.name, digest))
    return True
