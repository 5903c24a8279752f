"""A provider in memory for the state machine: what it made, for whom, and what it billed."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4

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
