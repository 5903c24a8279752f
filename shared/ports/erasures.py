"""The truth's part in erasing what tells of a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from shared.domain.erasure import Erasure, Wait
from shared.domain.jobs import Job


class Erasures(Protocol):
    """Part of `Transaction`."""

    def insert_erasure(self, erasure: Erasure) -> None:
        """Writes an erasure that is to be done."""

    def erasure(self, account_id: UUID, erasure_id: UUID) -> Erasure | None:
        """One erasure of the account."""

    def erasure_of_job(self, account_id: UUID, job_id: UUID) -> Erasure | None:
        """The job's own, done or not; not that of its user."""

    def erasures_of_script(self, account_id: UUID, script_id: int) -> Sequence[Erasure]:
        """Those of single jobs which made clips of the script, there or deleted."""

    def open_erasure_of_user(self, account_id: UUID, user_id: str) -> Erasure | None:
        """The user's, unless it is done."""

    def take_erasure(self, now: datetime, until: datetime, erasure_id: UUID | None = None) -> Erasure | None:
        """This one, or the one that waits longest, held until then; None when none is due."""

    def save_erasure(self, erasure: Erasure, due_at: datetime) -> Erasure:
        """Writes how far it has come and holds it until `due_at`. Raises Conflict when another worker has it."""

    def rename_user(self, erasure: Erasure) -> Mapping[str, int]:
        """Puts `nobody` where the user's label is, and removes rows that are the user's alone; counts by store."""

    def lock_jobs_to_erase(self, erasure: Erasure, limit: int) -> Sequence[Job]:
        """The job, or some of the user's jobs and of the films that show a clip of theirs, that are not marked yet."""

    def mark_erased(self, erasure: Erasure, job_ids: Sequence[UUID]) -> None:
        """From now on the jobs answer that they are gone."""

    def erase_script_texts(self, erasure: Erasure) -> tuple[Mapping[str, int], Sequence[int]]:
        """Takes the text of scripts that have a whole user's clips and nobody else's; counts by store, and the ids of
        the scripts that others' clips are in too."""

    def scripts_of_erased(self, erasure: Erasure, job_ids: Sequence[UUID]) -> Sequence[int]:
        """Scripts with section videos of these jobs, or of a whole user."""

    def open_waits(self, erasure: Erasure) -> Sequence[Wait]:
        """What it waits for beside time: calls that are not settled, erasures of single jobs of the user."""

    def films_showing(self, account_id: UUID, key: str) -> Sequence[UUID]:
        """Films that were made of this object."""

    def last_form(self, erasure: Erasure) -> datetime | None:
        """When the last file can have come by the forms that a whole user was given."""

    def last_write(self, job_ids: Sequence[UUID], patience: timedelta) -> datetime | None:
        """When the last worker of these jobs must have ended that may still write; None when none does."""

    def erased_jobs(self, erasure: Erasure, limit: int) -> Sequence[Job]:
        """Marked jobs behind the erasure's cursor, by id."""

    def stored_keys(self, job_ids: Sequence[UUID]) -> Sequence[str]:
        """Keys that were written for these jobs and that nothing has scrubbed yet."""

    def scrub(self, account_id: UUID, job_ids: Sequence[UUID]) -> Mapping[str, int]:
        """Takes what tells of a person out of every row of these jobs; how many had something, by store."""
