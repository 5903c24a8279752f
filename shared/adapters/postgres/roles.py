"""The database's two roles, made by its master, and what they may do: the same on AWS and on the local stack.

`vsl_owner` owns schemas and objects, and only migrations log in as it. `vsl_app` is everybody else: rows, no objects.
What `vsl_app` may do with rows, the owner itself grants (`migrations.py`), so that the master need not be a member of
either role. RDS asks whoever is a member of `rds_iam`, by another role too, for an IAM token, and takes its password
no more (Amazon Aurora User Guide, "Database authentication"). PostgreSQL 16 makes whoever creates a role its member,
and lets nobody but a superuser take that back: so the master has a third role make the two, which it then drops.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    # The function that makes the roles on AWS has no connection.
    import psycopg

OWNER, APP = "vsl_owner", "vsl_app"
SCHEMAS = ("vsl", "vsl_frontend")
# Given by RDS to those who log in by IAM tokens.
IAM = "rds_iam"
# Makes the roles, and is gone when they are made.
MAKER = "vsl_maker"
# No statement, no wait for a lock and no pause between statements may hold what others need: API calls end after
# 29 s, and the sweep works in small steps. They are the database's, as nobody may alter the roles once they are made;
# a migration gives itself the time that its function has (see `migrations.py`).
STATEMENT_SECONDS, LOCK_SECONDS, IDLE_SECONDS = 20, 5, 15
LIMITS = {
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
}


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
    ((database,),) = sql.run("SELECT quote_ident(current_database())")
    sql.run(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    for name, value in LIMITS.items():
        sql.run(f"ALTER DATABASE {database} SET {name} = '{value}'")
    known = f"SELECT CAST(rolname AS text) FROM pg_roles WHERE rolname IN ('{OWNER}', '{APP}')"
    missing = {OWNER, APP} - {name for (name,) in sql.run(known)}
    handed = _made(sql, database, missing) if missing else _admitted(sql, database)
    # Last, when the master is no member of the two: it would be one of this role as well.
    sql.run(f"GRANT {IAM} TO {OWNER}, {APP}")
    return handed


def _made(sql: Sql, database: str, missing: set[str]) -> int:
    """By the maker, whose memberships go with it. Only while it is there may the master become the owner."""
    sql.run(f"CREATE ROLE {MAKER} CREATEROLE")
    sql.run(f"GRANT {MAKER} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")
    sql.run(f"SET LOCAL ROLE {MAKER}")
    for role in sorted(missing):
        sql.run(f"CREATE ROLE {role} LOGIN")
    if OWNER in missing:
        sql.run(f"GRANT {OWNER} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")
    sql.run("RESET ROLE")
    handed = _admitted(sql, database)
    sql.run(f"DROP ROLE {MAKER}")
    return handed


def _admitted(sql: Sql, database: str) -> int:
    sql.run(f"GRANT CONNECT, CREATE ON DATABASE {database} TO {OWNER}")
    sql.run(f"GRANT CONNECT ON DATABASE {database} TO {APP}")
    return _hand_over(sql)


def _hand_over(sql: Sql) -> int:
    """Gives the owner what the master owns in our schemas, as releases had it whose functions were the master.

    Object by object: REASSIGN OWNED would take the database too. Who gives something away must be able to become the
    new owner, and is that no longer than this transaction, which nobody else sees. The master keeps the rights of
    `vsl_app`, as functions of that release are at work until they are replaced.
    """
    orders = [order for (order,) in sql.run(_OBJECTS)]
    if orders:
        schemas = f"SELECT CAST(nspname AS text) FROM pg_namespace n WHERE {_OURS} ORDER BY 1"
        for order in (*orders, *rights("CURRENT_USER", tuple(name for (name,) in sql.run(schemas)))):
            sql.run(order)
    return len(orders)


def rights(role: str, schemas: tuple[str, ...]) -> Iterator[str]:
    """The grants on rows of the tables that there are."""
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
