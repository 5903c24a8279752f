"""Migrations find the takes and places of clips that an earlier release wrote."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.adapters.postgres.connection import PostgresRecords
from shared.adapters.postgres.migrations import FOLDER
from tests.databases import as_app, empty_database, migrate

TAKES = "0050_takes_and_verdicts.sql"
ACCOUNT = uuid4()


@pytest.fixture
def older_url(stack: dict[str, Any], tmp_path: Path) -> Iterator[str]:
    """A database as the release before the takes left it."""
    name, server = f"older_{uuid4().hex[:8]}", stack["databaseUrl"]
    for path in FOLDER.glob("*.sql"):
        if path.name < TAKES:
            shutil.copy(path, tmp_path)
    with psycopg.connect(server, autocommit=True) as connection:
        url = empty_database(server, name)
        migrate(url, tmp_path)
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Older:
    """Writes rows as that release did."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.run("INSERT INTO vsl.accounts (id, name, usage_plan_key) VALUES (%s, 'a', 'a')", ACCOUNT)

    def run(self, statement: str, *values: Any) -> Any:
        cursor = self.connection.execute(statement, values)
        return cursor.fetchone() if cursor.description else None

    def script(self) -> int:
        row = self.run(
            "INSERT INTO vsl_frontend.section_detailed_scripts (account_id, section_id) VALUES (%s, 1) RETURNING id",
            ACCOUNT,
        )
        return int(row[0])

    def clip(self, script: int, position: int, status: str, retry_of: UUID | None = None) -> tuple[int, UUID]:
        job = uuid4()
        self.run(
            "INSERT INTO vsl.jobs (id, account_id, user_id, kind, route, request_hash, request, deadline_at, retry_of, "
            "media_type, model_id) VALUES (%s, %s, 'u', 'generate', 'r', 'h', '{}', now(), %s, 'video', 'm')",
            job,
            ACCOUNT,
            retry_of,
        )
        row = self.run(
            "INSERT INTO vsl_frontend.section_videos (account_id, section_id, script_id, user_id, job_id, position, "
            "status) VALUES (%s, 1, %s, 'u', %s, %s, %s) RETURNING id",
            ACCOUNT,
            script,
            job,
            position,
            status,
        )
        return int(row[0]), job


def test_clips_that_were_made_again_are_takes_and_places_have_no_gaps(older_url: str) -> None:
    older = Older(older_url)
    script, other = older.script(), older.script()
    last, _ = older.clip(script, 90, "approved")
    first, first_job = older.clip(script, 0, "rejected")
    again, again_job = older.clip(script, 0, "rejected", first_job)
    newest, _ = older.clip(script, 7, "completed", again_job)
    good, good_job = older.clip(script, 7, "approved")
    another, _ = older.clip(script, 7, "completed", good_job)
    alone, _ = older.clip(other, 5, "pending")
    older.connection.close()

    applied = migrate(older_url)

    assert TAKES in applied
    records = PostgresRecords(as_app(older_url))
    with records.transaction() as tx:
        found = {video.id: video for number in (script, other) for video in tx.videos(ACCOUNT, script_id=number)}
    records.close()
    places = {video.id: (video.position, video.superseded_by) for video in found.values()}
    assert places == {
        first: (1, newest),
        again: (1, newest),
        newest: (1, None),
        good: (2, None),
        another: (3, None),
        last: (4, None),
        alone: (1, None),
    }
