"""What the tests of the guarded downloader share."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.downloader import GuardedDownloader
from shared.domain.errors import ProductError
from tests.scripted_server import Answer, Asked, scripted

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
TAG = '"v1"'


def downloader(*origins: str, **changes: Any) -> GuardedDownloader:
    settings: dict[str, Any] = {
        "max_bytes": 100_000,
        "wall_seconds": 20,
        "min_bytes_per_second": 1,
        "backoff_seconds": 0,
    }
    return GuardedDownloader(allowed_origins=frozenset(origins), **{**settings, **changes})


def refused(answer: Answer, folder: Path, error: type[ProductError], **changes: Any) -> tuple[ProductError, int]:
    """What a fetch from this server raises, and how often it asked; the folder is empty again."""
    with scripted(answer) as server, pytest.raises(error) as raised:
        downloader(server.origin, **changes).fetch(f"{server.origin}/canary/out.mp4?canary=1", folder)
    assert list(folder.iterdir()) == []
    assert "canary" not in f"{raised.value!r} {raised.value.__cause__!r}"
    return raised.value, len(server.asked)


def drip(head: bytes) -> Answer:
    """Sends a byte every 20 ms, for ever."""

    def answer(connection: socket.socket, asked: Asked) -> None:
        connection.sendall(head)
        while not pause.wait(0.02):
            connection.sendall(b"x")

    pause = threading.Event()
    return answer
