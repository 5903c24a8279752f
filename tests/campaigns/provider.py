"""A provider in memory for the state machine: what it made, for whom, and what it billed; and an inspector's place."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from shared.usecases.inspect_media import Place

ENDS = ("succeeded", "failed", "canceled", "aborted")


@dataclass
class Made:
    """One prediction."""

    job_id: str
    attempt_id: str
    provider_id: str = field(default_factory=lambda: uuid4().hex[:26])
    status: str = "starting"
    retryable: bool = False

    @property
    def billed(self) -> bool:
        return self.status == "succeeded"


@dataclass
class MemoryProvider:
    """All predictions by id. Two of one attempt are what must never be."""

    made: dict[str, Made] = field(default_factory=dict)

    def create(self, job_id: str, attempt_id: str) -> Made:
        assert not self.of(attempt_id), f"attempt {attempt_id} was called twice"
        new = Made(job_id, attempt_id)
        self.made[new.provider_id] = new
        return new

    def of(self, attempt_id: str) -> list[Made]:
        return [one for one in self.made.values() if one.attempt_id == attempt_id]

    def open(self) -> list[Made]:
        return [one for one in self.made.values() if one.status not in ENDS]


class _Encoder:
    """Takes every file for a picture of one pixel."""

    def verify(self, path: Path, streams: Any = None) -> Any:
        return SimpleNamespace(video=None, audio=None, decoded=None, duration_seconds=0)


@contextmanager
def a_workplace(job_id: UUID, owner: str) -> Iterator[Place]:
    """A folder, and an encoder that takes everything for media."""
    folder = Path(tempfile.mkdtemp(prefix="machine-"))
    try:
        yield Place(folder, _Encoder(), lambda: None)  # type: ignore[arg-type]
    finally:
        shutil.rmtree(folder)
