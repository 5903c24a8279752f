"""What the runner must know of a function, and where it comes from."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

LEAST_STORAGE_MB = 512  # what Lambda gives where nothing else is asked for


class UnknownFunction(LookupError):
    """No function of that name is deployed."""


class SourceUnavailable(RuntimeError):
    """The source of functions does not answer, or refuses."""


@dataclass(frozen=True)
class FunctionConfig:
    """`memory_mb` is told to the function, not enforced. `inside` = the function has a VPC."""

    name: str
    arn: str
    handler: str
    timeout_seconds: float
    memory_mb: int
    role_arn: str
    inside: bool
    variables: Mapping[str, str] = field(default_factory=dict)
    reserved_concurrency: int | None = None
    storage_mb: int = LEAST_STORAGE_MB
    """Size of `/tmp`, in MiB."""
    may_loop: bool = False
    """Its `RecursiveLoop` is `Allow`."""


@dataclass(frozen=True)
class RoleCredentials:
    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: float
    """Unix seconds."""


@dataclass(frozen=True)
class ApiKey:
    """An API Gateway key of a usage plan."""

    key_id: str
    value: str
    enabled: bool = True


class FunctionSource(Protocol):
    """Deployed functions, credentials of their roles, and keys of usage plans.

    All raise SourceUnavailable when the source cannot be asked.
    """

    async def function(self, name: str) -> FunctionConfig:
        """Read at each call. Raises UnknownFunction."""
        ...

    async def credentials(self, function: FunctionConfig) -> RoleCredentials:
        """Fresh credentials of the function's own role."""
        ...

    async def api_keys(self, usage_plan: str) -> list[ApiKey]:
        """Keys of the plan of that name, empty when there is no such plan. Read at each call."""
        ...


class FileSource:
    """Functions from a JSON file, for runs without the emulator.

    `{"functions": {name: {"handler", "timeout", "memory", "inside", "environment", "reservedConcurrency", "storage",
    "mayLoop"}},
    "usagePlans": {name: [values of keys]}}`;
    everything but `handler` is optional. The credentials it hands out are valid nowhere.
    """

    def __init__(self, path: Path, *, region: str = "us-east-1", account: str = "000000000000") -> None:
        self._path = path
        self._region = region
        self._account = account

    async def function(self, name: str) -> FunctionConfig:
        entry = self._read().get("functions", {}).get(name)
        if entry is None:
            raise UnknownFunction(name)
        return FunctionConfig(
            name=name,
            arn=f"arn:aws:lambda:{self._region}:{self._account}:function:{name}",
            handler=entry["handler"],
            timeout_seconds=entry.get("timeout", 3),
            memory_mb=entry.get("memory", 128),
            role_arn=f"arn:aws:iam::{self._account}:role/{name}",
            inside=entry.get("inside", False),
            variables=entry.get("environment", {}),
            reserved_concurrency=entry.get("reservedConcurrency"),
            storage_mb=entry.get("storage", LEAST_STORAGE_MB),
            may_loop=entry.get("mayLoop", False),
        )

    async def credentials(self, function: FunctionConfig) -> RoleCredentials:
        return RoleCredentials("ASIAFILESOURCE000000", "none", function.role_arn, time.time() + 3600)

    async def api_keys(self, usage_plan: str) -> list[ApiKey]:
        values = self._read().get("usagePlans", {}).get(usage_plan, [])
        return [ApiKey(f"key{index}", value) for index, value in enumerate(values)]

    def _read(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self._path.read_bytes())
        return content
