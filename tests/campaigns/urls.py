"""Hostile URLs against the guarded downloader: every one is refused and no trap on this machine is ever reached."""

from __future__ import annotations

import random
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.adapters.downloader import GuardedDownloader
from shared.domain.errors import ProductError
from tests.unit.test_addresses import PRIVATE_ADDRESSES, PRIVATE_FORMS, SPELLINGS

ALLOWED = "https://replicate.delivery"
LOOK_ALIKES = (
    "replicate.delivery.evil.example",
    "evil-replicate.delivery",
    "replicate-delivery.example",
    "replicate.deliver",
    "xreplicate.delivery",
    "replicate.delivery.",
    "REPLICATE.delivery.evil.example",
    "delivery",
    "127.0.0.1.nip.io",
)
SCHEMES = ("https", "http", "HTTPS", "ftp", "file", "gopher", "ws", "data", "https:https", "")
PATHS = (
    "",
    "/",
    "/a.mp4",
    "/%2e%2e/",
    "//127.0.0.1/",
    "/?x=http://127.0.0.1/",
    "/#@127.0.0.1",
    "\\@127.0.0.1/",
    "/\t",
    "/ü",
)
USERINFO = ("", "", "", "replicate.delivery@", "a:b@", "@", "%40")
PUBLIC = "93.184.215.14"


def run(seed: int, count: int) -> int:
    """Violations among so many URLs."""
    dice, folder = random.Random(seed), Path(tempfile.mkdtemp(prefix="urls-"))
    with _trap() as trap:
        try:
            return sum(_violates(dice, trap, folder) for _ in range(count))
        finally:
            shutil.rmtree(folder)


def hostile(dice: random.Random, port: int) -> tuple[str, Sequence[str]]:
    """A URL, and what its host resolves to: private addresses, or first a public one among them."""
    answer = [dice.choice((*PRIVATE_ADDRESSES, "127.0.0.1")).partition("%")[0]]
    if dice.random() < 0.3:
        answer.insert(dice.randint(0, 1), PUBLIC)
    if dice.random() < 0.3:
        return dice.choice(SPELLINGS).replace("127.0.0.1", f"127.0.0.1:{port}"), answer
    if dice.random() < 0.2:
        # The right host, which suddenly resolves to this machine.
        return f"{ALLOWED}{dice.choice(PATHS[:3])}", answer
    host = dice.choice(PRIVATE_FORMS + LOOK_ALIKES)
    suffix = dice.choice(["", f":{port}", ":443", ":80"])
    return f"{dice.choice(SCHEMES)}://{dice.choice(USERINFO)}{host}{suffix}{dice.choice(PATHS)}", answer


def _violates(dice: random.Random, trap: _Trap, folder: Path) -> bool:
    url, answer = hostile(dice, trap.port)
    guarded = GuardedDownloader(
        allowed_origins=frozenset([ALLOWED]),
        max_bytes=1000,
        wall_seconds=2,
        min_bytes_per_second=1,
        backoff_seconds=0,
        resolver=lambda host, port: list(answer),
    )
    try:
        guarded.fetch(url, folder)
    except ProductError:
        return trap.reached() or any(folder.iterdir())
    return True


class _Trap:
    """A server on this machine that nobody may reach."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._hits = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def reached(self) -> bool:
        hits, self._hits = self._hits, 0
        return hits > 0

    def close(self) -> None:
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._hits += 1
            connection.close()


@contextmanager
def _trap() -> Iterator[_Trap]:
    trap = _Trap()
    try:
        yield trap
    finally:
        trap.close()
