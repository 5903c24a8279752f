"""Erasing rows: what tells of a person goes, amounts and times stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.adapters.postgres.rows import JOB_COLUMNS, Rows, to_job
from shared.domain.erasure import WHOLE_USER, Erasure, Wait
from shared.domain.errors import Conflict
from shared.domain.jobs import NO_ONE_USER, Job
from shared.domain.uploads import ARRIVAL

_ERASURE = tuple(column.name for column in fields(Erasure))
_COLUMNS = ", ".join(_ERASURE)
_JOBS = ", ".join(JOB_COLUMNS)
_OF_JOBS = "account_id = %(account)s AND job_id = ANY(%(jobs)s)"
# What an attempt still needs to be settled when its provider answers late: version, price and numbers.
_NUMBERS = (
    "(SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(CASE jsonb_typeof(request->'input') "
    "WHEN 'object' THEN request->'input' END) WHERE jsonb_typeof(value) = 'number')"
)
_REQUEST = f"jsonb_build_object('version', request->'version', 'price', request->'price', 'input', {_NUMBERS})"


def _delete_videos(where: str) -> str:
    """By their ids, as everybody locks them."""
    videos = "vsl_frontend.section_videos"
    return f"DELETE FROM {videos} WHERE id IN (SELECT id FROM {videos} {where} ORDER BY id FOR UPDATE)"


# Each touches only rows that still have something, so that its count says what was found.
_SCRUBS: Mapping[str, str] = {
    # A claimed call is looked for at the provider by its request; it is scrubbed when that is settled.
    "attempts": f"UPDATE vsl.provider_attempts SET request = {_REQUEST}, error_message = NULL WHERE {_OF_JOBS} "
    f"AND state <> 'claimed' AND (request <> {_REQUEST} OR error_message IS NOT NULL)",
    "events": f"UPDATE vsl.job_events SET details = '{{}}' WHERE {_OF_JOBS} AND details <> '{{}}'",
    "webhookDeliveries": "DELETE FROM vsl.webhook_deliveries d USING vsl.outbox o WHERE d.outbox_id = o.id "
    "AND o.account_id = %(account)s AND o.job_id = ANY(%(jobs)s)",
    # What is still to be sent holds ids alone.
    "outbox": f"DELETE FROM vsl.outbox WHERE {_OF_JOBS} AND sent_at IS NOT NULL",
    "webhookInbox": "DELETE FROM vsl.webhook_inbox WHERE job_id = ANY(%(jobs)s)",
    "storageOperations": f"UPDATE vsl.storage_operations SET key = 'erased', error = NULL WHERE {_OF_JOBS} "
    "AND (key <> 'erased' OR error IS NOT NULL)",
    "sectionVideos": _delete_videos(f"WHERE {_OF_JOBS}"),
    "scripts": "UPDATE vsl_frontend.section_detailed_scripts SET compiled_video_url = NULL, compiled_at = NULL, "
    "compiled_job_id = NULL WHERE account_id = %(account)s AND compiled_job_id = ANY(%(jobs)s)",
    "shares": f"DELETE FROM vsl.shares WHERE {_OF_JOBS}",
    "frameSessions": f"DELETE FROM vsl.frame_sessions WHERE {_OF_JOBS}",
    "fetches": f"DELETE FROM vsl.source_fetches WHERE {_OF_JOBS}",
    "forms": "DELETE FROM vsl.uploads WHERE account_id = %(account)s AND EXISTS "
    "(SELECT FROM jsonb_array_elements(files) AS file WHERE (file->>'jobId')::uuid = ANY(%(jobs)s))",
    # A key is a caller's own text.
    "idempotencyKeys": "DELETE FROM vsl.idempotency_keys WHERE account_id = %(account)s "
    "AND made = ANY(%(jobs)s::uuid[]::text[])",
    "jobs": "UPDATE vsl.jobs SET request = '{}', request_hash = '', result = '{}', metadata = '{}', s3_key = NULL, "
    "thumbnail_key = NULL, webhook_url = NULL, client_ip = NULL, user_agent = NULL, idempotency_key = NULL, "
    "error_message = CASE WHEN error_message IS NULL THEN NULL ELSE 'erased' END "
    "WHERE account_id = %(account)s AND id = ANY(%(jobs)s) AND (request <> '{}' OR result <> '{}' "
    "OR metadata <> '{}' OR s3_key IS NOT NULL OR error_message <> 'erased')",
}
_OF_USER = "WHERE account_id = %(account)s AND user_id = %(user)s"
# A statement has its limit of time, and locks what it changes.
_RENAMED_AT_ONCE = 5000


def _renamed(table: str) -> str:
    found = f"SELECT id FROM {table} {_OF_USER} LIMIT {_RENAMED_AT_ONCE}"
    return f"UPDATE {table} SET user_id = %(nobody)s WHERE id IN ({found})"


_RENAMES: Mapping[str, str] = {
    "ledger": _renamed("vsl.cost_ledger"),
    "budgets": f"WITH gone AS (DELETE FROM vsl.budgets {_OF_USER} RETURNING period, reserved_usd, spent_usd) "
    "INSERT INTO vsl.budgets AS b (account_id, user_id, period, reserved_usd, spent_usd) "
    "SELECT %(account)s, %(nobody)s, period, reserved_usd, spent_usd FROM gone "
    "ON CONFLICT (account_id, user_id, period) DO UPDATE SET reserved_usd = b.reserved_usd + excluded.reserved_usd, "
    "spent_usd = b.spent_usd + excluded.spent_usd",
    "sectionVideos": _delete_videos(_OF_USER),
    "frameSessions": f"DELETE FROM vsl.frame_sessions {_OF_USER}",
    "forms": f"DELETE FROM vsl.uploads {_OF_USER}",
}
# A user's scripts are those that a job of theirs made a clip for; a text says nothing of whose it is.
_SCRIPTS_OF_USER = (
    "SELECT s.id, EXISTS (SELECT FROM vsl.jobs o WHERE o.account_id = s.account_id AND o.script_id = s.id "
    "AND o.user_id <> ALL(%(others)s) AND o.erased_at IS NULL) AS shared "
    "FROM vsl_frontend.section_detailed_scripts s WHERE s.account_id = %(account)s AND s.script_content IS NOT NULL "
    "AND s.id IN (SELECT script_id FROM vsl.jobs WHERE account_id = %(account)s AND user_id = ANY(%(labels)s)) "
    "ORDER BY s.id FOR UPDATE OF s"
)
_TEXTS: Mapping[str, str] = {
    "scriptTexts": "UPDATE vsl_frontend.section_detailed_scripts SET script_content = NULL, updated_at = now() "
    "WHERE account_id = %(account)s AND id = ANY(%(scripts)s::integer[])",
    # The hash is of the text, the key a caller's own.
    "idempotencyKeys": "DELETE FROM vsl.idempotency_keys WHERE account_id = %(account)s "
    "AND route = 'POST /api/scripts' AND made = ANY(%(scripts)s::integer[]::text[])",
}
_RENAME_JOBS = _renamed("vsl.jobs")
_TO_ERASE = (
    "account_id = %(account)s AND ((id = %(job)s::uuid AND erased_at IS NULL) "
    "OR (user_id = %(nobody)s AND erasure_id IS DISTINCT FROM %(id)s) "
    "OR (kind IN ('compile', 'plan', 'probe') AND erased_at IS NULL AND request @> %(source)s))"
)


class ErasureRows(Rows):
    """Statements on `vsl.erasures`, and on every table that tells of a person."""

    def insert_erasure(self, erasure: Erasure) -> None:
        self.run(
            f"INSERT INTO vsl.erasures ({_COLUMNS}) VALUES ({', '.join(f'%({name})s' for name in _ERASURE)})",
            _values(erasure),
        )

    def erasure(self, account_id: UUID, erasure_id: UUID) -> Erasure | None:
        return self._erasure("account_id = %(account)s AND id = %(id)s", {"account": account_id, "id": erasure_id})

    def erasure_of_job(self, account_id: UUID, job_id: UUID) -> Erasure | None:
        return self._erasure(
            "account_id = %(account)s AND subject = %(subject)s",
            {"account": account_id, "subject": f"job:{job_id}"},
        )

    def erasures_of_script(self, account_id: UUID, script_id: int) -> Sequence[Erasure]:
        rows = self.all(
            f"SELECT {_COLUMNS} FROM vsl.erasures WHERE account_id = %(account)s AND subject IN "
            "(SELECT 'job:' || id FROM vsl.jobs WHERE account_id = %(account)s AND script_id = %(script)s "
            "AND kind IN ('generate', 'upload')) ORDER BY requested_at, id",
            {"account": account_id, "script": script_id},
        )
        return [Erasure(**row) for row in rows]

    def open_erasure_of_user(self, account_id: UUID, user_id: str) -> Erasure | None:
        return self._erasure(
            "account_id = %(account)s AND subject = %(subject)s AND user_id = %(user)s AND completed_at IS NULL",
            {"account": account_id, "subject": WHOLE_USER, "user": user_id},
        )

    def take_erasure(self, now: datetime, until: datetime, erasure_id: UUID | None = None) -> Erasure | None:
        row = self.one(
            "UPDATE vsl.erasures SET due_at = %(until)s WHERE id = (SELECT id FROM vsl.erasures "
            "WHERE completed_at IS NULL AND due_at <= %(now)s AND (%(id)s::uuid IS NULL OR id = %(id)s) "
            f"ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING {_COLUMNS}",
            {"now": now, "until": until, "id": erasure_id},
        )
        return Erasure(**row) if row else None

    def save_erasure(self, erasure: Erasure, due_at: datetime) -> Erasure:
        row = self.one(
            "UPDATE vsl.erasures SET user_id = %(user_id)s, settled_at = %(settled_at)s, cursor = %(cursor)s, "
            "round_began_at = %(round_began_at)s, found = %(found)s, erased = %(erased)s, films = %(films)s, "
            "scripts = %(scripts)s, waits = %(waits)s, "
            "completed_at = %(completed_at)s, due_at = %(until)s "
            f"WHERE id = %(id)s AND due_at = %(due_at)s AND completed_at IS NULL RETURNING {_COLUMNS}",
            {**_values(erasure), "until": due_at},
        )
        if row is None:
            raise Conflict("Another worker has taken the erasure over.", code="lease_lost")
        return Erasure(**row)

    def rename_user(self, erasure: Erasure) -> Mapping[str, int]:
        if erasure.subject != WHOLE_USER:
            return {}
        values = {"account": erasure.account_id, "user": erasure.user_id, "nobody": erasure.nobody}
        # Jobs before budgets, as everybody locks them.
        self.run(_RENAME_JOBS, values)
        return {store: self.run(statement, values) for store, statement in _RENAMES.items()}

    def lock_jobs_to_erase(self, erasure: Erasure, limit: int) -> Sequence[Job]:
        whole = erasure.subject == WHOLE_USER
        rows = self.all(
            f"SELECT {_JOBS} FROM vsl.jobs WHERE {_TO_ERASE} ORDER BY id LIMIT %(limit)s FOR UPDATE",
            {
                "account": erasure.account_id,
                "id": erasure.id,
                "job": erasure.job_id,
                "limit": limit,
                "nobody": erasure.nobody if whole else None,
                "source": Jsonb({"sources": [{"userId": erasure.user_id}]}) if whole else None,
            },
        )
        return [to_job(row) for row in rows]

    def mark_erased(self, erasure: Erasure, job_ids: Sequence[UUID]) -> None:
        self.run(
            "UPDATE vsl.jobs SET erasure_id = %(id)s, erased_at = coalesce(erased_at, now()), version = version + 1, "
            "updated_at = now() WHERE account_id = %(account)s AND id = ANY(%(jobs)s)",
            {"id": erasure.id, "account": erasure.account_id, "jobs": list(job_ids)},
        )

    def films_showing(self, account_id: UUID, key: str) -> Sequence[UUID]:
        rows = self.all(
            "SELECT id FROM vsl.jobs WHERE account_id = %(account)s AND kind = 'compile' AND erased_at IS NULL "
            "AND request @> %(source)s ORDER BY id",
            {"account": account_id, "source": Jsonb({"sources": [{"key": key}]})},
        )
        return [row["id"] for row in rows]

    def last_form(self, erasure: Erasure) -> datetime | None:
        row = self.one(
            f"SELECT max(created_at) + %(arrival)s AS moment FROM vsl.uploads {_OF_USER}",
            {
                "account": erasure.account_id,
                "user": erasure.user_id if erasure.subject == WHOLE_USER else None,
                "arrival": ARRIVAL,
            },
        )
        return row["moment"] if row else None

    def last_write(self, job_ids: Sequence[UUID], patience: timedelta) -> datetime | None:
        # One that completed in the first worker's hands has nobody left who writes.
        row = self.one(
            "SELECT max(completed_at) + %(patience)s AS moment FROM vsl.jobs j WHERE id = ANY(%(jobs)s) "
            "AND (status <> 'completed' OR EXISTS (SELECT FROM vsl.job_events e WHERE e.account_id = j.account_id "
            "AND e.job_id = j.id AND e.name = 'job.taken_up'))",
            {"jobs": list(job_ids), "patience": patience},
        )
        return row["moment"] if row else None

    def erased_jobs(self, erasure: Erasure, limit: int) -> Sequence[Job]:
        rows = self.all(
            f"SELECT {_JOBS} FROM vsl.jobs WHERE account_id = %(account)s "
            "AND (erasure_id = %(id)s OR id = %(job)s::uuid) AND id > %(cursor)s ORDER BY id LIMIT %(limit)s",
            {
                "account": erasure.account_id,
                "id": erasure.id,
                "job": erasure.job_id,
                "cursor": erasure.cursor,
                "limit": limit,
            },
        )
        return [to_job(row) for row in rows]

    def stored_keys(self, job_ids: Sequence[UUID]) -> Sequence[str]:
        rows = self.all(
            "SELECT DISTINCT key FROM vsl.storage_operations WHERE job_id = ANY(%(jobs)s) AND key <> 'erased' "
            "AND operation IN ('upload', 'copy')",
            {"jobs": list(job_ids)},
        )
        return [row["key"] for row in rows]

    def scrub(self, account_id: UUID, job_ids: Sequence[UUID]) -> Mapping[str, int]:
        values = {"account": account_id, "jobs": list(job_ids)}
        return {store: self.run(statement, values) for store, statement in _SCRUBS.items()}

    def erase_script_texts(self, erasure: Erasure) -> tuple[Mapping[str, int], Sequence[int]]:
        if erasure.subject != WHOLE_USER:
            return {}, ()
        labels = [erasure.user_id, erasure.nobody]
        values = {"account": erasure.account_id, "labels": labels, "others": [*labels, NO_ONE_USER]}
        rows = self.all(_SCRIPTS_OF_USER, values)
        own = [row["id"] for row in rows if not row["shared"]]
        counts = {store: self.run(statement, {**values, "scripts": own}) for store, statement in _TEXTS.items()}
        return counts, [row["id"] for row in rows if row["shared"]]

    def scripts_of_erased(self, erasure: Erasure, job_ids: Sequence[UUID]) -> Sequence[int]:
        rows = self.all(
            "SELECT DISTINCT script_id FROM vsl_frontend.section_videos WHERE account_id = %(account)s "
            "AND script_id IS NOT NULL AND (job_id = ANY(%(jobs)s) OR user_id = %(user)s) ORDER BY script_id",
            {
                "account": erasure.account_id,
                "jobs": list(job_ids),
                "user": erasure.user_id if erasure.subject == WHOLE_USER else None,
            },
        )
        return [row["script_id"] for row in rows]

    def open_waits(self, erasure: Erasure) -> Sequence[Wait]:
        values = {
            "id": erasure.id,
            "job": erasure.job_id,
            "account": erasure.account_id,
            "user": erasure.user_id,
            "subject": erasure.subject,
        }
        calls = self.one(
            "SELECT count(*) AS n, max(j.deadline_at) FILTER (WHERE j.deadline_at > now()) AS until "
            "FROM vsl.provider_attempts a JOIN vsl.jobs j ON j.id = a.job_id "
            "WHERE (j.erasure_id = %(id)s OR j.id = %(job)s::uuid) AND a.state NOT IN ('rejected', 'finished')",
            values,
        )
        erasures = self.one(
            "SELECT count(*) AS n, max(settled_at) FILTER (WHERE settled_at > now()) AS until FROM vsl.erasures "
            "WHERE account_id = %(account)s AND user_id = %(user)s AND id <> %(id)s AND subject <> %(subject)s "
            "AND %(subject)s = 'user'",
            values,
        )
        found = (("calls", calls), ("erasures", erasures))
        return [Wait(reason, row["until"]) for reason, row in found if row is not None and row["n"]]

    def _erasure(self, where: str, values: Mapping[str, Any]) -> Erasure | None:
        row = self.one(f"SELECT {_COLUMNS} FROM vsl.erasures WHERE {where} ORDER BY requested_at DESC LIMIT 1", values)
        return Erasure(**row) if row else None


def _values(erasure: Erasure) -> dict[str, Any]:
    plain = {name: getattr(erasure, name) for name in _ERASURE}
    return plain | {
        "found": Jsonb(dict(erasure.found)),
        "erased": Jsonb(dict(erasure.erased)),
        "films": Jsonb(list(erasure.films)),
        "scripts": Jsonb(list(erasure.scripts)),
        "waits": Jsonb(dict(erasure.waits)),
    }
