"""Databases of tests on a stack's server, with the product's roles: functions' code works on them as `vsl_app`."""

from __future__ import annotations

from pathlib import Path

import psycopg

from shared.adapters.postgres.migrations import FOLDER, apply_migrations
from shared.adapters.postgres.roles import APP, OWNER, PsycopgSql, make_roles


def as_role(url: str, role: str) -> str:
    """The URL of the same database with another login: all of the local stack's have one password."""
    scheme, rest = url.split("//", 1)
    return f"{scheme}//{role}:{rest.split(':', 1)[1]}"


def as_app(url: str) -> str:
    return as_role(url, APP)


def empty_database(server_url: str, name: str) -> str:
    """The master's URL of a new database in which nothing is but what the roles need."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = f"{server_url.rpartition('/')[0]}/{name}"
    with psycopg.connect(url) as connection:
        make_roles(PsycopgSql(connection))
    return url


def migrate(url: str, folder: Path = FOLDER) -> list[str]:
    """Applies migrations as the role that does so; their names."""
    return apply_migrations(as_role(url, OWNER), folder)
