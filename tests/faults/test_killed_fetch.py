"""A worker that brings a source is killed in the middle: another brings it, whole."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

from tests.faults.observing import Observed, wait_for
from tests.footage import clip
from tests.patience import PATIENCE_SECONDS
from tests.scripted_server import Asked, reply, scripted


def test_fetch_source_killed_in_mid_download_fetches_again(observed: Observed, tmp_path: Path) -> None:
    film = clip(tmp_path / "a.mp4").read_bytes()
    tries: list[Asked] = []

    def answer(connection: socket.socket, asked: Asked) -> None:
        tries.append(asked)
        whole = reply(200, film)
        connection.sendall(whole[: len(whole) // 2] if len(tries) == 1 else whole)
        if len(tries) == 1:
            server.over.wait(PATIENCE_SECONDS)

    with scripted(answer, port=urlsplit(observed.stack["sourcesUrl"]).port or 0) as server:
        named = {"clips": [{"url": f"{server.origin}/a.mp4"}]}
        job = str(observed.call("POST", "/compile-videos", named)["data"]["jobId"])
        wait_for("the first half", lambda: tries)
        observed.kill("fetch-source")
        observed.rows("UPDATE vsl.source_fetches SET due_at = now() WHERE job_id = %(job)s", job=job)
        ended = observed.end(job)

    assert (ended, len(tries)) == (["completed"], 2)
    assert [row["tries"] for row in _fetches(observed, job)] == [2]
    assert [row["state"] for row in _fetches(observed, job)] == ["fetched"]


def _fetches(observed: Observed, job: str) -> list[dict[str, object]]:
    return observed.rows("SELECT tries, state FROM vsl.source_fetches WHERE job_id = %(job)s", job=job)
