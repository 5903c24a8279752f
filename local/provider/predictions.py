"""Predictions in SQLite: their legal moves, their expiry, and the JSON that Replicate answers for one."""

from __future__ import annotations

import base64
import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from local.provider.models import MODELS
from local.provider.steering import Steering, steering_of

Status = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
TERMINAL: frozenset[str] = frozenset({"succeeded", "failed", "canceled", "aborted"})
# A model run through its name answers this in place of a version id.
HIDDEN_VERSION = "hidden"
RETENTION_SECONDS = 3600.0
PAGE_SIZE = 100
_DOWNWARD = """
SELECT * FROM predictions WHERE seq < ? AND seq > ? AND created_at >= ? AND created_at < ?
AND model NOT LIKE 'runway/%' ORDER BY seq DESC LIMIT ?
"""
_UPWARD = """
SELECT * FROM predictions WHERE seq < ? AND seq > ? AND created_at >= ? AND created_at < ?
AND model NOT LIKE 'runway/%' ORDER BY seq ASC LIMIT ?
"""


@dataclass(frozen=True)
class NewPrediction:
    """What a create call asks for. `directives` are the prompt's over the switches of that moment."""

    model: str
    version: str
    input: Mapping[str, Any]
    webhook: str | None
    webhook_events: tuple[str, ...]
    directives: Mapping[str, str]
    deadline: float | None


@dataclass(frozen=True)
class Outcome:
    """How a prediction ended; `folder` is the one below media/ that its files are in."""

    status: Status
    output: Any = None
    logs: str = ""
    error: str | None = None
    folder: str | None = None
    billed_usd: float = 0.0
    usage: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Prediction:
    """A row; times are seconds since the epoch."""

    seq: int
    id: str
    model: str
    version: str
    input: dict[str, Any]
    webhook: str | None
    webhook_events: tuple[str, ...]
    steering: Steering
    deadline: float | None
    status: Status
    created_at: float
    started_at: float | None
    completed_at: float | None
    folder: str | None
    output: Any
    logs: str
    error: str | None
    expires_at: float | None
    data_removed: bool
    billed_usd: float
    usage: dict[str, float]


@dataclass(frozen=True)
class Window:
    """One page of the list: rows below `before_seq` or above `after_seq`, made in a span of time."""

    before_seq: int | None = None
    after_seq: int | None = None
    created_after: float = 0.0
    created_before: float = 1e12


class Predictions:
    """All predictions ever made. Every move is one UPDATE guarded by the state it starts from."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, new: NewPrediction, now: float, prediction_id: str | None = None) -> Prediction:
        prediction_id = prediction_id or new_id()
        self._database.execute(
            "INSERT INTO predictions (id, model, version, input, webhook, webhook_events, directives, deadline,"
            " status, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'starting', ?)",
            (
                prediction_id,
                new.model,
                new.version,
                json.dumps(new.input),
                new.webhook,
                json.dumps(new.webhook_events),
                json.dumps(dict(new.directives)),
                new.deadline,
                now,
            ),
        )
        return self.get(prediction_id)

    def get(self, prediction_id: str) -> Prediction:
        """Raises KeyError when there is none."""
        row = self._database.execute("SELECT * FROM predictions WHERE id = ?", (prediction_id,)).fetchone()
        if row is None:
            raise KeyError(prediction_id)
        return _from_row(row)

    def by_folder(self, folder: str) -> Prediction | None:
        row = self._database.execute("SELECT * FROM predictions WHERE folder = ?", (folder,)).fetchone()
        return None if row is None else _from_row(row)

    def start(self, prediction_id: str, now: float) -> None:
        self._database.execute(
            "UPDATE predictions SET status = 'processing', started_at = ? WHERE id = ? AND status = 'starting'",
            (now, prediction_id),
        )

    def show_output(self, prediction_id: str, output: Any, logs: str) -> None:
        """The output of a prediction that is not finished yet."""
        self._database.execute(
            "UPDATE predictions SET output = ?, logs = ? WHERE id = ? AND status = 'processing'",
            (json.dumps(output), logs, prediction_id),
        )

    def finish(self, prediction_id: str, outcome: Outcome, now: float, keep_seconds: float) -> bool:
        """False when it had already ended: the first end stays."""
        done = self._database.execute(
            "UPDATE predictions SET status = ?, output = ?, logs = ?, error = ?, folder = ?, billed_usd = ?,"
            " usage = ?, completed_at = ?, expires_at = ? WHERE id = ? AND status IN ('starting', 'processing')",
            (
                outcome.status,
                json.dumps(outcome.output),
                outcome.logs,
                outcome.error,
                outcome.folder,
                outcome.billed_usd,
                json.dumps(dict(outcome.usage)),
                now,
                now + keep_seconds,
                prediction_id,
            ),
        )
        return done.rowcount == 1

    def bill(self, prediction_id: str, usd: float) -> None:
        """Charges another sum for an ended prediction."""
        self._database.execute("UPDATE predictions SET billed_usd = ? WHERE id = ?", (usd, prediction_id))

    def expire_now(self, prediction_id: str) -> None:
        """What an ended prediction made is to go."""
        self._database.execute("UPDATE predictions SET expires_at = 0 WHERE id = ?", (prediction_id,))

    def expire_due(self, now: float) -> list[str]:
        """Removes inputs, outputs and logs whose time is over; returns the folders to delete."""
        rows = self._database.execute(
            "UPDATE predictions SET data_removed = 1, input = '{}', output = NULL, logs = ''"
            " WHERE data_removed = 0 AND expires_at <= ? RETURNING folder",
            (now,),
        ).fetchall()
        return [row["folder"] for row in rows if row["folder"]]

    def unfinished(self) -> list[Prediction]:
        rows = self._database.execute(
            "SELECT * FROM predictions WHERE status IN ('starting', 'processing') ORDER BY seq"
        ).fetchall()
        return [_from_row(row) for row in rows]

    def all(self) -> list[Prediction]:
        """Newest first."""
        rows = self._database.execute("SELECT * FROM predictions ORDER BY seq DESC").fetchall()
        return [_from_row(row) for row in rows]

    def page(self, window: Window) -> list[Prediction]:
        """Up to PAGE_SIZE + 1 rows, newest first: the extra one only says that there are more."""
        upward = window.after_seq is not None
        rows = self._database.execute(
            _UPWARD if upward else _DOWNWARD,
            (
                window.before_seq or 1 << 62,
                window.after_seq or 0,
                window.created_after,
                window.created_before,
                PAGE_SIZE + 1,
            ),
        ).fetchall()
        return [_from_row(row) for row in (reversed(rows) if upward else rows)]

    def folders(self) -> set[str]:
        rows = self._database.execute("SELECT folder FROM predictions WHERE data_removed = 0").fetchall()
        return {row["folder"] for row in rows if row["folder"]}

    def counts(self) -> dict[str, int]:
        rows = self._database.execute("SELECT status, count(*) AS n FROM predictions GROUP BY status").fetchall()
        return {row["status"]: row["n"] for row in rows}

    def clear(self) -> None:
        """Forgets predictions, their webhooks, answers given once and trapped requests."""
        self._database.executescript(
            "DELETE FROM predictions; DELETE FROM deliveries; DELETE FROM answered_once; DELETE FROM trapped"
        )

    def answer_once(self, key: str) -> bool:
        """True the first time for a key, also across restarts."""
        return (
            self._database.execute("INSERT INTO answered_once VALUES (?) ON CONFLICT DO NOTHING", (key,)).rowcount == 1
        )


def new_id() -> str:
    """26 lowercase letters and digits, like Replicate's."""
    return base64.b32encode(secrets.token_bytes(17)).decode().lower()[:26]


