"""One transaction: the tables' statements gathered from one module a subject."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shared.adapters.postgres.accounts import AccountRows
from shared.adapters.postgres.attempts import AttemptRows
from shared.adapters.postgres.erasures import ErasureRows
from shared.adapters.postgres.fetches import FetchRows
from shared.adapters.postgres.jobs import JobRows
from shared.adapters.postgres.keys import KeyRows
from shared.adapters.postgres.money import MoneyRows
from shared.adapters.postgres.outbox import OutboxRows
from shared.adapters.postgres.pace import PaceRows
from shared.adapters.postgres.scripts import ScriptRows
from shared.adapters.postgres.sweeps import SweepRows
from shared.adapters.postgres.tending import TendingRows
from shared.adapters.postgres.turns import TurnRows
from shared.adapters.postgres.uploads import UploadRows


class PostgresTransaction(
    JobRows,
    AttemptRows,
    MoneyRows,
    OutboxRows,
    PaceRows,
    ScriptRows,
    AccountRows,
    SweepRows,
    ErasureRows,
    UploadRows,
    FetchRows,
    KeyRows,
    TurnRows,
    TendingRows,
):
    """Implements `Transaction` on the cursor of an open transaction."""

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        with self.cursor.connection.transaction():
            yield
