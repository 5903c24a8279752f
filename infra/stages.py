"""Every number that differs between stages, and those that do not but are numbers all the same.

Who deploys without changing this file names the deployment's own values in the environment: VSL_ACCOUNT, VSL_REGION,
VSL_CORS_ORIGINS (with commas) and VSL_ALARM_EMAIL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from layers.certificates import regions

SETTINGS = ("VSL_ACCOUNT", "VSL_REGION", "VSL_CORS_ORIGINS", "VSL_ALARM_EMAIL")
ACCOUNT = re.compile(r"\d{12}")
REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")
# A scheme, a host and perhaps a port: what a browser sends, and no page's address.
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d+)?")
EMAIL = re.compile(r"[^@\s,]+@[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE)
PLACEHOLDER_HOST = re.compile(r"//([^/]*\.)?example\.(com|org|net)(:\d+)?$")

REPLICATE_OUTPUTS = (
    "https://replicate.delivery",
    "https://pbxt.replicate.delivery",
    "https://tjzk.replicate.delivery",
)
# Where Runway's signed output URLs point (https://docs.dev.runwayml.com/assets/outputs).
RUNWAY_OUTPUTS = ("https://dnznrvs05pmza.cloudfront.net",)


# Environments that Lambda lets nobody reserve.
LEAST_UNRESERVED = 100


@dataclass(frozen=True)
class QueueNumbers:
    """Numbers of one queue and the function that reads it."""

    batch_size: int = 1
    # A message that keeps failing comes again for 44 minutes (`shared/batches.py`), longer than most outages, unless
    # its job's deadline comes before.
    max_receive_count: int = 7
    max_concurrency: int = 10

    @property
    def share_of_account(self) -> int:
        """The most of the reader's environments that work for one account at once."""
        return max(self.max_concurrency // 2, 1)


@dataclass(frozen=True)
class ScheduleNumbers:
    """Numbers of a scheduled function. The next run does what this one did not: it is worth no second try, and
    nothing once the next one has begun."""

    every_minutes: int = 1
    retries: int = 0


@dataclass(frozen=True)
class AlarmNumbers:
    """When somebody is to be woken. Counts and rates are of five minutes; `least_` is the number below which a rate
    says nothing."""

    # So many bad periods of so many: one, most of a quarter of an hour, all of it, or five minute sweeps.
    at_once: tuple[int, int] = (1, 1)
    lasting: tuple[int, int] = (2, 3)
    steady: tuple[int, int] = (3, 3)
    sweeps: tuple[int, int] = (5, 5)
    api_errors_percent: float = 5
    least_api_errors: int = 5
    api_seconds: float = 3
    worker_errors: int = 10
    retention_errors: int = 3
    # A period of one hour, in which it runs once.
    catalog_errors: int = 1
    throttles: int = 10
    dead_letters: int = 1
    # A message of `reports` that fails once is tried again after less; media at a provider live for an hour.
    oldest_report_seconds: int = 900
    oldest_output_seconds: int = 1800
    overdue_seconds: int = 300
    sweep_failures: int = 1
    job_failures_percent: float = 50
    least_job_failures: int = 10
    provider_failures_percent: float = 30
    least_provider_failures: int = 10
    budget_percent: float = 90
    database_cpu_percent: float = 85
    database_capacity_percent: float = 90
    # Four fifths of what Aurora allows: 823 at 4 ACU, 3360 at 16 (Aurora User Guide, Serverless v2, max_connections).
    database_connections: int = 650
    # A tenth of the memory at the largest capacity, 2 GiB an ACU.
    database_memory_bytes: int = 800 * 1024 * 1024
    cache_failures: int = 20
    cache_throttles: int = 100


@dataclass(frozen=True)
class Stage:
    """One stage's numbers and names. Memory in MB, times in seconds."""

    name: str
    cors_origins: tuple[str, ...]
    architecture: str = "arm64"
    # The account and region that this stage may be deployed to; empty: those of the credentials.
    account: str = ""
    region: str = ""
    # Availability zones by name, for a region whose first ones lack a service that is used; empty: the account's first.
    zones: tuple[str, ...] = ()
    zone_count: int = 2
    provider_base_url: str = "https://api.replicate.com/v1"
    runway_base_url: str = "https://api.dev.runwayml.com"
    # The registry of models: its JSON text, an `s3:bucket/key` or `ssm:name` address, or a file of the deployed code.
    models_config: str = "config/models.json"
    provider_output_origins: tuple[str, ...] = REPLICATE_OUTPUTS + RUNWAY_OUTPUTS
    keeps_data: bool = False
    is_local: bool = False
    api_memory_mb: int = 512
    worker_memory_mb: int = 512
    encoder_memory_mb: int = 3008
    # The largest file that is accepted, in MiB: an output of a provider (functions/store_media/handler.py). Fetched
    # sources and uploads are smaller.
    largest_file_mb: int = 2048
    # Temporary storage for thumbnails, logs and listings beside the media.
    spare_storage_mb: int = 512
    api_timeout_seconds: int = 29
    worker_timeout_seconds: int = 120
    store_timeout_seconds: int = 600
    encoder_timeout_seconds: int = 600
    authorizer_cache_seconds: int = 60
    # Calls of one of our accounts, by the usage plan; each second lets twice as many come at once.
    throttle_per_second: int = 100
    throttle_burst: int = 200
    quota_per_day: int = 1_000_000
    # Calls of each method, of all accounts and of keys that nobody knows: about each of those the authorizer is asked.
    method_per_second: int = 200
    # No usage plan counts calls without a key. Replicate sends a few webhooks for each of 600 calls a minute.
    webhook_per_second: int = 200
    health_per_second: int = 20
    # Callers who wait for a job, each of whom holds an execution environment.
    waiters_of_account: int = 20
    waiters_of_stage: int = 40
    # Execution environments of one function that answer calls at once, besides those whose callers wait.
    calls_at_once: int = 20
    # The executions that Lambda lets this stage run at once: the account's limit in the region, or a part of it. An
    # account has 1,000 once they were asked for; a new one has 10, of which nothing can be reserved.
    account_concurrency: int = 1000
    log_days: int = 30
    # For how long media that were deleted or written over can be brought back; 0 for not at all. Erasure does not wait.
    media_versions_kept_days: int = 0
    # Keys have users' labels in them.
    media_access_log_days: int = 90
    # Each stage has a range of its own, so that two can be joined. A subnet has 1,019 addresses of 65,536: an inside
    # function takes none of its own, and what a third zone needs is kept free behind the two in use.
    vpc_cidr: str = "10.0.0.0/16"
    subnet_mask: int = 22
    reserved_zones: int = 1
    alarms: AlarmNumbers = AlarmNumbers()
    # Who hears of an alarm, and where the runbooks are: a path of the repository, or the address of that page.
    alarm_email: str = ""
    runbooks: str = "docs/operations.md"
    database_min_capacity: float = 0.5
    database_max_capacity: float = 4
    # The least ElastiCache allows are 1 GB and 1,000 units: a unit is about one read of a kilobyte.
    cache_max_gb: int = 1
    cache_max_ecpu_per_second: int = 2_000
    schedules: dict[str, ScheduleNumbers] = field(
        default_factory=lambda: {
            "reconcile": ScheduleNumbers(),
            "retention": ScheduleNumbers(),
            # Reads the providers' models, which may be away for a moment.
            "provider_catalog": ScheduleNumbers(every_minutes=60, retries=2),
        }
    )
    # Instances besides the writer, in another zone, that take over when it fails.
    database_readers: int = 0
    # How far back the database can be restored to any second.
    database_backup_days: int = 7
    # A deploy that waits for nothing: migrations end, their function ends, CloudFormation waits no longer.
    migrate_timeout_seconds: int = 270
    custom_resource_seconds: int = 300
    queues: dict[str, QueueNumbers] = field(
        default_factory=lambda: {
            "calls": QueueNumbers(max_concurrency=20),
            "reports": QueueNumbers(batch_size=10, max_concurrency=10),
            "store": QueueNumbers(max_concurrency=10),
            "fetch": QueueNumbers(max_concurrency=10),
            "inspect": QueueNumbers(max_concurrency=10),
            "compile": QueueNumbers(max_concurrency=5),
            "uploads": QueueNumbers(max_concurrency=10),
        }
    )

    @property
    def fetched_storage_mb(self) -> int:
        """One file at a time is brought, and deleted when it lies in the bucket."""
        return self.largest_file_mb + self.spare_storage_mb

    @property
    def encoder_storage_mb(self) -> int:
        """One file at a time, and what FFmpeg makes of it or a copy with another index."""
        return 2 * self.largest_file_mb + self.spare_storage_mb

    @property
    def reserved(self) -> Mapping[str, int]:
        """By function, the environments that are its own and the most it may have; nothing where they are too few.

        Lambda keeps a hundred for the functions without (https://docs.aws.amazon.com/lambda/latest/dg/
        configuration-concurrency.html): here those that read queues alone, whose event sources have a limit of their
        own, and what runs once.
        """
        wanted = {**self._never_starved, **self._held_back}
        fits = sum(wanted.values()) + LEAST_UNRESERVED <= self.account_concurrency
        return wanted if fits else {}

    @property
    def _never_starved(self) -> Mapping[str, int]:
        """Whoever waits for these is held up, or loses what it tells: they have what can be asked of them at once."""
        claims = sum(self.queues[topic].max_concurrency for topic in ("calls", "store", "fetch"))
        return {
            "authorizer": self.calls_at_once,
            "webhook": 2 * self.calls_at_once,
            "settle": self.queues["reports"].max_concurrency + claims,
            # Two runs that overlap, and an operator's.
            "reconcile": 3,
        }

    @property
    def _held_back(self) -> Mapping[str, int]:
        """A flood of calls takes these and no more, neither of the account nor of the database's connections."""
        waiting = self.calls_at_once + self.waiters_of_stage
        return {
            "generate_media": waiting,
            "status": waiting,
            "compile_videos": waiting + self.queues["compile"].max_concurrency,
            "review": self.calls_at_once,
            "retention": self.calls_at_once // 2,
            "account": self.calls_at_once // 2,
        }

    @property
    def is_protected(self) -> bool:
        """CloudFormation refuses to delete its stacks until somebody switches that off."""
        return self.keeps_data

    @property
    def tags(self) -> Mapping[str, str]:
        """On every resource, for bills and searches."""
        return {"Project": "vsl", "Stage": self.name}

    def bucket_name(self, kind: str, account: str, region: str) -> str:
        """Bucket names are one namespace for all accounts and regions of a partition."""
        return f"vsl-{self.name}-{kind}" if self.is_local else f"vsl-{self.name}-{kind}-{account}-{region}"

    def obstacles(self, region: str = "") -> list[str]:
        """Why the stage must not be deployed as it is; each with what to do.

        `region` is that of the credentials, for a stage that names none.
        """
        found = [
            f"The stage {self.name} would let browsers read from {origin}, which is a placeholder: name the origins of "
            f"its web pages in infra/stages.py (cors_origins), or in the environment: "
            f"VSL_CORS_ORIGINS=https://one.origin,https://another.origin"
            for origin in self.cors_origins
            if PLACEHOLDER_HOST.search(origin)
        ]
        if self.keeps_data and not self.alarm_email:
            found.append(
                f"Nobody would hear of an alarm of the stage {self.name}, which keeps data: name an address in "
                f"infra/stages.py (alarm_email), or in the environment: VSL_ALARM_EMAIL=somebody@our.name"
            )
        place = self.region or region
        if place and place not in regions():
            found.append(
                f"Functions of the stage {self.name} could not tell its database in {place} from another: "
                f"layers/rds-ca.pem has no root certificate of that region. layers/README.md says where there is one."
            )
        return found

    @property
    def cluster_name(self) -> str:
        """Alarms name the database by it."""
        return f"vsl-{self.name}"

    @property
    def cache_name(self) -> str:
        """ElastiCache never changes the subnets of a cache, and CloudFormation never replaces one under its own name:
        a cache in another number of zones has another name."""
        return f"vsl-{self.name}-{len(self.zones) or self.zone_count}-zones"

    @property
    def jobs_table(self) -> str:
        return f"vsl-{self.name}-realtime-jobs"

    @property
    def api_keys_table(self) -> str:
        return f"vsl-{self.name}-api-keys"


_DEV = Stage(name="dev", cors_origins=("http://localhost:3000",))
_LOCAL_QUEUES = {
    **{topic: QueueNumbers(max_concurrency=4) for topic in ("calls", "reports", "store", "fetch")},
    **{topic: QueueNumbers(max_concurrency=2) for topic in ("inspect", "compile", "uploads")},
}
STAGES = {
    "dev": _DEV,
    "staging": replace(
        _DEV,
        name="staging",
        cors_origins=("https://staging.example.com",),
        keeps_data=True,
        vpc_cidr="10.1.0.0/16",
        media_versions_kept_days=7,
    ),
    "homolog": replace(
        _DEV,
        name="homolog",
        cors_origins=("https://homolog.example.com",),
        keeps_data=True,
        vpc_cidr="10.2.0.0/16",
        media_versions_kept_days=7,
    ),
    "prod": replace(
        _DEV,
        name="prod",
        vpc_cidr="10.3.0.0/16",
        cors_origins=("https://example.com",),
        keeps_data=True,
        log_days=365,
        media_versions_kept_days=30,
        cache_max_gb=5,
        cache_max_ecpu_per_second=20_000,
        throttle_per_second=500,
        throttle_burst=1000,
        method_per_second=1000,
        database_min_capacity=1,
        database_max_capacity=16,
        calls_at_once=60,
        waiters_of_stage=100,
        alarms=AlarmNumbers(database_connections=2600, database_memory_bytes=3200 * 1024 * 1024),
        database_readers=1,
        database_backup_days=35,
    ),
    "local": replace(
        _DEV,
        name="local",
        cors_origins=("http://localhost:3000", "http://127.0.0.1:3000"),
        is_local=True,
        # Far over what a laptop answers: a benchmark is to measure the stack, not its plan.
        throttle_per_second=10_000,
        throttle_burst=20_000,
        queues=_LOCAL_QUEUES,
        waiters_of_account=4,
        zone_count=1,
        waiters_of_stage=8,
    ),
}


def stage_named(name: str) -> Stage:
    """The stage. Raises ValueError naming the known ones."""
    if name not in STAGES:
        raise ValueError(f"There is no stage {name!r}: use one of {', '.join(STAGES)}.")
    return STAGES[name]


def with_settings(stage: Stage, environ: Mapping[str, str]) -> Stage:
    """The stage with what the environment names for it; the local one has all it needs. Raises ValueError."""
    if stage.is_local:
        return stage
    origins = environ.get("VSL_CORS_ORIGINS", "")
    chosen = replace(
        stage,
        account=environ.get("VSL_ACCOUNT", "") or stage.account,
        region=environ.get("VSL_REGION", "") or stage.region,
        cors_origins=tuple(origin.strip() for origin in origins.split(",")) if origins else stage.cors_origins,
        alarm_email=environ.get("VSL_ALARM_EMAIL", "") or stage.alarm_email,
    )
    _check(chosen)
    return chosen


def _check(stage: Stage) -> None:
    if stage.account and not ACCOUNT.fullmatch(stage.account):
        raise ValueError(f"The account {stage.account!r} is none: set VSL_ACCOUNT to the 12 digits of its id.")
    if stage.region and not REGION.fullmatch(stage.region):
        raise ValueError(f"The region {stage.region!r} is none: set VSL_REGION to a name like eu-west-1.")
    if stage.alarm_email and not EMAIL.fullmatch(stage.alarm_email):
        raise ValueError(
            f"{stage.alarm_email!r} is no address for mails: set VSL_ALARM_EMAIL to one like ops@our.name."
        )
    for origin in stage.cors_origins:
        if not ORIGIN.fullmatch(origin):
            raise ValueError(
                f"The origin {origin!r} is none that a browser sends: set VSL_CORS_ORIGINS to addresses without a "
                f"path, like https://app.our.name"
            )
