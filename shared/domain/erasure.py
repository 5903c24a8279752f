"""What is erased, how far that has come, and the receipt of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.domain.jobs import OF_CLIPS, Job, iso
from shared.domain.storage_keys import (
    USER_ROOTS,
    compiled_folder,
    fetched_folder,
    generated_folder,
    incoming_folder,
    upload_folder,
)

WHOLE_USER = "user"
STORES = (
    "objects",
    "uploads",
    "liveView",
    "cache",
    "jobs",
    "attempts",
    "events",
    "outbox",
    "webhookInbox",
    "webhookDeliveries",
    "storageOperations",
    "sectionVideos",
    "scripts",
    "shares",
    "frameSessions",
    "ledger",
    "budgets",
    "forms",
    "fetches",
    "scriptTexts",
    "idempotencyKeys",
)
# By what an open erasure waits for: why.
REASONS = {
    "workers": "Workers that ran when it was asked for may still write.",
    "forms": "Files may still be sent to the upload forms that the user was given.",
    "calls": "What calls at a provider have cost is not known yet; a call in doubt counts as spent by then.",
    "erasures": "Erasures of single jobs of the user are not done yet.",
    "sweep": "There is more to erase: the sweep goes on then.",
}


@dataclass(frozen=True, slots=True)
class Wait:
    """A reason why an erasure is not done yet, of REASONS, and until when it may hold; None where nobody knows."""

    reason: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Erasure:
    """A row of `vsl.erasures`. `subject` is `job:<id>` or `user`; `user_id` is there until it is done.

    `found` counts what the present round has found, `erased` what all rounds have, by store. `waits` has the latest
    moment, ISO 8601, by the reason to wait for it. `scripts` are those whose text stays.
    """

    id: UUID
    account_id: UUID
    subject: str
    user_id: str | None
    requested_at: datetime
    settled_at: datetime
    due_at: datetime
    round_began_at: datetime
    cursor: UUID | None = None
    found: Mapping[str, int] = field(default_factory=dict)
    erased: Mapping[str, int] = field(default_factory=dict)
    films: Sequence[str] = ()
    scripts: Sequence[int] = ()
    waits: Mapping[str, str] = field(default_factory=dict)
    completed_at: datetime | None = None

    @property
    def job_id(self) -> UUID | None:
        """The one job, where it is not a whole user."""
        return None if self.subject == WHOLE_USER else UUID(self.subject.removeprefix("job:"))

    @property
    def nobody(self) -> str:
        """The label that stands where the user's stood."""
        return f"erased-{self.id.hex[:16]}"

    @property
    def roots(self) -> list[str]:
        """The user's own folders; under the new label too, for what was on its way there."""
        labels = (self.user_id, self.nobody) if self.subject == WHOLE_USER else ()
        return [f"{root}/{self.account_id}/{label}/" for root in USER_ROOTS for label in labels]

    def places(self, job: Job) -> list[str]:
        """The folders of one of its jobs that are not in `roots`."""
        if job.kind in OF_CLIPS:
            made = f"{compiled_folder(job.account_id, job.script_id, job.id)}/"
            return [made, fetched_folder(job.account_id, job.id)]
        if self.subject == WHOLE_USER:
            return [incoming_folder(job.id)]
        uploaded = [str(job.request["key"])] if job.kind == "upload" and "key" in job.request else []
        user_id = self.user_id or job.user_id
        made = generated_folder(job.account_id, user_id, job.created_at, job.id)
        # Images that came inside the job's request.
        sent = upload_folder(job.account_id, user_id, job.id)
        return [incoming_folder(job.id), f"{made}/", f"{sent}/", *uploaded]

    def plus(self, counts: Mapping[str, int]) -> Erasure:
        """With more found in this round."""
        return replace(self, found=_sum(self.found, counts), erased=_sum(self.erased, counts))

    def waiting(self, moments: Mapping[str, datetime | None]) -> Erasure:
        """Not done before these moments, by the reason to wait for each."""
        later = [moment for moment in moments.values() if moment is not None]
        waits = {reason: iso(moment) or "" for reason, moment in moments.items() if moment is not None}
        latest = {reason: max(self.waits.get(reason, ""), waits.get(reason, "")) for reason in {**self.waits, **waits}}
        return replace(self, settled_at=max([self.settled_at, *later]), waits=latest)

    def next_round(self, now: datetime) -> Erasure:
        """From the start again."""
        return replace(self, cursor=None, found={}, round_began_at=now)

    def finished(self, now: datetime) -> Erasure:
        """Done; nothing of it names a person."""
        return replace(self, completed_at=now, user_id=None, cursor=None)


def receipt(erasure: Erasure, open_waits: Sequence[Wait] = (), now: datetime | None = None) -> dict[str, Any]:
    """What callers see: what was erased from each store and, once it is done, what the last look found in each.

    Of an open one, what it waits for: `open_waits`, and the moments of its own that are not over yet.
    """
    done = erasure.completed_at is not None
    return {
        "erasureId": str(erasure.id),
        "subject": erasure.subject,
        "status": "completed" if done else "processing",
        "waitsFor": [] if done else _waits(erasure, open_waits, now or erasure.requested_at),
        "erased": {store: erasure.erased.get(store, 0) for store in STORES},
        "left": {store: erasure.found.get(store, 0) for store in STORES} if done else None,
        "films": list(erasure.films),
        "scripts": list(erasure.scripts),
        "requestedAt": iso(erasure.requested_at),
        "completedAt": iso(erasure.completed_at),
    }


def _waits(erasure: Erasure, open_waits: Sequence[Wait], now: datetime) -> list[dict[str, str | None]]:
    moments = {reason: moment for reason, moment in erasure.waits.items() if moment > (iso(now) or "")}
    if not erasure.waits and erasure.settled_at > now:
        moments["workers"] = iso(erasure.settled_at) or ""
    waits: dict[str, str | None] = {**moments, **{wait.reason: iso(wait.until) for wait in open_waits}}
    if not waits:
        waits["sweep"] = iso(erasure.due_at)
    return [{"reason": reason, "until": until, "message": REASONS[reason]} for reason, until in waits.items()]


def _sum(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}
