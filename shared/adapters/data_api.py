"""SQL over HTTPS: the RDS Data API, the only way to the database from outside its network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from shared.observability import logger
from shared.ports import Clock

T = TypeVar("T")
TRIES, PAUSE_SECONDS = 5, 10.0


@dataclass(frozen=True)
class DataApi:
    """One database of a cluster, as the user whose name and password a secret has, by boto3's `rds-data`."""

    client: Any
    cluster_arn: str
    secret_arn: str
    database: str

    @contextmanager
    def transaction(self) -> Iterator[DataApiSession]:
        """Committed at the end, rolled back when something is raised inside."""
        place = {"resourceArn": self.cluster_arn, "secretArn": self.secret_arn}
        began = self.client.begin_transaction(**place, database=self.database)["transactionId"]
        try:
            yield DataApiSession(self, began)
        except BaseException:
            # The error raised tells why; a transaction whose rollback fails, as after a lost session, ends by itself.
            with suppress(ClientError):
                self.client.rollback_transaction(**place, transactionId=began)
            raise
        self.client.commit_transaction(**place, transactionId=began)


@dataclass(frozen=True)
class DataApiSession:
    """Implements `roles.Sql` within one transaction."""

    api: DataApi
    transaction_id: str

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of one statement. Raises botocore's ClientError with PostgreSQL's sentence."""
        answer = self.api.client.execute_statement(
            resourceArn=self.api.cluster_arn,
            secretArn=self.api.secret_arn,
            database=self.api.database,
            transactionId=self.transaction_id,
            sql=statement,
        )
        return [tuple(_value(field) for field in row) for row in answer.get("records", [])]


def _value(field: Mapping[str, Any]) -> Any:
    """A field is an object of one member, named after its type."""
    if field.get("isNull"):
        return None
    return next(iter(field.values()))


def patiently(api: DataApi, work: Callable[[DataApiSession], T], clock: Clock) -> T:
    """The work's result, from a transaction of its own; tried again where that was rolled back.

    A new cluster does not take its password at once, and a row or table may be in somebody's hands.
    """
    for _ in range(TRIES - 1):
        try:
            with api.transaction() as session:
                return work(session)
        except ClientError as refused:
            logger.warning("database_refused", extra={"reason": str(refused)})
        clock.sleep(PAUSE_SECONDS)
    with api.transaction() as session:
        return work(session)
