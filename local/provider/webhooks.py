"""Signed webhooks: Standard Webhooks headers, no redirects, terminal events retried for about a minute.

Sources: standard-webhooks specification (signature scheme `v1`); Replicate, "Receive webhooks" (what is
retried, and for how long).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import secrets
import sqlite3
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

EVENTS = ("start", "output", "logs", "completed")
# The last attempt starts 63 s after the first.
RETRY_DELAYS_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
LATE_SECONDS = 5.0
_ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True)
class Message:
    """One webhook to send: its body is fixed when the event happens."""

    prediction_id: str
    event: str
    url: str
    body: str
    due_at: float
    copies: int = 1


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def sign(secret: str, message_id: str, timestamp_seconds: int, body: str) -> str:
    """The `webhook-signature` header of a message. The secret is base64 after `whsec_`."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{timestamp_seconds}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def may_be_called(url: str) -> bool:
    """https anywhere; http only on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Webhooks:
    """Keeps messages in SQLite until they are delivered or given up, so that a restart sends the rest."""

    def __init__(self, database: sqlite3.Connection, session: aiohttp.ClientSession, secret: str) -> None:
        self._database = database
        self._session = session
        self._secret = secret
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, message: Message) -> list[asyncio.Future[None]]:
        """Queues the message; each returned future is done after that copy's first attempt."""
        message_id = f"msg_{secrets.token_hex(14)}"
        futures = []
        for _ in range(message.copies):
            row = self._database.execute(
                "INSERT INTO deliveries (message_id, prediction_id, event, url, body, due_at)"
                " VALUES (?, ?, ?, ?, ?, ?) RETURNING seq",
                (message_id, message.prediction_id, message.event, message.url, message.body, message.due_at),
            ).fetchone()
            futures.append(self._begin(int(row["seq"])))
        return futures

    def resume(self) -> None:
        """Goes on with what a former process left; events before the terminal one are not retried."""
        self._database.execute(
            "UPDATE deliveries SET state = 'given up' WHERE state = 'pending' AND event <> 'completed'"
        )
        for row in self._database.execute("SELECT seq FROM deliveries WHERE state = 'pending'").fetchall():
            self._begin(int(row["seq"]))

    def attempts(self, prediction_id: str) -> list[dict[str, Any]]:
        """Every attempt so far: event, messageId, at (epoch seconds), statusCode (null without an answer)."""
        rows = self._database.execute(
            "SELECT event, message_id, attempts FROM deliveries WHERE prediction_id = ? ORDER BY seq", (prediction_id,)
        ).fetchall()
        return [
            {"event": row["event"], "messageId": row["message_id"]} | attempt
            for row in rows
            for attempt in json.loads(row["attempts"])
        ]

    async def close(self) -> None:
        """Stops sending; what is pending stays in the file."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, seq: int) -> asyncio.Future[None]:
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._deliver(seq, first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: _settle(first))
        return first

    async def _deliver(self, seq: int, first: asyncio.Future[None]) -> None:
        row = self._database.execute("SELECT * FROM deliveries WHERE seq = ?", (seq,)).fetchone()
        attempts = json.loads(row["attempts"])
        await asyncio.sleep(max(0.0, row["due_at"] - time.time()))
        delays = RETRY_DELAYS_SECONDS if row["event"] == "completed" else ()
        for delay in (*delays[len(attempts) :], None):
            status = await self._post(row["url"], row["message_id"], row["body"])
            attempts.append({"at": round(time.time(), 3), "statusCode": status})
            delivered = status is not None and 200 <= status < 300
            state = "delivered" if delivered else "pending" if delay is not None else "given up"
            self._database.execute(
                "UPDATE deliveries SET state = ?, attempts = ? WHERE seq = ?", (state, json.dumps(attempts), seq)
            )
            _settle(first)
            if delivered or delay is None:
                return
            await asyncio.sleep(delay)

    async def _post(self, url: str, message_id: str, body: str) -> int | None:
        timestamp = int(time.time())
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._secret, message_id, timestamp, body),
        }
        try:
            async with self._session.post(
                url, data=body.encode(), headers=headers, allow_redirects=False, timeout=_ANSWER_TIMEOUT
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


def _settle(first: asyncio.Future[None]) -> None:
    if not first.done():
        first.set_result(None)
