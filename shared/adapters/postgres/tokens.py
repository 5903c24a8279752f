"""Logins to the database by IAM: a signature of our own in place of a password."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from shared.ports import Clock

# A token opens for 15 minutes. RDS looks into each new one, and into about 200 of them a second (Amazon Aurora User
# Guide, "IAM database authentication"): one that is known is let in faster.
KEPT_FOR = timedelta(minutes=10)


class DatabaseTokens:
    """Makes tokens by `rds`, which answers boto3's client when it is first needed, and keeps each for a while.

    It goes by the time of day: the monotonic clock may stand still while an execution environment is frozen.
    """

    def __init__(self, rds: Callable[[], Any], clock: Clock) -> None:
        self._rds, self._clock = rds, clock
        self._kept: dict[str, tuple[str, datetime]] = {}

    def kept_for(self, database_url: str) -> str:
        """The token of a database URL without a password; made anew when it is some minutes old."""
        now = self._clock.now()
        token, until = self._kept.get(database_url, ("", now))
        if now >= until:
            token = self.new(database_url)
            self._kept[database_url] = (token, now + KEPT_FOR)
        return token

    def refused(self, database_url: str) -> None:
        """With this token no connection was made: the next try has another one."""
        self._kept.pop(database_url, None)

    def new(self, database_url: str) -> str:
        """A token that is not kept."""
        url = urlsplit(database_url)
        return str(
            self._rds().generate_db_auth_token(DBHostname=url.hostname, Port=url.port or 5432, DBUsername=url.username)
        )
