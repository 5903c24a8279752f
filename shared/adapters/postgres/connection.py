"""One connection an execution environment, mended once when it was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from shared.adapters.postgres.transaction import PostgresTransaction
from shared.domain.errors import DependencyDown
from shared.ports import Transaction

DATABASE_DOWN = "The database does not answer; nothing was recorded. Send the same request again."
RETRY_AFTER_SECONDS = 5


class PostgresRecords:
    """Implements `Records` over one lazily opened psycopg connection.

    `password` is asked at each connect where the URL holds none (IAM tokens live 15 minutes).
    """

    def __init__(self, database_url: str, password: Callable[[str], str] | None = None) -> None:
        self._database_url = database_url
        self._password = password
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        try:
            connection = self._live_connection()
            with connection.transaction(), connection.cursor() as cursor:
                yield PostgresTransaction(cursor)
        except psycopg.OperationalError as error:
            self.close()
            raise DependencyDown(
                DATABASE_DOWN, code="database_down", retry_after_seconds=RETRY_AFTER_SECONDS
            ) from error

    def ping(self) -> None:
        with self.transaction() as tx:
            assert isinstance(tx, PostgresTransaction)
            tx.cursor.execute("SELECT 1")

    def _live_connection(self) -> psycopg.Connection[dict[str, Any]]:
        # `closed` stays False until first use after a restart of the server: ask before a transaction opens.
        if self._connection is not None:
            try:
                self._connection.execute("SELECT 1")
                return self._connection
            except psycopg.OperationalError:
                self.close()
        self._connection = self._connect()
        return self._connection

    def _connect(self) -> psycopg.Connection[dict[str, Any]]:
        extra: dict[str, Any] = {}
        if self._password is not None and urlsplit(self._database_url).password is None:
            extra["password"] = self._password(self._database_url)
        return psycopg.connect(
            self._database_url,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=3,
            row_factory=dict_row,
            application_name="vsl",
            **extra,
        )

    def close(self) -> None:
        """Lets go of the connection; the next transaction opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
