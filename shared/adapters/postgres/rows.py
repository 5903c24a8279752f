"""Rows to frozen data and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from enum import Enum
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from shared.domain.jobs import Attempt, AttemptState, Job, JobStatus
from shared.domain.scripts import Script, SectionVideo

JOB_COLUMNS = tuple(field.name for field in fields(Job))
# Of jobs that have not ended.
OPEN = "status IN ('pending', 'generating', 'processing')"
ATTEMPT_COLUMNS = tuple(field.name for field in fields(Attempt))


class Rows:
    """Holds the cursor every table's statements share."""

    def __init__(self, cursor: psycopg.Cursor[dict[str, Any]]) -> None:
        self.cursor = cursor

    def one(self, statement: str, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """The first row, or None."""
        return self.cursor.execute(statement, values).fetchone()

    def all(self, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Every row."""
        return self.cursor.execute(statement, values).fetchall()

    def run(self, statement: str, values: Mapping[str, Any]) -> int:
        """How many rows were touched."""
        return self.cursor.execute(statement, values).rowcount


def to_job(row: Mapping[str, Any]) -> Job:
    """A row of `vsl.jobs`."""
    values = {name: row[name] for name in JOB_COLUMNS}
    values["status"] = JobStatus(values["status"])
    values["client_ip"] = str(values["client_ip"]) if values["client_ip"] else None
    return Job(**values)


def to_attempt(row: Mapping[str, Any]) -> Attempt:
    """A row of `vsl.provider_attempts`."""
    values = {name: row[name] for name in ATTEMPT_COLUMNS}
    values["state"] = AttemptState(values["state"])
    return Attempt(**values)


def to_script(row: Mapping[str, Any]) -> Script:
    """A row of `vsl_frontend.section_detailed_scripts`."""
    return Script(
        id=row["id"],
        account_id=row["account_id"],
        section_id=row["section_id"],
        script_content=row["script_content"],
        compiled_key=row["compiled_video_url"],
        compiled_at=row["compiled_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def to_video(row: Mapping[str, Any]) -> SectionVideo:
    """A row of `vsl_frontend.section_videos`, with what it shows of its job."""
    names = {field.name for field in fields(SectionVideo)} - {"key", "thumbnail_key"}
    return SectionVideo(
        key=row["result_url"], thumbnail_key=row["thumbnail_url"], **{name: row[name] for name in names}
    )


def column_value(value: Any) -> Any:
    """A Python value as a column takes it."""
    if isinstance(value, Enum):
        return value.value
    return Jsonb(value) if isinstance(value, Mapping) else value


def assignments(changes: Mapping[str, Any], known: tuple[str, ...]) -> str:
    """`a = %(a)s, b = %(b)s`; every name must be a known column, so no text of a caller gets into SQL."""
    strangers = changes.keys() - set(known)
    if strangers:
        raise KeyError(f"no such column: {sorted(strangers)}")
    return "".join(f"{name} = %({name})s, " for name in changes)


def usd(value: Any) -> Decimal:
    """A numeric column, absent as 0."""
    return Decimal(value or 0)
