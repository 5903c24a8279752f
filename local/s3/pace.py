"""Slowness on demand: first-byte latency and bandwidth by class of request, for benchmarks."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

RequestClass = Literal["get", "put", "copy", "complete", "other"]
_SLICES_PER_SECOND = 50


class ClassPace(BaseModel):
    """Of one request: milliseconds before it is answered, and how fast its bytes pass; None is as fast as can be."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")

    first_byte_ms: float = Field(default=0, ge=0, le=60_000)
    bytes_per_second: float | None = Field(default=None, ge=1024)


class PaceSettings(BaseModel):
    """By class: `get` reads an object, `put` an object or part sent, `copy` bytes copied within the store,
    `complete` the joining of parts, `other` all else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    get: ClassPace = ClassPace()
    put: ClassPace = ClassPace()
    copy_: ClassPace = Field(default=ClassPace(), alias="copy")
    complete: ClassPace = ClassPace()
    other: ClassPace = ClassPace()


@dataclass
class Pace:
    """The settings in force."""

    settings: PaceSettings = field(default_factory=PaceSettings)

    async def first_byte(self, name: RequestClass) -> None:
        """Returns after the latency of that class."""
        if (delay_ms := self._of(name).first_byte_ms) > 0:
            await asyncio.sleep(delay_ms / 1000)

    def throttle(self, name: RequestClass) -> Throttle:
        """For one request, from now on."""
        return Throttle(self._of(name).bytes_per_second)

    def _of(self, name: RequestClass) -> ClassPace:
        found: ClassPace = getattr(self.settings, "copy_" if name == "copy" else name)
        return found


class Throttle:
    """Lets bytes pass at a rate, without credit for time unused before."""

    def __init__(self, bytes_per_second: float | None) -> None:
        self._rate = bytes_per_second
        self._free_at = time.monotonic()

    @property
    def slice_bytes(self) -> int | None:
        """How much to move at once so that the flow is even; None without a limit."""
        return None if self._rate is None else max(4096, int(self._rate / _SLICES_PER_SECOND))

    async def passed(self, size_bytes: int) -> None:
        """Returns when so many bytes more may have passed."""
        if self._rate is None:
            return
        self._free_at = max(self._free_at, time.monotonic() - 1 / _SLICES_PER_SECOND) + size_bytes / self._rate
        await asyncio.sleep(max(0.0, self._free_at - time.monotonic()))
