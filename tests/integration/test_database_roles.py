"""Who may do what in the database: migrations own its objects, everybody else works on rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from shared.adapters.postgres.connection import PostgresRecords
from shared.adapters.postgres.migrations import apply_migrations
from shared.adapters.postgres.roles import APP, OWNER, SCHEMAS
from shared.domain.jobs import Caller
from shared.usecases.manage_accounts import SCOPES, act
from shared.usecases.prune import prune
from shared.usecases.review_clips import create_script
from tests.databases import as_app, as_role, empty_database, migrate
from tests.integration.inside import World
from tests.memory import MemoryKeys, MemoryQueue

DDL = (
    "CREATE TABLE vsl.mine (a int)",
    "CREATE TABLE public.mine (a int)",
    "CREATE TEMPORARY TABLE mine (a int)",
    "CREATE SCHEMA mine",
    "CREATE INDEX ON vsl.jobs (route)",
    "CREATE VIEW vsl.mine AS SELECT 1",
    "CREATE FUNCTION vsl.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER TABLE vsl.jobs ADD COLUMN mine text",
    "ALTER TABLE vsl.jobs DISABLE TRIGGER ALL",
    "DROP TABLE vsl.outbox",
    "DROP SCHEMA vsl_frontend CASCADE",
    "TRUNCATE vsl.cost_ledger",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    f"SET ROLE {OWNER}",
    "SELECT * FROM vsl.schema_migration",
    f"GRANT SELECT ON vsl.jobs TO {OWNER} WITH GRANT OPTION",
)
Fresh = Callable[[], str]


@pytest.fixture
def fresh(stack: dict[str, Any]) -> Iterator[Fresh]:
    """Makes databases in which only the roles are; they go with the test."""
    made: list[str] = []

    def new() -> str:
        made.append(f"roles_{uuid4().hex[:8]}")
        return empty_database(stack["databaseUrl"], made[-1])

    yield new
    with psycopg.connect(stack["databaseUrl"], autocommit=True) as connection:
        for name in made:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("statement", DDL)
def test_functions_change_rows_and_nothing_else(database_url: str, statement: str) -> None:
    with psycopg.connect(as_app(database_url), autocommit=True) as connection:
        if statement.startswith("GRANT"):  # a warning that nothing was granted, as SQL has it
            connection.execute(statement)
            held = "SELECT has_table_privilege(%s, 'vsl.jobs', 'SELECT WITH GRANT OPTION')"
            assert connection.execute(held, (APP,)).fetchone() == (False,)
            return
        with pytest.raises(InsufficientPrivilege):
            connection.execute(statement)


def test_functions_have_the_rows_of_every_table_and_no_more_rights_on_it(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rights = connection.execute(
            "SELECT table_schema || '.' || table_name, string_agg(privilege_type, ' ' ORDER BY privilege_type) "
            "FROM information_schema.role_table_grants WHERE grantee = %s GROUP BY 1",
            (APP,),
        ).fetchall()
        tables = connection.execute(
            "SELECT schemaname || '.' || tablename, tableowner FROM pg_tables WHERE schemaname NOT LIKE 'pg_%%' "
            "AND schemaname NOT IN ('information_schema', 'virtual')"
        ).fetchall()
    assert {owner for _, owner in tables} == {OWNER}
    assert {name.split(".")[0] for name, _ in tables} == set(SCHEMAS)
    assert dict(rights) == {name: "DELETE INSERT SELECT UPDATE" for name, _ in tables if name != "vsl.schema_migration"}


def test_a_table_of_a_later_migration_is_the_functions_too(fresh: Fresh, tmp_path: Path) -> None:
    url = fresh()
    migrate(url)
    later(url, tmp_path)


def later(url: str, folder: Path) -> None:
    """A migration of the future, whose rows a function changes."""
    (folder / "9999_later.sql").write_text("CREATE SCHEMA later; CREATE TABLE later.things (id serial, name text)")
    migrate(url, folder)

    with psycopg.connect(as_app(url)) as connection:
        connection.execute("INSERT INTO later.things (name) VALUES ('a')")
        connection.execute("UPDATE later.things SET name = 'b'")
        assert connection.execute("DELETE FROM later.things RETURNING id, name").fetchall() == [(1, "b")]


def live(url: str) -> None:
    """An account, a script by a sequence, a job with its attempt, and rows that are pruned."""
    records = PostgresRecords(as_app(url))
    try:
        order = {"action": "create_account", "name": uuid4().hex, "usagePlanKey": uuid4().hex}
        account = act(order, records=records, directory=MemoryKeys())
        caller = Caller(UUID(account["accountId"]), frozenset(SCOPES))
        world = World(url, records, MemoryQueue(), caller)
        create_script(1, "A script", caller, records=records)
        world.accepted()
        prune(records, world.clock, 10)
    finally:
        records.close()


def test_the_product_lives_on_what_is_granted(fresh: Fresh) -> None:
    url = fresh()
    migrate(url)
    live(url)


@pytest.mark.parametrize("right", ["SELECT", "INSERT", "UPDATE", "DELETE", "USAGE"])
def test_without_one_right_the_product_does_not_work(fresh: Fresh, right: str) -> None:
    url = fresh()
    migrate(url)
    kind = "SEQUENCES" if right == "USAGE" else "TABLES"
    with psycopg.connect(as_role(url, OWNER)) as connection:
        connection.execute(f"REVOKE {right} ON ALL {kind} IN SCHEMA {', '.join(SCHEMAS)} FROM {APP}")
    with pytest.raises(InsufficientPrivilege):
        live(url)


def test_migrations_ask_again_for_what_somebody_holds(fresh: Fresh, tmp_path: Path) -> None:
    url = fresh()
    migrate(url)
    (tmp_path / "9999_later.sql").write_text("ALTER TABLE vsl.jobs ADD COLUMN later text")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET lock_timeout = '100ms'")
    with psycopg.connect(url) as user, ThreadPoolExecutor(1) as pool:
        user.execute("SELECT * FROM vsl.jobs")
        applied = pool.submit(migrate, url, tmp_path)
        time.sleep(0.5)
        user.rollback()
        assert applied.result(10) == ["9999_later.sql"]


def test_a_migration_may_take_longer_than_a_functions_statement(fresh: Fresh, tmp_path: Path) -> None:
    url = fresh()
    migrate(url)
    (tmp_path / "9999_later.sql").write_text("SELECT pg_sleep(1)")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET statement_timeout = '500ms'")

    assert migrate(url, tmp_path) == ["9999_later.sql"]
    with psycopg.connect(as_app(url)) as function, pytest.raises(psycopg.errors.QueryCanceled):
        function.execute("SELECT pg_sleep(1)")


@pytest.mark.parametrize("statement", ["SELECT pg_sleep(60)", "ALTER TABLE vsl.jobs ADD COLUMN later text"])
def test_migrations_end_before_their_time_and_leave_nothing(fresh: Fresh, tmp_path: Path, statement: str) -> None:
    url = fresh()
    migrate(url)
    (tmp_path / "9999_later.sql").write_text(f"CREATE TABLE vsl.half (a int); {statement}")
    with psycopg.connect(url) as user:
        user.execute("SELECT * FROM vsl.jobs")
        began = time.monotonic()
        with pytest.raises(psycopg.Error):
            apply_migrations(as_role(url, OWNER), tmp_path, seconds=1.5)
        assert time.monotonic() - began < 5
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('vsl.half')").fetchone() == (None,)
