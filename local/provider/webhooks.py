"""Webhooks as Replicate sends them: Standard Webhooks signatures, terminal events retried for about a minute."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import time

import aiohttp

RETRY_SECONDS = (0.5, 1, 2, 4, 8, 16, 30)


def signature(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """`v1,<base64>` of HMAC-SHA256 over `{id}.{timestamp}.{body}` (Standard Webhooks, symmetric)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


async def deliver(url: str, body: bytes, secret: str, *, retried: bool) -> bool:
    """Posts one event; whether it was taken. Each delivery has an id that its retries share."""
    webhook_id = "msg_" + secrets.token_urlsafe(18)
    for delay_seconds in (*RETRY_SECONDS, None) if retried else (None,):
        if await _post(url, body, secret, webhook_id):
            return True
        if delay_seconds is not None:
            await asyncio.sleep(delay_seconds)
    return False


async def _post(url: str, body: bytes, secret: str, webhook_id: str) -> bool:
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, webhook_id, timestamp, body),
    }
    limit = aiohttp.ClientTimeout(total=10)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            return 200 <= answer.status < 300
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
