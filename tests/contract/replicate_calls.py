"""The provider's adapter as its tests call it, and what Replicate answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shared.adapters.replicate_provider import ReplicateProvider

TOKEN = "r8_canary"
HOOK = "https://api.example/webhook/replicate?job=1&attempt=2&mac=3"
REQUEST = {"version": "owner/name", "input": {"prompt": "a cat", "seed": 7}}
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MADE = {
    "id": "gm3qorzdhgbfurvjtvhg6dckhu",
    "model": "owner/name",
    "version": "hidden",
    "status": "starting",
    "input": REQUEST["input"],
    "output": None,
    "error": None,
    "logs": "",
    "metrics": {},
    "created_at": "2026-01-02T03:04:05.123456789Z",
    "urls": {},
    "a_new_field": 1,
}


def provider(base_url: str, **changes: Any) -> ReplicateProvider:
    return ReplicateProvider(lambda: f"{TOKEN}\n", base_url, **{"sleep": lambda _: None, **changes})
