"""Applies the SQL files of `shared/migrations` once each, in order, under an advisory transaction lock."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg

from shared.adapters.clock import SystemClock
from shared.adapters.postgres.connection import QUOTING, without_values
from shared.adapters.postgres.roles import APP, SCHEMAS, rights
from shared.domain.errors import Conflict

FOLDER = Path(__file__).resolve().parents[2] / "migrations"
_LOCK = 0x76736C31  # "vsl1"
# Far below an hour, for which CloudFormation would wait, and less than the function has.
MOST_SECONDS = 240.0
PAUSE_SECONDS = 1.0


def apply_migrations(
    database_url: str, folder: Path = FOLDER, password: str | None = None, seconds: float = MOST_SECONDS
) -> list[str]:
    """Names of the files applied now, by the role that then owns what they make; `vsl_app` is given its rows.

    All or none, within so many seconds: a lock that somebody holds is not waited for, which would hold up whoever
    comes behind, but asked for again. Raises Conflict when an applied file was changed since; psycopg's errors.
    """
    clock = SystemClock()
    ends = clock.monotonic_seconds() + seconds
    while (left := ends - clock.monotonic_seconds()) > 2 * PAUSE_SECONDS:
        try:
            return _apply_all(database_url, folder, password, left)
        except psycopg.errors.LockNotAvailable:
            clock.sleep(PAUSE_SECONDS)
    return _apply_all(database_url, folder, password, left)


def _apply_all(database_url: str, folder: Path, password: str | None, seconds: float) -> list[str]:
    extra = {"password": password} if password else {}
    left = max(int(seconds * 1000), 1)
    # In place of the database's limits, which are for functions.
    bound = f"-c transaction_timeout={left} -c statement_timeout={left}"
    with psycopg.connect(database_url, connect_timeout=10, options=bound, **extra) as connection:  # type: ignore[arg-type]
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        for order in _GRANTS:
            connection.execute(order)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS vsl.schema_migration "
            "(name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        connection.execute(f"REVOKE ALL ON vsl.schema_migration FROM {APP}")
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
    try:
        connection.execute(text)
    except QUOTING as error:
        raise without_values(error) from None
    connection.execute("INSERT INTO vsl.schema_migration (name, sha256) VALUES (%s, %s)", (path.name, digest))
    return True


# What is granted is granted anew each time, so that a right that is named here no more is gone. Of what migrations
# make from here on, in whatever schema, `vsl_app` has as much by the owner's defaults.
_GRANTS = (
    *(f"CREATE SCHEMA IF NOT EXISTS {schema}" for schema in SCHEMAS),
    *(f"REVOKE ALL ON ALL {kind} IN SCHEMA {', '.join(SCHEMAS)} FROM {APP}" for kind in ("TABLES", "SEQUENCES")),
    *rights(APP, SCHEMAS),
    f"ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO {APP}",
    f"ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {APP}",
    f"ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO {APP}",
)
