"""Logins to the database by IAM: a signature of our own in place of a password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from shared.ports import Clock

# A token opens for 15 minutes. RDS looks into each new one, and into about 200 of them a second (Amazon Aurora User
# Guide, "IAM database authentication"): one that is known is let in faster.
KEPT_SECONDS = 600


class DatabaseTokens:
    """Makes tokens by `rds`, which answers boto3's client when it is first needed, and keeps each for a while."""

    def __init__(self, rds: Callable[[], Any], clock: Clock) -> None:
        self._rds, self._clock = rds, clock
        self._kept: dict[str, tuple[str, float]] = {}

    def of(self, database_url: str) -> str:
        """For a database URL without a password."""
        token, until = self._kept.get(database_url, ("", 0.0))
        now = self._clock.monotonic_seconds()
        if not token or now >= until:
            token = self._made(database_url)
            self._kept[database_url] = (token, now + KEPT_SECONDS)
        return token

    def _made(self, database_url: str) -> str:
        url = urlsplit(database_url)
        return str(
            self._rds().generate_db_auth_token(DBHostname=url.hostname, Port=url.port or 5432, DBUsername=url.username)
        )
