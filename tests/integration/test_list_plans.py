"""Lists read what they answer: by PostgreSQL's own account of a statement, not by a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.adapters.postgres.connection import PostgresRecords
from shared.adapters.postgres.rows import Rows
from shared.domain.jobs import JobFilter
from shared.ports import Transaction
from tests.integration.inside import World

ROWS, RARE, ERASED, PAGE = 60_000, 20, 30_000, 51
START = datetime(2026, 1, 1, tzinfo=UTC)
# The newest are common, so that by the order alone a page of rare ones is at the very end.
_JOBS = """
INSERT INTO vsl.jobs (id, account_id, user_id, kind, route, request, request_hash, status, media_type, model_id,
    output_format, error_code, error_message, deadline_at, created_at, completed_at, erased_at)
SELECT gen_random_uuid(), %(account)s, CASE WHEN n %% %(every)s = 0 THEN 'rare' ELSE 'common' END,
    CASE WHEN n %% %(every)s = 1 THEN 'compile' ELSE 'generate' END, 'POST /generate-media', '{}', '',
    CASE WHEN n %% %(every)s = 2 THEN 'failed' ELSE 'completed' END::vsl.job_status, 'image', 'm', 'mp4', 'c', 'm',
    now(), %(start)s + n * interval '1 second', now(), CASE WHEN n > %(rows)s - %(erased)s THEN now() END
FROM generate_series(1, %(rows)s) n
"""
_VIDEOS = """
INSERT INTO vsl_frontend.section_videos (account_id, section_id, user_id, position, status)
SELECT %(account)s, CASE WHEN n %% %(every)s = 0 THEN 2 ELSE 1 END,
    CASE WHEN n %% %(every)s = 1 THEN 'rare' ELSE 'common' END, n,
    CASE WHEN n %% %(every)s = 2 THEN 'rejected' ELSE 'completed' END
FROM generate_series(1, %(rows)s) n
"""


@pytest.fixture(scope="module")
def account(database_url: str) -> Iterator[UUID]:
    """An account of many rows, beside one of as many."""
    import psycopg

    with psycopg.connect(database_url, autocommit=True) as connection:
        ids = [UUID(int=number) for number in (1, 2)]
        for one in ids:
            connection.execute(
                "INSERT INTO vsl.accounts (id, name, usage_plan_key) VALUES (%(id)s, %(name)s, %(name)s)",
                {"id": one, "name": f"many-{one}"},
            )
            values = {"account": one, "every": ROWS // RARE, "rows": ROWS, "erased": ERASED, "start": START}
            connection.execute(_JOBS, values)
            connection.execute(_VIDEOS, values)
        connection.execute("ANALYZE vsl.jobs; ANALYZE vsl_frontend.section_videos")
        yield ids[0]


@pytest.fixture
def read(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Transaction], object]], set[str]]:
    """The indexes by which a list is read: in their order, and hardly a row more than a page has."""
    plans: list[Mapping[str, Any]] = []

    def explained(rows: Rows, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        answer = rows.cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values).fetchone()
        assert answer is not None
        plans.append(answer["QUERY PLAN"][0]["Plan"])
        return []

    def indexes_of(listing: Callable[[Transaction], object]) -> set[str]:
        """No row is read in another way, also not what stands beside the listed ones."""
        plans.clear()
        records: PostgresRecords = world.records
        with monkeypatch.context() as patch, records.transaction() as tx:
            patch.setattr(Rows, "all", explained)
            listing(tx)
        (plan,) = plans
        nodes = list(_nodes(plan))
        assert not {node["Node Type"] for node in nodes} & {"Seq Scan", "Sort", "Hash Join"}, plan
        # The index by user has what was erased as well: an erasure needs it.
        assert sum(node.get("Rows Removed by Filter", 0) for node in nodes) <= RARE, plan
        assert max(node["Actual Rows"] for node in nodes) <= PAGE, plan
        return {node["Index Name"] for node in nodes if "Index Name" in node}

    return indexes_of


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


JOB_LISTS: Sequence[tuple[JobFilter, str]] = [
    (JobFilter(), "jobs_listed"),
    (JobFilter(status="failed"), "jobs_listed_by_status"),
    (JobFilter(status="cancelled"), "jobs_listed_by_status"),
    (JobFilter(kind="compile"), "jobs_listed_by_kind"),
    (JobFilter(kind="probe"), "jobs_listed_by_kind"),
    (JobFilter(user_id="rare"), "jobs_by_user"),
    (JobFilter(user_id="nobody"), "jobs_by_user"),
]


@pytest.mark.parametrize(("asked", "index"), JOB_LISTS)
@pytest.mark.parametrize("page", ["first", "later", "of a day"])
def test_a_page_of_jobs_reads_hardly_a_row_that_is_not_on_it(
    account: UUID, read: Callable[..., set[str]], asked: JobFilter, index: str, page: str
) -> None:
    middle = START + timedelta(seconds=ROWS // 4)
    later = {"before": (middle, UUID(int=0))} if page == "later" else {}
    of_a_day = {"created_from": START, "created_to": middle} if page == "of a day" else {}
    narrow = replace(asked, limit=PAGE, **later, **of_a_day)

    assert read(lambda tx: tx.jobs(account, narrow)) == {index}


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({"status": "rejected"}, "section_videos_by_status"),
        ({"status": "approved"}, "section_videos_by_status"),
        ({"user_id": "rare"}, "section_videos_by_user"),
        ({"section_id": 2}, "section_videos_by_section"),
    ],
)
def test_a_page_of_clips_reads_hardly_a_row_that_is_not_on_it(
    account: UUID, read: Callable[..., set[str]], asked: dict[str, Any], index: str
) -> None:
    assert index in read(lambda tx: tx.videos(account, limit=PAGE, **asked))


@pytest.mark.parametrize(
    "asked",
    [JobFilter(status="failed", user_id="common"), JobFilter(kind="compile", status="completed", user_id="common")],
)
def test_what_is_asked_beside_something_rare_is_looked_for_among_it_alone(
    account: UUID, world: World, monkeypatch: pytest.MonkeyPatch, asked: JobFilter
) -> None:
    looked_at: list[int] = []

    def explained(rows: Rows, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        answer = rows.cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values).fetchone()
        assert answer is not None
        nodes = list(_nodes(answer["QUERY PLAN"][0]["Plan"]))
        looked_at.extend(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in nodes)
        return []

    monkeypatch.setattr(Rows, "all", explained)
    with world.records.transaction() as tx:
        tx.jobs(account, replace(asked, limit=PAGE))

    assert max(looked_at) <= RARE