def as_json(prediction: Prediction, base_url: str) -> dict[str, Any]:
    """Replicate's prediction object."""
    link = f"{base_url}/v1/predictions/{prediction.id}"
    urls = {"get": link, "cancel": f"{link}/cancel", "web": f"{base_url}/p/{prediction.id}"}
    shown: dict[str, Any] = {
        "id": prediction.id,
        "model": prediction.model,
        "version": prediction.version,
        "input": prediction.input,
        "logs": prediction.logs or _logs_so_far(prediction),
        "output": prediction.output,
        "data_removed": prediction.data_removed,
        "error": prediction.error,
        "source": "api",
        "status": prediction.status,
        "created_at": moment(prediction.created_at),
        "started_at": moment(prediction.started_at),
        "completed_at": moment(prediction.completed_at),
        "metrics": _metrics(prediction),
        "urls": urls | _stream(prediction, base_url),
    }
    if prediction.deadline is not None:
        shown["deadline"] = moment(prediction.deadline)
    if prediction.webhook and prediction.steering.webhook_shown:
        shown |= {"webhook": prediction.webhook, "webhook_events_filter": list(prediction.webhook_events)}
    return shown


def _stream(prediction: Prediction, base_url: str) -> dict[str, str]:
    """Only a language model's output comes in pieces."""
    pieces = MODELS[prediction.model].kind == "text"
    return {"stream": f"{base_url}/v1/streams/{prediction.id}"} if pieces else {}


def moment(seconds: float | None) -> str | None:
    """RFC 3339 with milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_between(started_at: float, completed_at: float) -> float:
    """As `metrics` tells it."""
    return round(completed_at - started_at, 6)


def _metrics(prediction: Prediction) -> dict[str, float]:
    if prediction.completed_at is None:
        return {}
    total = {"total_time": round(prediction.completed_at - prediction.created_at, 6)}
    if prediction.started_at is None:
        return total
    return {"predict_time": seconds_between(prediction.started_at, prediction.completed_at)} | total | prediction.usage


def _logs_so_far(prediction: Prediction) -> str:
    """Of one that is told how long to take: its progress, as a model's progress bar writes it."""
    seconds = prediction.steering.seconds
    if prediction.status != "processing" or prediction.started_at is None or not seconds:
        return ""
    percent = min(99, int((time.time() - prediction.started_at) / seconds * 100))
    return "".join(f"\r{n:3d}%|{'#' * (n // 10):10s}| {n}/100" for n in range(0, percent + 1, 10)) + "\n"


def _from_row(row: sqlite3.Row) -> Prediction:
    facts = dict(row)
    directives = json.loads(facts.pop("directives"))
    facts["steering"] = steering_of(directives)
    facts["input"] = json.loads(facts["input"])
    facts["output"] = json.loads(facts["output"]) if facts["output"] else None
    facts["webhook_events"] = tuple(json.loads(facts["webhook_events"]))
    facts["usage"] = json.loads(facts["usage"])
    facts["data_removed"] = bool(facts["data_removed"])
    return Prediction(**facts)
