"""One frozen settings class a function, read once from the environment. A field is the variable in lower case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TypeVar

T = TypeVar("T")


class ConfigurationError(Exception):
    """A variable is missing or wrong; the sentence names it and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What every function in the private network has."""

    stage: str
    database_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStores(Inside):
    """Functions that change or read jobs."""

    redis_url: str
    dynamodb_table: str
    s3_bucket: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateMedia(LiveStores):
    waiters_of_account: str
    waiters_of_stage: str
    calls_queue_url: str
    compile_queue_url: str
    fetch_queue_url: str
    cors_origins: str = ""
    models_config: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(LiveStores):
    waiters_of_account: str
    waiters_of_stage: str
    cors_origins: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review(LiveStores):
    calls_queue_url: str
    cors_origins: str = ""
    models_config: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileVideos(LiveStores):
    waiters_of_account: str
    waiters_of_stage: str
    compile_queue_url: str
    fetch_queue_url: str
    compile_share: str
    cors_origins: str = ""
    source_origins: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectMedia(LiveStores):
    inspect_queue_url: str
    inspect_share: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle(LiveStores):
    calls_queue_url: str
    store_queue_url: str
    inspect_queue_url: str
    compile_queue_url: str
    fetch_queue_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile(LiveStores):
    api_keys_table: str
    calls_queue_url: str
    store_queue_url: str
    inspect_queue_url: str
    compile_queue_url: str
    fetch_queue_url: str
    compile_share: str
    inspect_share: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention(LiveStores):
    calls_queue_url: str
    cors_origins: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrate(Inside):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseRoles:
    """The one function that is outside and has the database: by the Data API, as its master."""

    stage: str
    database_cluster: str
    database_secret: str
    database_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(Inside):
    api_keys_table: str
    cors_origins: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What every function with a way to the internet has; never a database or cache."""

    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorizer(Outside):
    api_keys_table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook(Outside):
    reports_queue_url: str
    replicate_webhook_secret: str
    webhook_url_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallProvider(Outside):
    settle_function: str
    reports_queue_url: str
    s3_bucket: str
    public_base_url: str
    replicate_api_token: str
    replicate_base_url: str
    runway_api_token: str
    runway_base_url: str
    webhook_url_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMedia(Outside):
    settle_function: str
    reports_queue_url: str
    s3_bucket: str
    replicate_api_token: str
    replicate_base_url: str
    runway_api_token: str
    runway_base_url: str
    provider_output_origins: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSource(Outside):
    settle_function: str
    reports_queue_url: str
    s3_bucket: str
    source_origins: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCatalog(Outside):
    s3_bucket: str
    replicate_api_token: str
    replicate_base_url: str
    models_config: str = ""


SETTINGS: Mapping[str, type] = {
    "authorizer": Authorizer,
    "generate_media": GenerateMedia,
    "status": Status,
    "review": Review,
    "compile_videos": CompileVideos,
    "webhook": Webhook,
    "call_provider": CallProvider,
    "store_media": StoreMedia,
    "fetch_source": FetchSource,
    "provider_catalog": ProviderCatalog,
    "settle": Settle,
    "inspect_media": InspectMedia,
    "reconcile": Reconcile,
    "retention": Retention,
    "migrate": Migrate,
    "database_roles": DatabaseRoles,
    "account": Account,
}


def load(settings: type[T], environ: Mapping[str, str]) -> T:
    """The settings from an environment. Raises ConfigurationError naming every variable that is missing."""
    known = fields(settings)  # type: ignore[arg-type]
    missing = [f.name.upper() for f in known if f.default is MISSING and not environ.get(f.name.upper())]
    if missing:
        raise ConfigurationError(
            f"Set {', '.join(missing)} in this function's environment: it is deployed by infra/, redeploy the stage."
        )
    return settings(**{f.name: environ[f.name.upper()] for f in known if environ.get(f.name.upper())})
