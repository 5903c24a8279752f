"""The only file where a port meets an adapter. Everything is made at first use and kept."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import cache
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from shared import config
from shared.adapters.clock import SystemClock
from shared.adapters.heartbeat import heartbeat as heartbeat
from shared.adapters.secrets import SecretVersions, provider_token
from shared.adapters.secrets import value_of as value_of
from shared.domain.jobs import Lane
from shared.domain.messages import TOPICS
from shared.domain.room import within_room
from shared.ports import Clock, Encoder, ModelSchemas, ModelSource

if TYPE_CHECKING:
    from shared.adapters.aws import SqsQueue
    from shared.adapters.postgres.connection import PostgresRecords
    from shared.adapters.postgres.tokens import DatabaseTokens
    from shared.adapters.redis_cache import RedisConnection, RedisStatusCache
    from shared.adapters.s3 import S3MediaStore
    from shared.domain.catalog import Catalog
    from shared.usecases.aftermath import Aftermath
    from shared.usecases.inspect_media import Place
    from shared.usecases.orphans import Orphans
    from shared.usecases.read_health import HealthReader
    from shared.usecases.read_status import StatusReader
    from shared.usecases.turns import Turns

T = TypeVar("T")
LEASE_SECONDS = 60
STOP_CHECK_SECONDS = 1.5
# Work that an invocation cannot finish any more ends itself, so that nothing is left half done.
LAST_SECONDS = 5.0
REGISTRY_FILE = "config/models.json"
SOURCE_ROOT = Path(__file__).resolve().parent.parent


@cache
def settings(kind: type[T]) -> T:
    """The function's settings, read once."""
    return config.load(kind, os.environ)


@cache
def clock() -> Clock:
    return SystemClock()


@cache
def aws(service: str) -> Any:
    """A boto3 client; S3 signs with SigV4, which is not boto3's default for presigned URLs everywhere."""
    import boto3
    from botocore.config import Config

    from shared.adapters.aws import log_refusal

    options: Any = {"connect_timeout": 3, "retries": {"mode": "standard", "max_attempts": 3}}
    if service == "s3":
        # Bodies carry a checksum of their own; hashing them for the signature as well is what HTTPS spares.
        options["s3"] = {"payload_signing_enabled": False}
        # The SDK signs URLs of most regions for bucket.s3.amazonaws.com, which sends those of a bucket of the last day
        # on to its region: another host than was signed, so S3 refuses them, and an upload breaks off
        # (https://docs.aws.amazon.com/AmazonS3/latest/userguide/Redirects.html).
        is_local = bool(os.environ.get("AWS_ENDPOINT_URL_S3"))
        options["s3"]["addressing_style"] = "path" if is_local else "virtual"
        options["s3"]["us_east_1_regional_endpoint"] = "regional"
        # Sixteen ranges at once, and what else a function reads meanwhile.
        options["max_pool_connections"] = 24
        options["signature_version"] = "s3v4"
    if service == "dynamodb":
        # Only a view: whoever reads it has the truth to fall back on, and a caller who waits.
        options |= {"connect_timeout": 1, "read_timeout": 1, "retries": {"mode": "standard", "max_attempts": 2}}
    if service == "lambda":
        # A claim that is asked twice is answered `resolve`; that is safe, but a create must not wait for it.
        options |= {"read_timeout": 20, "retries": {"mode": "standard", "max_attempts": 1}}
    client = boto3.client(service, config=Config(**options))  # type: ignore[call-overload]
    client.meta.events.register("after-call", log_refusal)
    return client


@cache
def rotated_secret(address: str) -> SecretVersions:
    """A secret that has two values while it is rotated."""
    return SecretVersions(address, lambda: aws("secretsmanager"), clock())


@cache
def records() -> PostgresRecords:
    from shared.adapters.postgres.connection import PostgresRecords

    return PostgresRecords(os.environ["DATABASE_URL"], _tokens())


@cache
def redis() -> RedisConnection:
    from shared.adapters.redis_cache import RedisConnection, connect

    url = os.environ["REDIS_URL"]
    return RedisConnection(lambda: connect(url, clock(), _cache_token), clock())


@cache
def status_cache() -> RedisStatusCache:
    from shared.adapters.redis_cache import RedisStatusCache

    return RedisStatusCache(redis())


@cache
def live_view() -> Any:
    from shared.adapters.aws import DynamoLiveView

    return DynamoLiveView(aws("dynamodb"), os.environ["DYNAMODB_TABLE"], clock())


@cache
def key_directory() -> Any:
    from shared.adapters.aws import DynamoKeyDirectory

    return DynamoKeyDirectory(aws("dynamodb"), os.environ["API_KEYS_TABLE"])


