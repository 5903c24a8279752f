"""One connection an execution environment, mended once when it was lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from shared.adapters.clock import SystemClock
from shared.adapters.postgres.tokens import DatabaseTokens
from shared.adapters.postgres.transaction import PostgresTransaction
from shared.domain.errors import DependencyDown, TooLarge
from shared.ports import Clock, Transaction

DATABASE_DOWN = "The database does not answer; nothing was recorded. Send the same request again."
RETRY_AFTER_SECONDS = 5
TOO_LARGE = "This takes more than a job may keep: send less, or store it and name its s3Key."
# How long statements, waits and pauses may last, the database says (see roles.py). Times come back in the zone of the
# session, and dates are made of them.
_SESSION = {"timezone": "UTC"}
# PostgreSQL has ended the session, or does not answer.
_LOST = (psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout)
# PostgreSQL quotes the row or the value that it refuses, and with it what a caller has sent.
QUOTING = (psycopg.IntegrityError, psycopg.DataError)
_SLOT = "hashtextextended(%(slot)s, 0)"
_Slot = tuple[psycopg.Connection[dict[str, Any]], dict[str, str]]


class PostgresRecords:
    """Implements `Records` over one lazily opened psycopg connection.

    `tokens` are asked at each connect where the URL holds no password (IAM tokens live 15 minutes).
    """

    def __init__(self, database_url: str, tokens: DatabaseTokens | None = None, own_clock: Clock | None = None) -> None:
        self._database_url = database_url
        self._tokens = tokens
        self._own_clock = own_clock or SystemClock()
        self._ahead: timedelta | None = None
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        try:
            connection = self._live_connection()
            with connection.transaction(), connection.cursor() as cursor:
                yield PostgresTransaction(cursor)
        except _LOST as error:
            raise self._down() from error
        except QUOTING as error:
            if error.diag.constraint_name == "jobs_bounded":
                raise TooLarge(TOO_LARGE) from None
            raise without_values(error) from None

    @contextmanager
    def slot(self, account_id: UUID, name: str, most: int) -> Iterator[bool]:
        taken = self._take_slot(account_id, name, most)
        try:
            yield taken is not None
        finally:
            # A connection that was lost has given its locks back.
            if taken is not None and self._connection is taken[0]:
                self._give_back(*taken)

    def _give_back(self, connection: psycopg.Connection[dict[str, Any]], key: Mapping[str, str]) -> None:
        try:
            connection.execute(f"SELECT pg_advisory_unlock({_SLOT})", key)
        except psycopg.Error:
            self.close()

    def _take_slot(self, account_id: UUID, name: str, most: int) -> _Slot | None:
        """An advisory lock of the session: it ends with the connection, and no transaction stays open for it."""
        keys = [{"slot": f"{name} {account_id} {number}"} for number in range(most)]
        try:
            connection = self._live_connection()
            return next(((connection, key) for key in keys if _locks(connection, key)), None)
        except psycopg.OperationalError as error:
            raise self._down() from error

    def _down(self) -> DependencyDown:
        self.close()
        return DependencyDown(DATABASE_DOWN, code="database_down", retry_after_seconds=RETRY_AFTER_SECONDS)

    def ping(self) -> None:
        with self.transaction() as tx:
            assert isinstance(tx, PostgresTransaction)
            tx.cursor.execute("SELECT 1")

    @property
    def clock(self) -> Clock:
        """By which functions decide about rows: PostgreSQL's, whatever their own machine's says.

        Who is early would take a call for one that made nothing; who is late would keep a deadline from passing.
        """
        return _DatabaseClock(self)

    def now(self) -> datetime:
        """The moment by the database's clock, as it was compared at the last transaction; our own while it is down."""
        if self._ahead is None:
            with suppress(DependencyDown):
                self.ping()
        return self._own_clock.now() + (self._ahead or timedelta())

    def _live_connection(self) -> psycopg.Connection[dict[str, Any]]:
        # `closed` stays False until first use after a restart of the server: ask before a transaction opens.
        if self._connection is not None:
            try:
                return self._compared(self._connection)
            except psycopg.OperationalError:
                self.close()
        self._connection = self._compared(self._connect())
        return self._connection

    def _compared(self, connection: psycopg.Connection[dict[str, Any]]) -> psycopg.Connection[dict[str, Any]]:
        """The connection, which answers; and how far the database's clock is from ours."""
        asked_at = self._own_clock.now()
        row = connection.execute("SELECT clock_timestamp() AS now").fetchone()
        assert row is not None
        self._ahead = row["now"] - (asked_at + (self._own_clock.now() - asked_at) / 2)
        return connection

    def _connect(self) -> psycopg.Connection[dict[str, Any]]:
        if self._tokens is None or urlsplit(self._database_url).password is not None:
            return self._opened()
        try:
            return self._opened(password=self._tokens.kept_for(self._database_url))
        except psycopg.OperationalError:
            self._tokens.refused(self._database_url)
            raise

    def _opened(self, **extra: Any) -> psycopg.Connection[dict[str, Any]]:
        return psycopg.connect(
            self._database_url,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=3,
            row_factory=dict_row,
            application_name="vsl",
            options=" ".join(f"-c {name}={value}" for name, value in _SESSION.items()),
            **extra,
        )

    def close(self) -> None:
        """Lets go of the connection; the next transaction opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def without_values(error: psycopg.Error) -> psycopg.Error:
    """The same to be raised `from None`, where it came from, with what a log may hold of its text."""
    about = f"constraint {error.diag.constraint_name} of table {error.diag.table_name}"
    told = about if error.diag.constraint_name else f"SQLSTATE {error.sqlstate}"
    return type(error)(f"{type(error).__name__}: {told}").with_traceback(error.__traceback__)


def _locks(connection: psycopg.Connection[dict[str, Any]], key: Mapping[str, str]) -> bool:
    row = connection.execute(f"SELECT pg_try_advisory_lock({_SLOT}) AS taken", key).fetchone()
    return row is not None and bool(row["taken"])


class _DatabaseClock(SystemClock):
    def __init__(self, records: PostgresRecords) -> None:
        self._records = records

    def now(self) -> datetime:
        return self._records.now()
