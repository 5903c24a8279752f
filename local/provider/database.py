"""The stand-in's SQLite file. Everything that must outlive a kill is written here before it is told."""

from __future__ import annotations

import sqlite3
from pathlib import Path

_TABLES = """
CREATE TABLE IF NOT EXISTS predictions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    input TEXT NOT NULL,
    webhook TEXT,
    webhook_events TEXT NOT NULL,
    directives TEXT NOT NULL,
    deadline REAL,
    status TEXT NOT NULL,
    created_at REAL NOT NULL,
    started_at REAL,
    completed_at REAL,
    folder TEXT,
    output TEXT,
    logs TEXT NOT NULL DEFAULT '',
    error TEXT,
    expires_at REAL,
    data_removed INTEGER NOT NULL DEFAULT 0,
    billed_usd REAL NOT NULL DEFAULT 0,
    usage TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS predictions_folder ON predictions (folder);
CREATE TABLE IF NOT EXISTS deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL,
    prediction_id TEXT NOT NULL,
    event TEXT NOT NULL,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    due_at REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    attempts TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX IF NOT EXISTS deliveries_prediction ON deliveries (prediction_id);
CREATE TABLE IF NOT EXISTS answered_once (key TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trapped (at REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    facts TEXT NOT NULL
);
"""


def open_database(state: Path) -> sqlite3.Connection:
    """The connection of the one process that owns the folder. Each statement commits by itself."""
    state.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(state / "provider.sqlite3", isolation_level=None)
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.executescript(_TABLES)
    if "usage" not in {column["name"] for column in database.execute("PRAGMA table_info(predictions)")}:
        # A state folder from before this column.
        database.execute("ALTER TABLE predictions ADD COLUMN usage TEXT NOT NULL DEFAULT '{}'")
    return database


def setting(database: sqlite3.Connection, name: str) -> str | None:
    row = database.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row["value"])


def set_setting(database: sqlite3.Connection, name: str, value: str) -> None:
    database.execute(
        "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
    )
