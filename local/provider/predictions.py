"""Predictions in SQLite: they outlive a SIGKILL of the stand-in, as they outlive our outages at the provider."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ENDS = ("succeeded", "failed", "canceled", "aborted")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
KEPT = timedelta(hours=1)


@dataclass
class Prediction:
    """One prediction and what is known of its webhooks."""

    id: str
    model: str
    version: str
    input: dict[str, Any]
    webhook: str | None
    events: list[str]
    created_at: str
    status: str = "starting"
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    output: Any = None
    logs: str = ""
    error: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    predict_seconds: float | None = None
    deadline: str | None = None
    billed_usd: float = 0
    delivered: list[str] = field(default_factory=list)
    pending_webhooks: list[str] = field(default_factory=list)
    webhook_deliveries: int = 0

    @property
    def ended(self) -> bool:
        return self.status in ENDS


def now() -> datetime:
    """The moment in UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """A time as Replicate writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def new_id() -> str:
    """26 lowercase characters."""
    return "".join(secrets.choice(_LETTERS) for _ in range(26))


class Predictions:
    """All predictions, in memory and on disk; switches and refused creates as well."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(folder / "predictions.sqlite", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("CREATE TABLE IF NOT EXISTS prediction (id TEXT PRIMARY KEY, body TEXT)")
        self._database.execute("CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT)")
        rows = self._database.execute("SELECT body FROM prediction ORDER BY rowid").fetchall()
        loaded = [Prediction(**json.loads(body)) for (body,) in rows]
        self._all = {prediction.id: prediction for prediction in loaded}

    def __iter__(self) -> Iterator[Prediction]:
        return iter(list(self._all.values()))

    def get(self, prediction_id: str) -> Prediction | None:
        return self._all.get(prediction_id)

    def keep(self, prediction: Prediction) -> None:
        """Writes a prediction; it is on disk when this returns."""
        self._all[prediction.id] = prediction
        self._database.execute(
            "INSERT INTO prediction VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (prediction.id, json.dumps(prediction.__dict__)),
        )

    def clear(self) -> None:
        """Forgets everything."""
        self._all.clear()
        self._database.execute("DELETE FROM prediction")

    def setting(self, name: str, default: str) -> str:
        """A kept value; written with the default when it is absent."""
        self._database.execute("INSERT OR IGNORE INTO setting VALUES (?, ?)", (name, default))
        (value,) = self._database.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return str(value)


def removed(prediction: Prediction, expire_seconds: float | None = None) -> bool:
    """Whether input, output and logs are gone: an hour after the end, or sooner when steered."""
    if prediction.completed_at is None:
        return False
    kept = KEPT if expire_seconds is None else timedelta(seconds=expire_seconds)
    return now() > datetime.fromisoformat(prediction.completed_at) + kept


def as_json(prediction: Prediction, base_url: str, *, gone: bool) -> dict[str, Any]:
    """A prediction with Replicate's fields."""
    url = f"{base_url}/v1/predictions/{prediction.id}"
    metrics = {} if prediction.predict_seconds is None else {"predict_time": prediction.predict_seconds}
    return {
        "id": prediction.id, "model": prediction.model, "version": prediction.version,
        "input": {} if gone else prediction.input, "output": None if gone else prediction.output,
        "logs": "" if gone else prediction.logs, "error": prediction.error, "status": prediction.status,
        "created_at": prediction.created_at, "started_at": prediction.started_at,
        "completed_at": prediction.completed_at, "data_removed": gone, "metrics": metrics, "source": "api",
        "webhook": prediction.webhook, "webhook_events_filter": prediction.events,
        "urls": {"get": url, "cancel": f"{url}/cancel", "web": f"{base_url}/p/{prediction.id}"},
    }  # fmt: skip
