"""A connection to a database for tests, which ask it a hundred times a second while they wait."""

from __future__ import annotations

from typing import Any

import psycopg


class KeptConnection:
    """Made when it is used first, and again when its server was killed meanwhile. Statements are committed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None

    def __del__(self) -> None:
        self._close()

    def living(self) -> psycopg.Connection[Any]:
        """The connection, whose server has answered just now."""
        try:
            if self._connection is not None:
                self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            self._close()
        if self._connection is None:
            self._connection = psycopg.connect(self._url, autocommit=True)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
