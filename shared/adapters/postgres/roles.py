"""The database's two roles, made by its master with the same statements on AWS and on the local stack.

`vsl_owner` owns schemas and objects, and only migrations log in as it. `vsl_app` is everybody else: rows, no objects.
What `vsl_app` may do with rows, the owner itself grants (`migrations.py`), so that the master, which makes the roles,
need not be a member of one: RDS asks a member of `rds_iam` for an IAM token and takes its password no more, members by
another role included (Amazon Aurora User Guide, "Database authentication").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    # The function that makes the roles on AWS has no connection.
    import psycopg

OWNER, APP = "vsl_owner", "vsl_app"
SCHEMAS = ("vsl", "vsl_frontend")
# Given by RDS to those who log in by IAM tokens.
IAM = "rds_iam"
# No statement, no wait for a lock and no pause between statements may hold what others need: API calls end after
# 29 s, and the sweep works in small steps. A migration has the time that its function has (see `migrations.py`).
LOCK_SECONDS, IDLE_SECONDS = 5, 15
STATEMENT_SECONDS = {APP: 20, OWNER: 240}


class Sql(Protocol):
    """The master's session, in a transaction."""

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of one statement, which has no parameters."""
        ...


class PsycopgSql:
    """Implements `Sql` over a connection whose transaction the caller ends."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def make_roles(sql: Sql) -> int:
    """Makes the roles what they are to be, whatever they were; how many objects the owner was handed.

    To be run in one transaction, again as often as one likes.
    """
    sql.run(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
    known = {name for (name,) in sql.run(f"SELECT rolname FROM pg_roles WHERE rolname IN ('{OWNER}', '{APP}')")}
    for role in (OWNER, APP):
        if role not in known:
            sql.run(f"CREATE ROLE {role} LOGIN")
    for role in (OWNER, APP):
        for name, value in limits(role).items():
            sql.run(f"ALTER ROLE {role} SET {name} = '{value}'")
    ((database,),) = sql.run("SELECT quote_ident(current_database())")
    sql.run(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    sql.run(f"GRANT CONNECT, CREATE ON DATABASE {database} TO {OWNER}")
    sql.run(f"GRANT CONNECT ON DATABASE {database} TO {APP}")
    handed = _hand_over(sql)
    # Last, when the master is no member of the owner any more.
    sql.run(f"GRANT {IAM} TO {OWNER}, {APP}")
    return handed


def limits(role: str) -> Mapping[str, str]:
    """Settings of the role's sessions."""
    return {
        "statement_timeout": f"{STATEMENT_SECONDS[role]}s",
        "lock_timeout": f"{LOCK_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
    }


def _hand_over(sql: Sql) -> int:
    """Gives the owner what the master owns in our schemas, as releases had it whose functions were the master.

    Object by object: REASSIGN OWNED would take the database too. Who gives something away must be able to become the
    new owner, and is that no longer than this transaction, which nobody else sees. The master keeps the rights of
    `vsl_app`, as functions of that release are at work until they are replaced.
    """
    orders = [order for (order,) in sql.run(_OBJECTS)]
    if orders:
        sql.run(f"GRANT {OWNER} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")
        there = tuple(name for (name,) in sql.run(f"SELECT nspname FROM pg_namespace n WHERE {_OURS} ORDER BY 1"))
        for order in (*orders, *rights("CURRENT_USER", there)):
            sql.run(order)
        sql.run(f"REVOKE {OWNER} FROM CURRENT_USER")
    return len(orders)


def rights(role: str, schemas: tuple[str, ...]) -> Iterator[str]:
    """What is granted on rows, of the tables that there are."""
    named = ", ".join(schemas)
    yield f"GRANT USAGE ON SCHEMA {named} TO {role}"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {named} TO {role}"
    yield f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {named} TO {role}"


_OURS = f"""n.nspname IN ({", ".join(f"'{schema}'" for schema in SCHEMAS)})"""
_ME = "(SELECT oid FROM pg_roles WHERE rolname = current_user)"
# Of a sequence that is a column's own, which goes where its table goes; and of what an extension has brought.
_FOLLOWS = """EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = CAST('pg_class' AS regclass) AND d.objid = c.oid AND d.deptype IN ('a', 'i', 'e'))"""
_OBJECTS = f"""
SELECT order_ FROM (
    SELECT 1 AS step, format('ALTER SCHEMA %I OWNER TO {OWNER}', n.nspname) AS order_
    FROM pg_namespace n WHERE {_OURS} AND n.nspowner = {_ME}
    UNION ALL
    SELECT 2, format('ALTER %s %I.%I OWNER TO {OWNER}', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW'
        WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END,
        n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {_OURS} AND c.relowner = {_ME} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
        AND NOT (c.relkind = 'S' AND {_FOLLOWS})
    UNION ALL
    SELECT 3, format('ALTER TYPE %I.%I OWNER TO {OWNER}', n.nspname, t.typname)
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE {_OURS} AND t.typowner = {_ME} AND t.typtype IN ('e', 'd', 'r')
    UNION ALL
    SELECT 4, format('ALTER ROUTINE %s OWNER TO {OWNER}', CAST(p.oid AS regprocedure))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE {_OURS} AND p.proowner = {_ME}
) AS owned ORDER BY step, order_
"""
