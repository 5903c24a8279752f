"""The file the supervisor writes and `python -m local.runtime --config FILE` reads."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")


class WorldPorts(_Model):
    """TCP ports a world may connect to, on any address. The Runtime API's port is always added."""

    ports: tuple[int, ...]


class Worlds(_Model):
    inside: WorldPorts
    outside: WorldPorts


class AdminCredentials(_Model):
    """The emulator's root key pair: reads what was deployed and assumes the functions' roles."""

    access_key_id: str
    secret_access_key: str


class RuntimeConfig(_Model):
    """Everything the runtime knows of its surroundings; JSON keys are the camelCase of these names.

    `service_endpoints` overrides the emulator's address for single services, keyed as in
    `AWS_ENDPOINT_URL_<KEY>` (for example `{"S3": "http://127.0.0.1:9000"}`).
    `s3_control_url` is the media bucket's S3 server, which must be told of every session of a role.
    `functions_file` replaces the emulator as the source of functions and keys (see `functions.FileSource`).
    """

    gateway_port: int
    runner_port: int
    runtime_api_port: int
    ministack_url: str
    template_files: tuple[Path, ...]
    stage: str
    region: str
    project_root: Path
    python_executable: Path
    logs_dir: Path
    opt_bin_dir: Path
    worlds: Worlds
    admin_credentials: AdminCredentials
    service_endpoints: dict[str, str] = Field(default_factory=dict)
    s3_control_url: str | None = None
    python_path: tuple[Path, ...] = ()
    functions_file: Path | None = None
    max_concurrency: int = Field(default=10, ge=1)
    # Environments of one function that start at once. A burst of calls would else start as many processes, few of
    # which would ever be used: what is busy now is free again long before they are.
    max_starting: int = Field(default=os.cpu_count() or 1, ge=1)
    idle_seconds: float = Field(default=300.0, gt=0)
    reap_seconds: float = Field(default=15.0, gt=0)
    log_limit_bytes: int = Field(default=20_000_000, ge=10_000)

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True, indent=2)


def load_config(path: Path) -> RuntimeConfig:
    """Raises pydantic.ValidationError naming every wrong or unknown key."""
    return RuntimeConfig.model_validate_json(path.read_bytes())
