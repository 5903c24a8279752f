"""The roles are made by a master that logs in by password and must go on being let in, as RDS lets masters in."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local.layout import Layout, find_layout
from local.ports import choose_ports
from local.postgres import DATABASE, MASTER, Postgres, prepare_postgres
from local.supervisor import Supervisor
from shared.adapters.postgres import migrations, roles
from shared.adapters.postgres.migrations import FOLDER, apply_migrations
from shared.adapters.postgres.roles import APP, IAM, MAKER, OWNER, SCHEMAS, PsycopgSql, make_roles
from tests.databases import as_role, migrate
from tests.integration.test_database_roles import later, live

# In RDS a login by token stands where "trust" stands here. Who is a member of `rds_iam`, by whatever other role, comes
# as far as the third line; a password is asked for behind it.
LOGINS = f"""
host all postgres 127.0.0.1/32 trust
host all {OWNER},{APP} 127.0.0.1/32 trust
host all +{IAM} 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
"""
# RDS's own right of masters to grant `rds_iam` is no membership, which in PostgreSQL alone it could only be.
GRANT = f"GRANT {IAM} TO {OWNER}, {APP}"
AS_RDS = (
    f"CREATE FUNCTION public.grant_as_rds() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN {GRANT}; END$$"
)


@pytest.fixture(scope="module")
def rds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server in which neither the roles nor the database are."""
    layout = Layout(root=find_layout().root, state=tmp_path_factory.mktemp("rds"))
    server = prepare_postgres(layout, choose_ports(layout).postgres, "secret")
    orders = (f"REVOKE {IAM} FROM {MASTER}", f"DROP ROLE {OWNER}", f"DROP ROLE {APP}")
    server._run("postgres", "--single", "-D", str(server.data), "postgres", text="\n".join(orders) + "\n")
    server._run("postgres", "--single", "-D", str(server.data), "template1", text=f"{AS_RDS}\n")
    (server.data / "pg_hba.conf").write_text(LOGINS)
    supervisor = Supervisor(layout)
    try:
        supervisor.start(server.part())
        supervisor.wait_ready()
        yield server
    finally:
        supervisor.stop()
        shutil.rmtree(layout.outside, ignore_errors=True)


@pytest.fixture
def empty(rds: Postgres) -> Iterator[str]:
    """The master's URL of its database, in which nothing is."""
    with psycopg.connect(_server(rds), autocommit=True) as superuser:
        superuser.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        superuser.execute(f"CREATE DATABASE {DATABASE} OWNER {MASTER}")
        yield rds.url
        superuser.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        superuser.execute(f"DROP ROLE IF EXISTS {OWNER}, {APP}, {MAKER}")


@pytest.fixture
def another(rds: Postgres, empty: str) -> Iterator[str]:
    """The master's URL of one more database of the same server."""
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("CREATE DATABASE another")
    yield f"{empty.rpartition('/')[0]}/another"
    with psycopg.connect(_server(rds), autocommit=True) as superuser:
        superuser.execute("DROP DATABASE another WITH (FORCE)")


@pytest.fixture
def older(empty: str) -> str:
    """The master's URL of a database as a release left it whose migrations and functions were the master."""
    with psycopg.connect(empty) as connection:
        connection.execute("CREATE SCHEMA vsl")
        connection.execute("CREATE TABLE vsl.schema_migration (name text PRIMARY KEY, sha256 text NOT NULL)")
        for path in sorted(FOLDER.glob("*.sql")):
            text = path.read_text("utf8")
            connection.execute(text)
            digest = hashlib.sha256(text.encode()).hexdigest()
            connection.execute("INSERT INTO vsl.schema_migration VALUES (%s, %s)", (path.name, digest))
        connection.execute("CREATE FUNCTION vsl.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n'")
        connection.execute("CREATE VIEW vsl.seen AS SELECT id FROM vsl.jobs; CREATE SEQUENCE vsl.counted")
        connection.execute("CREATE DOMAIN vsl.name AS text; CREATE TYPE vsl.pair AS (a int, b int)")
    return empty


def _server(rds: Postgres) -> str:
    return as_role(rds.url, "postgres").rpartition("/")[0] + "/postgres"


class RdsSql(PsycopgSql):
    """The master's session on RDS."""

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        return super().run("SELECT grant_as_rds()" if statement == GRANT else statement)


def _run(url: str) -> int:
    """Makes the roles as a deploy does: with a login of the master by its password."""
    with psycopg.connect(url) as connection:
        return make_roles(RdsSql(connection))


def _limits(url: str, role: str) -> list[str]:
    """What a new session of the role has."""
    with psycopg.connect(as_role(url, role)) as connection:
        return [str(connection.execute(f"SHOW {name}").fetchone()[0]) for name in roles.LIMITS]  # type: ignore[index]


