"""Every number that differs between stages, and those that do not but are numbers all the same."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

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
    bucket_suffix: str = ""
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
    def bucket(self) -> str:
        """Bucket names are global: another account's stage sets a suffix."""
        return f"vsl-{self.name}-media{self.bucket_suffix}"


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
        database_readers=1, database_backup_days=35,
    ),
    "local": replace(
        _DEV, name="local", cors_origins=("http://localhost:3000", "http://127.0.0.1:3000"), is_local=True,
        # Far over what a laptop answers: a benchmark is to measure the stack, not its plan.
        throttle_per_second=10_000, throttle_burst=20_000, queues=_LOCAL_QUEUES, waiters_of_account=4,
        waiters_of_stage=8,
    ),
}  # fmt: skip


def stage_named(name: str) -> Stage:
    """The stage. Raises ValueError naming the known ones."""
    if name not in STAGES:
        raise ValueError(f"There is no stage {name!r}: use one of {', '.join(STAGES)}.")
    return STAGES[name]
