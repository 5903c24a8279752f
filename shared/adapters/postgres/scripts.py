"""Scripts and section videos, in the schema their first documents named."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.adapters.postgres.rows import Rows, to_script, to_video
from shared.domain.jobs import Job
from shared.domain.scripts import Script, SectionVideo

_SCRIPTS = "vsl_frontend.section_detailed_scripts"
_VIDEOS = "vsl_frontend.section_videos"
_LISTED = "id, account_id, section_id, NULL AS script_content, compiled_video_url, compiled_at, created_at, updated_at"
_VIDEO_STATUS_OF_JOB = {
    "pending": "pending", "generating": "generating", "processing": "generating", "completed": "completed",
    "failed": "failed", "timeout": "failed", "cancelled": "cancelled",
}  # fmt: skip


class ScriptRows(Rows):
    """Statements on `vsl_frontend`."""

    def insert_script(self, account_id: UUID, section_id: int, content: str | None) -> Script:
        row = self.one(
            f"INSERT INTO {_SCRIPTS} (account_id, section_id, script_content) "
            "VALUES (%(account)s, %(section)s, %(content)s) RETURNING *",
            {"account": account_id, "section": section_id, "content": content},
        )
        assert row is not None
        return to_script(row)

    def script(self, account_id: UUID, script_id: int) -> Script | None:
        row = self.one(
            f"SELECT * FROM {_SCRIPTS} WHERE account_id = %(account)s AND id = %(id)s",
            {"account": account_id, "id": script_id},
        )
        return to_script(row) if row else None

    def scripts(self, account_id: UUID, before: int | None, limit: int) -> Sequence[Script]:
        # Without their contents, which may be megabytes each.
        rows = self.all(
            f"SELECT {_LISTED} FROM {_SCRIPTS} WHERE account_id = %(account)s "
            "AND (%(before)s::integer IS NULL OR id < %(before)s) ORDER BY id DESC LIMIT %(limit)s",
            {"account": account_id, "before": before, "limit": limit},
        )
        return [to_script(row) for row in rows]

    def set_compiled(self, account_id: UUID, script_id: int, key: str, job_id: UUID) -> None:
        self.run(
            f"UPDATE {_SCRIPTS} SET compiled_video_url = %(key)s, compiled_at = now(), "
            "compiled_job_id = %(job)s, updated_at = now() WHERE account_id = %(account)s AND id = %(id)s",
            {"account": account_id, "id": script_id, "key": key, "job": job_id},
        )

    def insert_video(self, job: Job, *, section_id: int, script_id: int | None, position: int | None) -> SectionVideo:
        row = self.one(
            f"INSERT INTO {_VIDEOS} (account_id, section_id, script_id, user_id, job_id, status, position) "
            "SELECT %(account)s, %(section)s, %(script)s::integer, %(user)s, %(job)s, 'pending', "
            "coalesce(%(position)s::integer, (SELECT max(position) + 1 FROM vsl_frontend.section_videos "
            "WHERE account_id = %(account)s AND script_id = %(script)s), 1) RETURNING *",
            {
                "account": job.account_id, "section": section_id, "script": script_id, "user": job.user_id,
                "job": job.id, "position": position,
            },
        )  # fmt: skip
        assert row is not None
        return to_video(row)

    def video(self, account_id: UUID, video_id: int) -> SectionVideo | None:
        row = self.one(
            f"SELECT * FROM {_VIDEOS} WHERE account_id = %(account)s AND id = %(id)s",
            {"account": account_id, "id": video_id},
        )
        return to_video(row) if row else None

    def videos(
        self, account_id: UUID, *, script_id: int | None = None, section_id: int | None = None,
        user_id: str | None = None, status: str | None = None, after: int | None = None,
        limit: int | None = None,
    ) -> Sequence[SectionVideo]:  # fmt: skip
        order = "position, id" if script_id is not None else "id DESC"
        rows = self.all(
            f"SELECT * FROM {_VIDEOS} WHERE account_id = %(account)s"
            " AND (%(script)s::integer IS NULL OR script_id = %(script)s)"
            " AND (%(section)s::integer IS NULL OR section_id = %(section)s)"
            " AND (%(user)s::text IS NULL OR user_id = %(user)s)"
            " AND (%(status)s::text IS NULL OR status = %(status)s)"
            f" ORDER BY {order} LIMIT %(limit)s OFFSET %(after)s",
            {
                "account": account_id, "script": script_id, "section": section_id, "user": user_id,
                "status": status, "after": after or 0, "limit": limit,
            },
        )  # fmt: skip
        return [to_video(row) for row in rows]

    def count_videos(self, account_id: UUID, script_id: int, status: str | None = None) -> int:
        row = self.one(
            f"SELECT count(*) AS number FROM {_VIDEOS} WHERE account_id = %(account)s AND script_id = %(script)s"
            " AND (%(status)s::text IS NULL OR status = %(status)s)",
            {"account": account_id, "script": script_id, "status": status},
        )
        assert row is not None
        return int(row["number"])

    def videos_of_jobs(self, account_id: UUID, job_ids: Sequence[UUID]) -> Sequence[SectionVideo]:
        rows = self.all(
            f"SELECT * FROM {_VIDEOS} WHERE account_id = %(account)s AND job_id = ANY(%(jobs)s)",
            {"account": account_id, "jobs": list(job_ids)},
        )
        return [to_video(row) for row in rows]

    def move_video(
        self, account_id: UUID, video_id: int, sources: Sequence[str], to: str, reason: str | None = None
    ) -> SectionVideo | None:
        row = self.one(
            f"UPDATE {_VIDEOS} SET status = %(to)s, reject_reason = %(reason)s, version = version + 1, "
            "updated_at = now() WHERE account_id = %(account)s AND id = %(id)s AND status = ANY(%(sources)s) "
            "RETURNING *",
            {"account": account_id, "id": video_id, "sources": list(sources), "to": to, "reason": reason},
        )
        return to_video(row) if row else None

    def place_video(self, account_id: UUID, video_id: int, position: int) -> SectionVideo | None:
        row = self.one(
            f"UPDATE {_VIDEOS} SET position = %(position)s, version = version + 1, updated_at = now() "
            "WHERE account_id = %(account)s AND id = %(id)s RETURNING *",
            {"account": account_id, "id": video_id, "position": position},
        )
        return to_video(row) if row else None

    def follow_job(self, job: Job) -> None:
        self.run(
            f"UPDATE {_VIDEOS} SET status = %(status)s, result_url = %(key)s, thumbnail_url = %(thumbnail)s, "
            "error_message = %(error)s, actual_cost = %(cost)s, processing_time = %(seconds)s, "
            "version = version + 1, updated_at = now() WHERE account_id = %(account)s AND job_id = %(job)s "
            "AND status IN ('pending', 'generating')",
            {
                "account": job.account_id, "job": job.id, "status": _VIDEO_STATUS_OF_JOB[job.status.value],
                "key": job.s3_key, "thumbnail": job.thumbnail_key, "error": job.error_message,
                "cost": job.actual_cost_usd, "seconds": int(job.actual_seconds or 0),
            },
        )  # fmt: skip
