"""The truth's part in bringing sources from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Protocol
from uuid import UUID

from shared.domain.fetches import FetchState, SourceFetch


class Fetches(Protocol):
    """Part of `Transaction`."""

    def insert_fetches(self, fetches: Sequence[SourceFetch]) -> None:
        """Writes them, none of them due yet."""

    def lock_fetch(self, job_id: UUID, number: int) -> SourceFetch | None:
        """One fetch, locked until the end; its job is locked already."""

    def open_fetches(self, job_id: UUID) -> Sequence[SourceFetch]:
        """The job's that have not ended, by number."""

    def fetch_urls(self, job_id: UUID) -> Mapping[int, str]:
        """The URLs of all the job's fetches, by number."""

    def held_fetches(self, account_id: UUID) -> int:
        """How many workers are at, of the account's unfinished jobs."""

    def hold_fetch(self, fetch: SourceFetch, owner: str, seconds: int) -> None:
        """Gives a locked fetch to a worker for so long, by the database's clock; one more try."""

    def renew_fetch(self, job_id: UUID, number: int, owner: str, seconds: int) -> bool:
        """Prolongs the owner's hold; False when it was lost or the job has finished."""

    def free_fetch(self, fetch: SourceFetch, seconds: int) -> None:
        """Nobody's again; the sweep asks for it after so long."""

    def end_fetch(self, fetch: SourceFetch, state: FetchState) -> None:
        """It was brought, or never will be."""

    def keys_awaited(self, keys: Sequence[str]) -> Set[str]:
        """Those of the keys that an unfinished job's source has or is to have."""