@cache
def queue() -> SqsQueue:
    """The queues this function may send to."""
    from shared.adapters.aws import SqsQueue

    urls = {topic: os.environ.get(f"{topic.upper()}_QUEUE_URL", "") for topic in TOPICS}
    return SqsQueue(aws("sqs"), {topic: url for topic, url in urls.items() if url})


@cache
def reports() -> Any:
    from shared.adapters.aws import SqsReports

    return SqsReports(aws("sqs"), os.environ["REPORTS_QUEUE_URL"])


def hide_message(queue_arn: str, receipt_handle: str, seconds: int) -> None:
    """`shared.batches.Hide` for the queues this function reads."""
    from shared.adapters.aws import hide_message as hide

    hide(aws("sqs"), queue_arn, receipt_handle, seconds)


@cache
def inside() -> Any:
    from shared.adapters.aws import SettleFunction

    return SettleFunction(aws("lambda"), os.environ["SETTLE_FUNCTION"])


@cache
def media() -> S3MediaStore:
    from shared.adapters.s3 import S3MediaStore

    return S3MediaStore(aws("s3"), os.environ["S3_BUCKET"])


@cache
def aftermath() -> Aftermath:
    from shared.usecases.aftermath import Aftermath

    return Aftermath(records=records(), queue=queue(), live=live_view(), cache=status_cache())


@cache
def status_reader() -> StatusReader:
    from shared.adapters.redis_cache import RedisWaiters
    from shared.usecases.read_status import StatusReader

    # Each holds an execution environment.
    of_account, of_stage = int(os.environ["WAITERS_OF_ACCOUNT"]), int(os.environ["WAITERS_OF_STAGE"])
    waiters = RedisWaiters(redis(), most_of_account=of_account, most_of_stage=of_stage)
    return StatusReader(
        records=records(), live=live_view(), cache=status_cache(), aftermath=aftermath(), waiters=waiters, clock=clock()
    )


@cache
def turns(lane: Lane) -> Turns:
    from shared.usecases.turns import Turns

    return Turns(lane, int(os.environ[f"{lane.upper()}_SHARE"]))


@cache
def health_reader() -> HealthReader:
    from shared.usecases.read_health import HealthReader

    return HealthReader(records=records(), cache=status_cache(), clock=clock())


@cache
def orphans() -> Orphans:
    from shared.usecases.orphans import Orphans

    return Orphans(records(), media(), clock())


@cache
def catalog() -> Catalog:
    """The registry that MODELS_CONFIG names: its text, an `s3:bucket/key` address, or the file that is deployed.

    Raises BrokenRegistry; ConfigurationError for an address that leads nowhere from here; DependencyDown.
    """
    from shared.adapters.s3 import text_at
    from shared.domain.catalog import read_catalog

    named = os.environ.get("MODELS_CONFIG", "") or REGISTRY_FILE
    if named.startswith("ssm:"):
        raise config.ConfigurationError(
            f"MODELS_CONFIG is {named}, which functions of the private network cannot read: name it where the stage is "
            "deployed, which resolves it."
        )
    if named.startswith("s3:"):
        return read_catalog(text_at(aws("s3"), named), named)
    if named == REGISTRY_FILE:
        return read_catalog((SOURCE_ROOT / REGISTRY_FILE).read_text("utf8"), REGISTRY_FILE)
    return read_catalog(named, "MODELS_CONFIG")


@cache
def schemas() -> ModelSchemas:
    from shared.adapters.model_schemas import StoredSchemas

    return StoredSchemas(media(), clock())


@cache
def model_source() -> ModelSource:
    from shared.adapters.replicate_models import ReplicateModels

    return ReplicateModels(provider().read)


@cache
def provider(name: str = "replicate") -> Any:
    """The provider of an attempt. Its token is read at each call: one that lacks it fails only its own jobs."""
    if name == "runway":
        from shared.adapters.runway_provider import RunwayProvider

        return RunwayProvider(lambda: provider_token(os.environ["RUNWAY_API_TOKEN"]), os.environ["RUNWAY_BASE_URL"])
    from shared.adapters.replicate_provider import ReplicateProvider

    return ReplicateProvider(
        lambda: provider_token(os.environ["REPLICATE_API_TOKEN"]), os.environ["REPLICATE_BASE_URL"]
    )


@cache
def downloader(origins: str, *, max_bytes: int, wall_seconds: int, any_https: bool = False) -> Any:
    """`origins` as the environment has them: comma separated."""
    from shared.adapters.downloader import GuardedDownloader

    return GuardedDownloader(
        allowed_origins=frozenset(origin for origin in origins.split(",") if origin),
        any_https=any_https,
        max_bytes=max_bytes,
        wall_seconds=wall_seconds,
        min_bytes_per_second=10_000,
    )


