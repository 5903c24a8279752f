"""Sources that lie elsewhere, and are brought here before their job goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from shared.domain.addresses import AddressRefused, parse_url, source_problem

FetchState = Literal["waiting", "fetched", "failed"]
REMEDY = "or upload the file with POST /api/uploads and name its s3Key"


@dataclass(frozen=True, slots=True)
class SourceFetch:
    """A row of `vsl.source_fetches`: the job's source of this number, from 0, goes from `url` to `key`.

    `asked` once the outside was told of it, `held` while a worker, the `owner`, is at it.
    """

    job_id: UUID
    account_id: UUID
    number: int
    url: str
    key: str
    state: FetchState = "waiting"
    tries: int = 0
    asked: bool = False
    held: bool = False
    owner: str | None = None


def url_problem(url: str, allowed_origins: frozenset[str]) -> str | None:
    """What is wrong with a URL that a caller names as a source, with the remedy; None when nothing is."""
    try:
        problem = source_problem(parse_url(url), allowed_origins)
    except AddressRefused:
        problem = "must be a plain https URL"
    return f"{problem}: name a public https address, {REMEDY}" if problem else None
