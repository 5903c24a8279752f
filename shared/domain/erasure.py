"""What is erased, and the receipt of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.domain.jobs import Job
from shared.domain.storage_keys import compiled_folder, generated_folder, incoming_folder


@dataclass(frozen=True, slots=True)
class Work:
    """One job's places in the stores."""

    job_id: UUID
    prefixes: Sequence[str]

    @classmethod
    def of(cls, job: Job) -> Work:
        made = generated_folder(job.account_id, job.user_id, job.created_at, job.id)
        film = compiled_folder(job.account_id, job.script_id, job.id)
        return cls(job.id, (incoming_folder(job.id), f"{made}/", f"{film}/"))


@dataclass(frozen=True, slots=True)
class Erasure:
    """A row of `vsl.erasures`. `erased` counts by store; `subject` is `job:<id>` or `user:<label or hash>`."""

    id: UUID
    account_id: UUID
    subject: str
    work: Sequence[Work]
    settled_at: datetime
    requested_at: datetime
    erased: Mapping[str, int]
    completed_at: datetime | None = None

    @property
    def user_id(self) -> str | None:
        """Whose data it is, where it is a user's."""
        return self.subject.removeprefix("user:") if self.subject.startswith("user:") else None

    @property
    def prefixes(self) -> list[str]:
        """Every place in the bucket, of the user's own folders as well."""
        own = [f"{root}/{self.account_id}/{self.user_id}/" for root in USER_ROOTS] if self.user_id else []
        return own + [prefix for work in self.work for prefix in work.prefixes]


USER_ROOTS = ("generated", "reference-frames", "video-clips", "uploads")
