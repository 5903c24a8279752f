"""Every number that differs between stages, and those that do not but are numbers all the same.

Who deploys without changing this file names the deployment's own values in the environment: VSL_ACCOUNT, VSL_REGION and
VSL_CORS_ORIGINS (with commas).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

SETTINGS = ("VSL_ACCOUNT", "VSL_REGION", "VSL_CORS_ORIGINS")
ACCOUNT = re.compile(r"\d{12}")
REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")
# A scheme, a host and perhaps a port: what a browser sends, and no page's address.
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d+)?")
PLACEHOLDER_HOST = re.compile(r"//([^/]*\.)?example\.(com|org|net)(:\d+)?$")

REPLICATE_OUTPUTS = (
    "https://replicate.delivery",
    "https://pbxt.replicate.delivery",
    "https://tjzk.replicate.delivery",
)
# Where Runway's signed output URLs point (https://docs.dev.runwayml.com/assets/outputs).
RUNWAY_OUTPUTS = ("https://dnznrvs05pmza.cloudfront.net",)


@dataclass(frozen=True)
class QueueNumbers:
    """Of one queue and the function that reads it. Visibility is six times the reader's timeout."""

    batch_size: int = 1
    max_receive_count: int = 5
    max_concurrency: int = 10

    @property
    def share_of_account(self) -> int:
        """The most of the reader's environments that work for one account at once."""
        return max(self.max_concurrency // 2, 1)


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
    encoder_storage_mb: int = 2048
    # For the largest file that is brought in, 2 GiB, and some.
    fetched_storage_mb: int = 2560
    api_timeout_seconds: int = 29
    worker_timeout_seconds: int = 120
    store_timeout_seconds: int = 600
    encoder_timeout_seconds: int = 600
    authorizer_cache_seconds: int = 60
    throttle_per_second: int = 100
    throttle_burst: int = 200
    quota_per_day: int = 1_000_000
    # Callers who wait for a job, each of whom holds an execution environment. An account of AWS has 1000 by default,
    # the local stack ten a function.
    waiters_of_account: int = 20
    waiters_of_stage: int = 100
    log_days: int = 30
    database_min_capacity: float = 0.5
    database_max_capacity: float = 4
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

    def obstacles(self) -> list[str]:
        """Why the stage must not be deployed as it is; each with what to do."""
        placeholders = [origin for origin in self.cors_origins if PLACEHOLDER_HOST.search(origin)]
        return [
            f"The stage {self.name} would let browsers read from {origin}, which is a placeholder: name the origins of "
            f"its web pages in infra/stages.py (cors_origins), or in the environment: "
            f"VSL_CORS_ORIGINS=https://one.origin,https://another.origin"
            for origin in placeholders
        ]


_DEV = Stage(name="dev", cors_origins=("http://localhost:3000",))
_LOCAL_QUEUES = {
    "calls": QueueNumbers(max_concurrency=4),
    "reports": QueueNumbers(max_concurrency=4),
    "store": QueueNumbers(max_concurrency=4),
    "fetch": QueueNumbers(max_concurrency=4),
    "inspect": QueueNumbers(max_concurrency=2),
    "compile": QueueNumbers(max_concurrency=2),
    "uploads": QueueNumbers(max_concurrency=2),
}
STAGES = {
    "dev": _DEV,
    "staging": replace(_DEV, name="staging", cors_origins=("https://staging.example.com",), keeps_data=True),
    "homolog": replace(_DEV, name="homolog", cors_origins=("https://homolog.example.com",), keeps_data=True),
    "prod": replace(
        _DEV, name="prod", cors_origins=("https://example.com",), keeps_data=True, log_days=365,
        throttle_per_second=500, throttle_burst=1000, database_min_capacity=1, database_max_capacity=16,
    ),
    "local": replace(
        _DEV, name="local", cors_origins=("http://localhost:3000", "http://127.0.0.1:3000"), is_local=True,
        # Far over what a laptop answers: a benchmark is to measure the stack, not its plan.
        throttle_per_second=10_000, throttle_burst=20_000, queues=_LOCAL_QUEUES, waiters_of_account=4, zone_count=1,
        waiters_of_stage=8,
    ),
}  # fmt: skip


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
    )
    _check(chosen)
    return chosen


def _check(stage: Stage) -> None:
    if stage.account and not ACCOUNT.fullmatch(stage.account):
        raise ValueError(f"The account {stage.account!r} is none: set VSL_ACCOUNT to the 12 digits of its id.")
    if stage.region and not REGION.fullmatch(stage.region):
        raise ValueError(f"The region {stage.region!r} is none: set VSL_REGION to a name like eu-west-1.")
    for origin in stage.cors_origins:
        if not ORIGIN.fullmatch(origin):
            raise ValueError(
                f"The origin {origin!r} is none that a browser sends: set VSL_CORS_ORIGINS to addresses without a "
                f"path, like https://app.our.name"
            )