@contextmanager
def workplace(job_id: UUID, owner: str) -> Iterator[Place]:
    """A private folder, and an encoder that stops within two seconds of losing the lease or of a cancel."""
    from shared.adapters.postgres.connection import PostgresRecords
    from shared.usecases.inspect_media import Place

    # A connection of its own: the worker's may be inside a transaction when a beat is due.
    own = PostgresRecords(os.environ["DATABASE_URL"], _tokens())

    def renew() -> bool:
        with own.transaction() as tx:
            return tx.renew_lease(job_id, owner, LEASE_SECONDS)

    private = tempfile.TemporaryDirectory(prefix="work-", ignore_cleanup_errors=True)
    with closing(own), within_room(), private as folder, heartbeat(renew, STOP_CHECK_SECONDS) as lost:
        yield Place(Path(folder), _encoder(lost.is_set), lambda: _go_on(lost.is_set()))


def place_for(account_id: UUID) -> AbstractContextManager[bool]:
    """Whether the account may have one more call that works on media while its caller waits."""
    return records().slot(account_id, "at once", turns("compile").share)


@contextmanager
def open_workplace(account_id: UUID) -> Iterator[Place]:
    """A place for looking at media that no job owns: nothing can stop it but the invocation's end.

    Raises OutOfTime when the account has as many open as its share of workers allows: a job takes its turn.
    """
    from shared.domain.errors import OutOfTime
    from shared.usecases.inspect_media import Place

    with place_for(account_id) as free:
        if not free:
            raise OutOfTime
        with within_room(), tempfile.TemporaryDirectory(prefix="work-", ignore_cleanup_errors=True) as folder:
            yield Place(Path(folder), _encoder(lambda: False), lambda: _go_on(False))


@cache
def clear_leftovers() -> None:
    """Once a process: Lambda keeps `/tmp` where it ends a process, at its timeout or in a crash, and starts the next.

    All of it is ours: an environment works on one event at a time.
    """
    folder = Path(tempfile.gettempdir())
    for left in folder.iterdir() if "AWS_LAMBDA_RUNTIME_API" in os.environ else ():
        with suppress(OSError):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _go_on(stopped: bool) -> None:
    """Raises Conflict when the job was stopped, or when the invocation's time is nearly over."""
    from shared.domain.errors import Conflict, OutOfTime

    if stopped:
        raise Conflict("The job was stopped.", code="stopped")
    if seconds_left() < LAST_SECONDS:
        raise OutOfTime


def lambda_seconds_left(context: Any, *, at_most: float = inf) -> None:
    """Tells workplaces how long this invocation may last: no longer than `at_most` seconds from now on."""
    began = time.monotonic()
    _deadline["of"] = lambda: min(context.get_remaining_time_in_millis() / 1000, at_most - (time.monotonic() - began))


def seconds_left() -> float:
    """Of this invocation."""
    return _deadline["of"]()


_deadline: dict[str, Callable[[], float]] = {"of": lambda: 900.0}


def _encoder(should_stop: Callable[[], bool]) -> Encoder:
    from shared.adapters.ffmpeg import FfmpegEncoder

    return FfmpegEncoder(shutil.which("ffmpeg") or "", seconds_left=seconds_left, should_stop=should_stop)


@cache
def _tokens() -> DatabaseTokens:
    from shared.adapters.postgres.tokens import DatabaseTokens

    return DatabaseTokens(lambda: aws("rds"), clock())


def _cache_token(cache: str, user: str) -> str:
    """An IAM token for a cache's user: a local signature, as the database's."""
    import boto3

    from shared.adapters.redis_cache import cache_token

    session = boto3.Session()
    credentials = session.get_credentials()
    assert credentials is not None
    return cache_token(cache, user, credentials.get_frozen_credentials(), str(session.region_name))


def apply_migrations(database_url: str) -> list[str]:
    """Names of the migrations applied now, or a raised error before this invocation's time is over."""
    from urllib.parse import urlsplit

    from shared.adapters.postgres.migrations import MOST_SECONDS
    from shared.adapters.postgres.migrations import apply_migrations as apply

    password = None if urlsplit(database_url).password else _tokens().new(database_url)
    return apply(database_url, password=password, seconds=min(MOST_SECONDS, seconds_left() - LAST_SECONDS))


def make_database_roles(found: config.DatabaseRoles) -> int:
    """The database's roles as they are to be; how many objects their owner was handed."""
    from shared.adapters.data_api import DataApi, patiently
    from shared.adapters.postgres.roles import make_roles

    api = DataApi(aws("rds-data"), found.database_cluster, found.database_secret, found.database_name)
    return patiently(api, make_roles, clock())