def test_a_master_that_makes_a_role_itself_is_let_in_no_more(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        for statement in (f"CREATE ROLE {OWNER} LOGIN", f"CREATE ROLE {APP} LOGIN", GRANT):
            RdsSql(connection).run(statement)

    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects"):
        psycopg.connect(empty)


def test_the_master_is_let_in_again_and_is_a_member_of_nothing(empty: str) -> None:
    for _ in range(3):
        assert _run(empty) == 0

    with psycopg.connect(empty) as connection:
        found = connection.execute(
            "SELECT pg_has_role(current_user, %(iam)s, 'MEMBER'), pg_has_role(%(owner)s, %(iam)s, 'MEMBER'), "
            "pg_has_role(%(app)s, %(iam)s, 'MEMBER'), to_regrole(%(maker)s), (SELECT count(*) FROM pg_auth_members "
            "JOIN pg_roles member ON member.oid = member WHERE member.rolname = current_user)",
            {"iam": IAM, "owner": OWNER, "app": APP, "maker": MAKER},
        ).fetchone()
    assert found == (False, True, True, None, 0)
    migrate(empty)
    live(empty)


def test_a_run_that_was_rolled_back_leaves_nothing_in_the_way_of_the_next(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        make_roles(RdsSql(connection))
        connection.rollback()

    assert _run(empty) == 0


def test_a_limit_that_was_changed_holds_after_the_next_run(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(empty)
    before = _limits(empty, APP)
    monkeypatch.setattr(roles, "LIMITS", {**roles.LIMITS, "statement_timeout": "7s"})
    _run(empty)

    assert (before, _limits(empty, APP)) == (["20s", "5s", "15s"], ["7s", "5s", "15s"])


@pytest.mark.parametrize("role", [OWNER, APP])
def test_a_role_that_is_gone_is_made_again(empty: str, rds: Postgres, role: str) -> None:
    _run(empty)
    with psycopg.connect(as_role(empty, "postgres"), autocommit=True) as superuser:
        superuser.execute(f"DROP OWNED BY {role}")
        superuser.execute(f"DROP ROLE {role}")

    _run(empty)
    _run(empty)

    migrate(empty)
    live(empty)


def test_what_an_older_release_made_is_handed_to_its_owner_once(older: str) -> None:
    with psycopg.connect(older) as connection:
        connection.execute("INSERT INTO vsl.accounts (id, name, usage_plan_key) VALUES (gen_random_uuid(), 'a', 'a')")

    handed, again = _run(older), _run(older)

    with psycopg.connect(older) as connection:
        owners = {owner for (owner,) in connection.execute(_OWNERS, {"schemas": list(SCHEMAS)})}
        member = connection.execute(
            "SELECT pg_has_role(%s, 'MEMBER'), pg_has_role(%s, 'MEMBER'), pg_get_userbyid(datdba) "
            "FROM pg_database WHERE datname = current_database()",
            (OWNER, IAM),
        ).fetchone()
        # The older release's functions are at work until they are replaced.
        assert connection.execute("UPDATE vsl.accounts SET name = 'b' RETURNING name").fetchall() == [("b",)]
        connection.execute(
            "INSERT INTO vsl_frontend.section_detailed_scripts (account_id, section_id) SELECT id, 1 FROM vsl.accounts"
        )
    assert (handed > 30, again, owners, member) == (True, 0, {OWNER}, (False, False, MASTER))
    assert apply_migrations(as_role(older, OWNER)) == []
    live(older)


_OWNERS = """
SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = ANY(%(schemas)s)
UNION SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace::regnamespace::text = ANY(%(schemas)s)
UNION SELECT pg_get_userbyid(typowner) FROM pg_type WHERE typnamespace::regnamespace::text = ANY(%(schemas)s)
UNION SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace::regnamespace::text = ANY(%(schemas)s)
"""


def test_a_table_that_is_in_use_is_not_waited_for_and_nothing_is_half_handed_over(older: str) -> None:
    with psycopg.connect(older) as user, psycopg.connect(older) as connection:
        user.execute("SELECT * FROM vsl.outbox")
        quick = RdsSql(connection)
        statements = quick.run
        quick.run = lambda one: statements(one.replace("lock_timeout = '5s'", "lock_timeout = '50ms'"))  # type: ignore[method-assign]
        with pytest.raises(psycopg.errors.LockNotAvailable):
            make_roles(quick)
        connection.rollback()
    with psycopg.connect(older) as connection:
        owner = connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'accounts'").fetchone()
    assert owner == (MASTER,)


GRANTS = [order for order in migrations._GRANTS if order.endswith(f"TO {APP}")]


@pytest.mark.parametrize("order", GRANTS, ids=lambda order: order.partition(" TO ")[0].lower().replace(" ", "-"))
def test_without_one_grant_a_new_or_an_older_database_does_not_work(
    order: str, older: str, another: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "_GRANTS", [one for one in migrations._GRANTS if one != order])
    _run(older)
    _run(another)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):  # noqa: PT012 - which fails is the grant's to say
        migrate(another)
        live(another)
        later(another, tmp_path)
        migrate(older)
        live(older)
