"""Stores in memory for tests of use cases; each passes the same contract suite as its real adapter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.domain.errors import DependencyDown, Mistake


class MemoryClock:
    """A clock that stands until it is moved."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment
        self._frozen = timedelta()

    def now(self) -> datetime:
        return self.moment

    def monotonic_seconds(self) -> float:
        return (self.moment - self._frozen).timestamp()

    def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    def freeze(self, seconds: float) -> None:
        """What an execution environment sees of the time between two invocations."""
        self._frozen += timedelta(seconds=seconds)
        self.sleep(seconds)


class MemoryView:
    """A live view or cache."""

    def __init__(self) -> None:
        self.snapshots: dict[str, Mapping[str, Any]] = {}

    def put(self, snapshot: Mapping[str, Any]) -> None:
        held = self.snapshots.get(snapshot["jobId"])
        if held is None or held["version"] < snapshot["version"]:
            self.snapshots[snapshot["jobId"]] = snapshot

    def get(self, job_id: UUID) -> Mapping[str, Any] | None:
        return self.snapshots.get(str(job_id))

    def replace(self, snapshot: Mapping[str, Any]) -> bool:
        held = self.snapshots.get(snapshot["jobId"])
        self.snapshots[snapshot["jobId"]] = snapshot
        return held not in (None, snapshot)

    def page(self, after: str | None, limit: int) -> tuple[Mapping[UUID, int], str | None]:
        behind = sorted(job_id for job_id in self.snapshots if job_id > (after or ""))
        versions = {UUID(job_id): self.snapshots[job_id]["version"] for job_id in behind[:limit]}
        return versions, behind[limit - 1] if len(behind) > limit else None

    def remove(self, job_id: UUID) -> None:
        self.snapshots.pop(str(job_id), None)


class MemorySchemas:
    """Nothing is known of any model but what is put in."""

    def __init__(self, mistakes: Mapping[str, Sequence[Mistake]] | None = None) -> None:
        self.mistakes = mistakes or {}

    def called_as(self, version: str) -> str:
        return version

    def check(self, version: str, parameters: Mapping[str, Any]) -> Sequence[Mistake]:
        return self.mistakes.get(version, ())


class MemoryWaiters:
    """Places of waiting callers."""

    def __init__(self, *, most_of_account: int, most_of_stage: int) -> None:
        self.most_of_account, self.most_of_stage = most_of_account, most_of_stage
        self.seated: list[UUID] = []

    @contextmanager
    def place(self, account_id: UUID, seconds: int) -> Iterator[bool]:
        free = self.seated.count(account_id) < self.most_of_account and len(self.seated) < self.most_of_stage
        if free:
            self.seated.append(account_id)
        try:
            yield free
        finally:
            if free:
                self.seated.remove(account_id)


class MemoryQueue:
    """All topics in one list; `down` makes it refuse, and `topics` are those a function may send to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Mapping[str, Any]]] = []
        self.down = False
        self.topics: tuple[str, ...] = ("calls", "store", "inspect", "compile", "fetch")

    def send(self, topic: str, messages: Sequence[tuple[Mapping[str, Any], int]]) -> Sequence[int]:
        if self.down:
            raise DependencyDown("The queue does not answer.")
        if topic not in self.topics:
            raise KeyError(topic)
        self.sent += [(topic, body) for body, _ in messages]
        return range(len(messages))

    def carries(self, topic: str) -> bool:
        return topic in self.topics

    def of(self, topic: str) -> list[Mapping[str, Any]]:
        return [body for sent_to, body in self.sent if sent_to == topic]


class MemoryKeys:
    """A key directory."""

    def __init__(self) -> None:
        self.keys: dict[str, Mapping[str, Any]] = {}

    def put(self, key: Mapping[str, Any]) -> bool:
        kept = {name: value for name, value in key.items() if value is not None}
        if "revokedAt" not in kept and "revokedAt" in self.keys.get(key["keyHash"], {}):
            return False
        self.keys[key["keyHash"]] = {**kept, "accountId": str(key["accountId"])}
        return True

    def get(self, key_hash: str) -> Mapping[str, Any] | None:
        return self.keys.get(key_hash)

    def is_empty(self) -> bool:
        return not self.keys

    def hashes(self) -> Set[str]:
        return set(self.keys)

    def remove(self, key_hash: str) -> None:
        self.keys.pop(key_hash, None)
