"""Forms that were given out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.adapters.postgres.rows import Rows
from shared.domain.uploads import Upload, UploadFile


class UploadRows(Rows):
    """Statements on `vsl.uploads`."""

    def insert_upload(self, upload: Upload) -> bool:
        return bool(
            self.run(
                "INSERT INTO vsl.uploads (id, account_id, user_id, kind, script_id, files, idempotency_key, "
                "request_hash, created_at, expires_at) VALUES (%(id)s, %(account)s, %(user)s, %(kind)s, %(script)s, "
                "%(files)s, %(key)s, %(hash)s, %(created)s, %(expires)s) "
                "ON CONFLICT (account_id, idempotency_key) DO NOTHING",
                {
                    "id": upload.id,
                    "account": upload.account_id,
                    "user": upload.user_id,
                    "kind": upload.kind,
                    "script": upload.script_id,
                    "files": Jsonb([_kept(file) for file in upload.files]),
                    "key": upload.idempotency_key,
                    "hash": upload.request_hash,
                    "created": upload.created_at,
                    "expires": upload.expires_at,
                },
            )
        )

    def open_uploads(self, account_id: UUID, now: datetime) -> tuple[int, int, datetime | None]:
        row = self.one(
            "SELECT count(f) AS files, coalesce(sum((f->>'sizeBytes')::bigint), 0)::bigint AS size_bytes, "
            "min(expires_at) AS expire_at FROM vsl.uploads CROSS JOIN LATERAL jsonb_array_elements(files) AS f "
            "WHERE account_id = %(account)s AND expires_at > %(now)s",
            {"account": account_id, "now": now},
        )
        assert row is not None
        return row["files"], row["size_bytes"], row["expire_at"]

    def upload_by_key(self, account_id: UUID, key: str) -> Upload | None:
        row = self.one(
            "SELECT id, account_id, user_id, kind, script_id, files, idempotency_key, request_hash, created_at, "
            "expires_at FROM vsl.uploads WHERE account_id = %(account)s AND idempotency_key = %(key)s",
            {"account": account_id, "key": key},
        )
        return Upload(**{**row, "files": [_file(file) for file in row["files"]]}) if row else None


def _kept(file: UploadFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "contentType": file.content_type,
        "sizeBytes": file.size_bytes,
        "key": file.key,
        "jobId": str(file.job_id) if file.job_id else None,
    }


def _file(kept: Mapping[str, Any]) -> UploadFile:
    job_id = UUID(kept["jobId"]) if kept["jobId"] else None
    return UploadFile(kept["name"], kept["contentType"], kept["sizeBytes"], kept["key"], job_id)
