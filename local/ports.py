"""Ports of the stack: free ones, chosen once and kept, since addresses outlive a crash.

A provider that outlived a crash still calls the webhook address it was given. A kept port is given up only
when a stranger has taken it, or another stack that starts now means to.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from local.layout import Layout, read_json, write_json

# Below Linux's ephemeral range (32768-60999), where any outgoing connection may sit, and low enough that
# the Redis cluster bus, always 10,000 above its server, is still a port.
LOWEST, HIGHEST = 20_000, 32_000
CLUSTER_BUS_OFFSET = 10_000
# Reserved for whoever uses the stack.
USERS_OWN = "sources"
_claims: dict[int, tuple[Path, socket.socket]] = {}
"""By port, the state directory that it was chosen for, and what keeps other processes from choosing it."""


@dataclass(frozen=True)
class Ports:
    postgres: int
    redis: int
    ministack: int
    s3: int
    s3_control: int
    provider: int
    sources: int
    gateway: int
    runner: int
    runtime_api: int
    fault_control: int
    faulty_postgres: int
    faulty_redis: int
    faulty_ministack: int
    faulty_s3: int
    faulty_provider: int

    @property
    def sources_url(self) -> str:
        """Where a server of the user's own may stand, for clips that are named by URL."""
        return f"http://127.0.0.1:{self.sources}"

    def behind_faults(self) -> Ports:
        """As the functions see them when the fault proxy stands between."""
        return replace(
            self,
            postgres=self.faulty_postgres,
            redis=self.faulty_redis,
            ministack=self.faulty_ministack,
            s3=self.faulty_s3,
            provider=self.faulty_provider,
        )


def choose_ports(layout: Layout) -> Ports:
    """The kept ports, with a new one for each that something else now listens on.

    Seconds pass until all of them are listened on: until then other stacks keep off by this process's claims.
    """
    kept: dict[str, int] = read_json(layout.ports_file)
    chosen: dict[str, int] = {}
    for field in fields(Ports):
        port = kept.get(field.name)
        stays = port is not None and port not in chosen.values() and is_usable(field.name, port)
        if port is None or not (stays and _claim(port, layout.state)):
            port = _pick(field.name, chosen.values(), layout.state)
        chosen[field.name] = port
    ports = Ports(**chosen)
    if asdict(ports) != kept:
        write_json(layout.ports_file, asdict(ports))
    return ports


def is_usable(part: str, port: int) -> bool:
    """True when nothing listens on what the part needs; at `sources`, the user's own server may."""
    if part == USERS_OWN:
        return True
    return is_free(port) and (part != "redis" or is_free(port + CLUSTER_BUS_OFFSET))


def is_free(port: int) -> bool:
    """True when a server could listen on the loopback port now (connections in TIME_WAIT do not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _claim(port: int, state: Path) -> bool:
    """Whether the port is this state directory's from now until the process ends.

    A name without a file (unix(7), "abstract") goes when its process does, and is of the same network as the port.
    """
    if port in _claims:
        return _claims[port][0] == state
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0vsl-media-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims[port] = (state, claim)
    return True


def _pick(part: str, taken: Iterable[int], state: Path) -> int:
    avoid = set(taken)
    candidates = random.sample(range(LOWEST, HIGHEST), k=min(500, HIGHEST - LOWEST))
    for port in candidates:
        if port not in avoid and is_free(port) and is_usable(part, port) and _claim(port, state):
            return port
    raise RuntimeError(f"no free port for {part} between {LOWEST} and {HIGHEST}")
