"""One clock for the process and for its PostgreSQL: in both, time passes only when it is told to.

A database made with `install` has a schema `virtual` before `pg_catalog` in its search path, so that every `now()` of
the product's statements and of its columns' defaults is `virtual.now()`, the one row of `virtual.clock`; so is
`clock_timestamp()`, by which `PostgresRecords.clock` goes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg

_INSTALL = """
CREATE SCHEMA virtual;
CREATE TABLE virtual.clock (at timestamptz NOT NULL);
INSERT INTO virtual.clock VALUES (pg_catalog.now());
CREATE FUNCTION virtual.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM virtual.clock';
CREATE FUNCTION virtual.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM virtual.clock';
GRANT USAGE ON SCHEMA virtual TO PUBLIC;
GRANT SELECT, UPDATE ON virtual.clock TO PUBLIC;
"""


def install(database_url: str) -> None:
    """Before the product's schema is made, which takes up `now()` where it stands."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_INSTALL)
        connection.execute(
            f'ALTER DATABASE "{connection.info.dbname}" SET search_path = virtual, "$user", public, pg_catalog'
        )


class VirtualClock:
    """Implements `Clock`; `advance` moves it and the database's together."""

    def __init__(self, database_url: str) -> None:
        self._connection = psycopg.connect(database_url, autocommit=True)
        row = self._connection.execute("SELECT at FROM virtual.clock").fetchone()
        assert row is not None
        self._now: datetime = row[0].astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def monotonic_seconds(self) -> float:
        return self._now.timestamp()

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Lets so much time pass."""
        self._now += timedelta(seconds=seconds)
        self._connection.execute("UPDATE virtual.clock SET at = %s", [self._now])

    def reach(self, moment: datetime) -> None:
        """Lets time pass until a second after the moment, unless it has gone by."""
        self.advance(max((moment - self._now).total_seconds() + 1, 0))

    def close(self) -> None:
        """Lets go of the connection."""
        self._connection.close()
