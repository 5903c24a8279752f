"""What the server is told when it starts."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class ServerConfig(BaseModel):
    """JSON keys are the camelCase of these names.

    `services_url` is where IAM is asked for role policies and SQS takes events; without it only the root key
    is known and no event leaves. `fsync`: whether an answer waits until the disk has the bytes, so that they
    outlive a power cut; a killed process loses nothing either way.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")

    port: int
    control_port: int
    directory: Path
    access_key_id: str
    secret_access_key: str
    region: str = "us-east-1"
    services_url: str | None = None
    fsync: bool = True
