"""Sources on their way from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any
from uuid import UUID

from shared.adapters.postgres.rows import Rows
from shared.domain.fetches import FetchState, SourceFetch

_HELD = "coalesce(owner IS NOT NULL AND due_at > now(), false)"
_SELECT = (
    "SELECT job_id, account_id, number, url, key, state, tries, owner, due_at IS NOT NULL AS asked, "
    f"{_HELD} AS held FROM vsl.source_fetches "
)
_THIS = "WHERE job_id = %(job)s AND number = %(number)s"
_OPEN_JOB = "j.status IN ('pending', 'generating', 'processing')"


class FetchRows(Rows):
    """Statements on `vsl.source_fetches`."""

    def insert_fetches(self, fetches: Sequence[SourceFetch]) -> None:
        for fetch in fetches:
            self.run(
                "INSERT INTO vsl.source_fetches (job_id, account_id, number, url, key, state) "
                "VALUES (%(job)s, %(account)s, %(number)s, %(url)s, %(key)s, %(state)s)",
                {
                    **_id(fetch),
                    "account": fetch.account_id,
                    "url": fetch.url,
                    "key": fetch.key,
                    "state": fetch.state,
                },
            )

    def lock_fetch(self, job_id: UUID, number: int) -> SourceFetch | None:
        row = self.one(f"{_SELECT} {_THIS} FOR UPDATE", {"job": job_id, "number": number})
        return SourceFetch(**row) if row else None

    def open_fetches(self, job_id: UUID) -> Sequence[SourceFetch]:
        return self._fetches("WHERE job_id = %(job)s AND state = 'waiting' ORDER BY number", job=job_id)

    def fetch_urls(self, job_id: UUID) -> Mapping[int, str]:
        return {fetch.number: fetch.url for fetch in self._fetches("WHERE job_id = %(job)s", job=job_id)}

    def held_fetches(self, account_id: UUID) -> int:
        # Whoever is at a job that has ended stops at the next heartbeat.
        open_job = f"EXISTS (SELECT FROM vsl.jobs j WHERE j.id = source_fetches.job_id AND {_OPEN_JOB})"
        held = f"WHERE account_id = %(account)s AND state = 'waiting' AND {_HELD} AND {open_job}"
        return len(self._fetches(held, account=account_id))

    def hold_fetch(self, fetch: SourceFetch, owner: str, seconds: int) -> None:
        self.run(
            "UPDATE vsl.source_fetches SET owner = %(owner)s, tries = tries + 1, "
            f"due_at = now() + make_interval(secs => %(seconds)s) {_THIS}",
            {**_id(fetch), "owner": owner, "seconds": seconds},
        )

    def renew_fetch(self, job_id: UUID, number: int, owner: str, seconds: int) -> bool:
        touched = self.run(
            f"UPDATE vsl.source_fetches SET due_at = now() + make_interval(secs => %(seconds)s) {_THIS} "
            "AND owner = %(owner)s AND state = 'waiting' "
            f"AND EXISTS (SELECT FROM vsl.jobs j WHERE j.id = %(job)s AND {_OPEN_JOB})",
            {"job": job_id, "number": number, "owner": owner, "seconds": seconds},
        )
        return touched == 1

    def free_fetch(self, fetch: SourceFetch, seconds: int) -> None:
        self.run(
            f"UPDATE vsl.source_fetches SET owner = NULL, due_at = now() + make_interval(secs => %(seconds)s) {_THIS}",
            {**_id(fetch), "seconds": seconds},
        )

    def end_fetch(self, fetch: SourceFetch, state: FetchState) -> None:
        self.run(
            f"UPDATE vsl.source_fetches SET state = %(state)s, owner = NULL, due_at = NULL {_THIS}",
            {**_id(fetch), "state": state},
        )

    def keys_awaited(self, keys: Sequence[str]) -> Set[str]:
        rows = self.all(
            "SELECT f.key FROM vsl.source_fetches f JOIN vsl.jobs j ON j.id = f.job_id "
            f"WHERE f.key = ANY(%(keys)s) AND {_OPEN_JOB}",
            {"keys": list(keys)},
        )
        return {row["key"] for row in rows}

    def _fetches(self, rest: str, **values: Any) -> Sequence[SourceFetch]:
        return [SourceFetch(**row) for row in self.all(_SELECT + rest, values)]


def _id(fetch: SourceFetch) -> Mapping[str, Any]:
    return {"job": fetch.job_id, "number": fetch.number}
